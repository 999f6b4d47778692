"""Connections to PostgreSQL: every statement, lock and silence of either side has a time limit."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError

from hashdb.errors import BadSetting, DatabaseAway, StoreBusy

RETRY_AFTER = 2
"""Seconds after which a client asks again while the database is busy."""
IDLE_TIMES = 3
STATEMENT_TIMES = 6
SILENT_TIMES = 7
"""Multiples of the lock timeout: the server's timeout for a process that idles while it holds the log, the server's
statement timeout, and how long this process waits for a server that sends nothing at all."""


def postgresql_engine(url: URL, busy_seconds: float) -> Engine:
    """An engine whose connections time out. Raises ImportError if the driver is missing."""
    thousand = busy_seconds * 1000
    limits = {
        "lock_timeout": int(thousand),
        "statement_timeout": int(thousand * STATEMENT_TIMES),
        # A custom setting, which the transaction that locks the log applies: a reader may take its time.
        "hashdb.idle": int(thousand * IDLE_TIMES),
    }
    if (driver := url.get_dialect().driver) != "psycopg":
        raise BadSetting("HASHDB_DATABASE_URL", f"use postgresql://, without {driver}")
    engine = create_engine(
        url,
        # No table has a column of that type, which each process would look for as it connects first.
        use_native_hstore=False,
        pool_pre_ping=True,
        pool_timeout=busy_seconds,
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            "connect_timeout": max(1, int(busy_seconds)),
        },
    )
    connection_of = _patient(engine.dialect.loaded_dbapi, busy_seconds)

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, words: Any, named: Any) -> object:
        return connection_of.connect(*words, **named)

    @event.listens_for(engine, "checkout")
    def lend(connection: Any, record: object, proxy: object) -> None:
        connection.patience = busy_seconds * SILENT_TIMES

    @event.listens_for(engine, "checkin")
    def take_back(connection: Any, record: object) -> None:
        # The pre-ping of the next checkout uses it. A connection that was given up is None.
        if connection is not None:
            connection.patience = busy_seconds

    return engine


class Server(NamedTuple):
    """The state of PostgreSQL: `lag` is how many bytes of its log the slowest standby has not replayed."""

    connections: int
    max_connections: int
    standbys: int
    lag: int


def read_server(connection: Connection) -> Server:
    """The current figures. A user without the role pg_monitor sees that a standby exists, but not its lag."""
    return Server(*connection.execute(_SERVER).one())


_SERVER = text(
    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),"
    " current_setting('max_connections')::int, count(*),"
    " coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::bigint FROM pg_stat_replication"
)


def use_short_queries(connection: PoolProxiedConnection) -> None:
    """Prepare a connection for short queries outside of transactions; without effect for SQLite."""
    driver: Any = connection.dbapi_connection
    if hasattr(driver, "patience"):
        driver.autocommit = True
        driver.patience = type(driver).patience


def use_long_queries(connection: PoolProxiedConnection) -> None:
    """Prepare it for queries that may take as long as in a unit of work; without effect for SQLite."""
    driver: Any = connection.dbapi_connection
    if hasattr(driver, "patience"):
        driver.patience = type(driver).patience * SILENT_TIMES


def _patient(driver: Any, busy_seconds: float) -> Any:
    """The driver's class of connections, with a time limit for a server that is connected but does not answer.

    The limits of the operating system are for a server that is not reachable.
    """

    class Patient(driver.Connection):  # type: ignore[misc]
        patience = busy_seconds

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self.prepared: set[bytes] = set()

        def execute_prepared(self, query: bytes) -> Any:
            """The driver's result of a statement without parameters: in a third of the time that a cursor takes.

            The connection prepares each statement once.
            """
            if query not in self.prepared:
                self.pgconn.send_prepare(query[:63], query)
                self._finish()
                self.prepared.add(query)
            self.pgconn.send_query_prepared(query[:63], None)
            return self._finish()

        def _finish(self) -> Any:
            *_, result = self.wait(driver.generators.execute(self.pgconn))
            if result.status not in (driver.pq.ExecStatus.COMMAND_OK, driver.pq.ExecStatus.TUPLES_OK):
                raise driver.errors.error_from_result(result)
            return result

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, self.patience if timeout is None else timeout)
            except driver.errors._WaitTimeout:
                # The fate of the statement is unknown: the connection must not be used again.
                self.pgconn.finish()
                raise driver.OperationalError("the server does not answer") from None

    return Patient


_REASONS = {
    "authentication failed": "refuses the user or the password of HASHDB_DATABASE_URL",
    "no pg_hba.conf entry": "does not accept connections from this machine: see pg_hba.conf",
    "does not exist": "does not have the database or the user of HASHDB_DATABASE_URL",
    "starting up": "is starting",
    "shutting down": "is shutting down",
    "too many clients": "has no free connection",
    "connection slots": "has no free connection",
    "resolve host": "does not answer: no host has that name",
    "refused": "does not answer: connection refused",
    "timeout": "does not answer: no connection within HASHDB_BUSY_SECONDS",
    "no such file": "does not answer: the socket does not exist",
}
"""The text that replaces the message of the driver, which may name the user, by a part of that message."""
_ELSE = "does not answer: check that it runs, and that HASHDB_DATABASE_URL names it"


def explain_busy(url: str, busy: StoreBusy, setting: str = "HASHDB_DATABASE_URL") -> DatabaseAway | StoreBusy:
    """The error that names the database's address if no connection could be made; otherwise the same error.

    `setting` is the setting that has the URL.
    """
    cause = busy.__cause__
    if not isinstance(cause, OperationalError) or cause.statement is not None:
        return busy
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        return busy
    message = str(cause.orig).lower()
    reason = next((reason for part, reason in _REASONS.items() if part in message), _ELSE)
    return DatabaseAway(_where(parsed), reason.replace("HASHDB_DATABASE_URL", setting))


def _where(url: URL) -> str:
    hosts_named = url.query.get("host", ()) if url.host is None else ()
    hosts = (hosts_named,) if isinstance(hosts_named, str) else hosts_named
    port = url.query.get("port", "5432") if url.port is None else str(url.port)
    return ", ".join(_address(host, str(port)) for host in hosts or (url.host or "localhost",))


def _address(host: str, port: str) -> str:
    if host.startswith("/") or host.count(":") == 1:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
