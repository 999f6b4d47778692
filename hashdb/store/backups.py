"""Copy the whole database to a file while it is in use, and restore it into an empty one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, inspect
from sqlalchemy.exc import DBAPIError

from hashdb.errors import BackupFailed, os_reason

_DUMP = ("pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--file")
_NOT_ALLOWED = "42501"
"""PostgreSQL's code of an error (SQLSTATE): insufficient privilege."""
_RESTORE = ("pg_restore", "--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges")


def write_copy(engine: Engine, path: Path) -> None:
    """Write a snapshot of the database to a new file; writers continue meanwhile.

    SQLite's copy contains no deleted data; PostgreSQL's is made by pg_dump, in its own format. Raises BackupFailed.
    """
    if engine.dialect.name == "sqlite":
        try:
            with closing(engine.raw_connection()) as connection:
                connection.cursor().execute("VACUUM INTO ?", (str(path),))
        except engine.dialect.loaded_dbapi.Error as error:
            raise BackupFailed(f"the database cannot be copied: {str(error).lower()}") from None
    else:
        _require(_DUMP[0], engine)
        _run([*_DUMP, str(path)], engine.url)


def read_copy(engine: Engine, path: Path) -> None:
    """Restore a file that `write_copy` wrote into an empty database, or leave it empty. Raises BackupFailed."""
    with _connected(engine) as connection:
        if inspect(connection).get_table_names():
            raise BackupFailed("the database has tables already: restore into an empty one")
    assert engine.url.database is not None
    if engine.dialect.name == "sqlite":
        target = Path(engine.url.database)
        engine.dispose()
        try:
            for suffix in ("", "-wal", "-shm"):
                target.with_name(target.name + suffix).unlink(missing_ok=True)
            shutil.copyfile(path, target)
        except OSError as error:
            target.unlink(missing_ok=True)
            raise BackupFailed(f"the database cannot be written: {os_reason(error)}") from None
    else:
        _require(_RESTORE[0], engine)
        _run([*_RESTORE, "--dbname", engine.url.database, str(path)], engine.url)


@contextmanager
def scratch(engine: Engine, folder: Path) -> Iterator[str]:
    """The URL of an empty database: on the same PostgreSQL server, dropped at the end; or an SQLite file in the folder.

    A scratch database that a killed process left is dropped first. Raises BackupFailed.
    """
    if engine.dialect.name == "sqlite":
        yield f"sqlite:///{(folder / 'scratch.sqlite').absolute()}"
        return
    name = f"{engine.url.database}_restore_test"
    quoted = engine.dialect.identifier_preparer.quote(name)
    with _administering(engine) as connection:
        connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
        connection.exec_driver_sql(f"CREATE DATABASE {quoted} TEMPLATE template0 ENCODING 'UTF8'")
    try:
        yield engine.url.set(database=name).render_as_string(hide_password=False)
    finally:
        with _administering(engine) as connection:
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")


@contextmanager
def _administering(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            yield connection
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", None) == _NOT_ALLOWED:
            raise BackupFailed(
                f"the database user {engine.url.username} may not create a scratch database:"
                f" ALTER ROLE {engine.url.username} CREATEDB"
            ) from None
        raise BackupFailed(f"the scratch database cannot be created: {str(error.orig).strip().lower()}") from None


@contextmanager
def _connected(engine: Engine) -> Iterator[Connection]:
    try:
        with engine.connect() as connection:
            yield connection
    except DBAPIError as error:
        raise BackupFailed(f"the database does not answer: {str(error.orig).strip().lower()}") from None


def _require(program: str, engine: Engine) -> None:
    """Check that a PostgreSQL program is installed, and not older than the server. Raises BackupFailed."""
    with _connected(engine) as connection:
        server = int(connection.exec_driver_sql("SHOW server_version_num").scalar_one()) // 10_000
    install = f"install PostgreSQL's client programs of version {server} (on Debian: postgresql-client-{server})"
    try:
        result = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise BackupFailed(f"{program} is not installed: {install}") from None
    version = re.search(r"\(PostgreSQL\) (\d+)", result.stdout)
    if result.returncode or version is None:
        raise BackupFailed(f"{program} does not run: {install}")
    if int(version[1]) < server:
        raise BackupFailed(
            f"{program} has version {version[1]}, but the PostgreSQL server has version {server}: {install}"
        )


def _run(command: list[str], url: URL) -> None:
    """Run a PostgreSQL program. It gets its connection by environment variables, which other users cannot read."""
    result = subprocess.run(command, env=os.environ | _environment(url), capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [""]
        raise BackupFailed(f"{command[0]} ended with {result.returncode}: {lines[0]}")


def _environment(url: URL) -> dict[str, str]:
    variables = {
        "PGHOST": url.host,
        "PGPORT": url.port,
        "PGUSER": url.username,
        "PGPASSWORD": url.password,
        "PGDATABASE": url.database,
        **{f"PG{name.upper()}": value for name, value in url.query.items() if name in _PARAMETERS},
    }
    return {name: str(value) for name, value in variables.items() if value is not None}


_PARAMETERS = frozenset({"host", "port", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "service"})
"""The parameters of a URL's query that libpq takes as environment variables of the same name."""
