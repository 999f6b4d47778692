"""Copies of the whole database, made while it is in use, and read back into an empty one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import URL, Engine, inspect
from sqlalchemy.exc import DBAPIError

from hashdb.errors import BackupFailed

_DUMP = ("pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file")
_RESTORE = ("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")


def write_copy(engine: Engine, path: Path) -> None:
    """Write all that the database holds at one moment into a file that is not there yet; writers go on meanwhile.

    SQLite's copy holds nothing of what was deleted; PostgreSQL's is made by pg_dump, in its own format. Raises
    BackupFailed.
    """
    if engine.dialect.name == "sqlite":
        connection = engine.raw_connection()
        try:
            connection.cursor().execute("VACUUM INTO ?", (str(path),))
        except engine.dialect.loaded_dbapi.Error as error:
            raise BackupFailed(f"the database cannot be copied: {str(error).lower()}") from None
        finally:
            connection.close()
    else:
        _run([*_DUMP, str(path)], engine.url)


def read_copy(engine: Engine, path: Path) -> None:
    """Fill an empty database from such a file, or leave it empty. Raises BackupFailed."""
    if not is_empty(engine):
        raise BackupFailed("the database has tables already: restore into an empty one")
    if engine.dialect.name == "sqlite":
        assert engine.url.database is not None
        target = Path(engine.url.database)
        engine.dispose()
        try:
            for rest in ("", "-wal", "-shm"):
                target.with_name(target.name + rest).unlink(missing_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise BackupFailed(f"the database cannot be written: {(error.strerror or '').lower()}") from None
    else:
        assert engine.url.database is not None
        _run([*_RESTORE, "--dbname", engine.url.database, str(path)], engine.url)


def is_empty(engine: Engine) -> bool:
    """Whether the database has no tables. Raises BackupFailed where it does not answer."""
    try:
        return not inspect(engine).get_table_names()
    except DBAPIError as error:
        raise BackupFailed(f"the database does not answer: {str(error.orig).strip().lower()}") from None


def _run(words: list[str], url: URL) -> None:
    """Run a program of PostgreSQL's. What it needs to connect goes by its environment, which others cannot read."""
    try:
        done = subprocess.run(words, env=os.environ | _environment(url), capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BackupFailed(f"{words[0]} is not installed (it comes with PostgreSQL's client programs)") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or [""]
        raise BackupFailed(f"{words[0]} ended with {done.returncode}: {said[0]}")


def _environment(url: URL) -> dict[str, str]:
    said = {
        "PGHOST": url.host,
        "PGPORT": None if url.port is None else str(url.port),
        "PGUSER": url.username,
        "PGPASSWORD": None if url.password is None else str(url.password),
        "PGDATABASE": url.database,
        **{f"PG{name.upper()}": str(value) for name, value in url.query.items() if name in _PARAMETERS},
    }
    return {name: value for name, value in said.items() if value is not None}


_PARAMETERS = frozenset({"host", "port", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "service"})
"""Of a URL's query, what is an environment variable of libpq by the same name."""
