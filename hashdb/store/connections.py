"""Connections to databases. To PostgreSQL, every statement, lock and silence of either side has a time limit."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, Engine, PoolProxiedConnection, create_engine, event, make_url, text
from sqlalchemy.exc import OperationalError

from hashdb.errors import BadSetting, DatabaseAway, StoreBusy

RETRY_AFTER = 2
"""Seconds after which a client asks again while the database is busy."""
# Multiples of `busy_seconds`, which is the lock timeout.
IDLE_TIMES = 3
"""The server's timeout for a process that idles while it has locked the log."""
STATEMENT_TIMES = 6
"""The server's timeout for a statement."""
SILENT_TIMES = 7
"""How long this process waits for a server that sends nothing at all. It is longer than the server's own timeouts."""


def parse_url(url: str) -> URL:
    """The parts of the URL of a database. Raises ArgumentError and ValueError if it is none."""
    scheme, _, path = url.partition(":///")
    if scheme != "sqlite" or path.endswith("uri=true"):
        return make_url(url)
    # All the rest is the path, except in SQLite's own URIs: the name of a folder may have a question mark.
    return URL.create("sqlite", database=path)


def postgresql_engine(url: URL, busy_seconds: float) -> Engine:
    """An engine whose connections time out. Raises ImportError if the driver is missing."""
    milliseconds = busy_seconds * 1000
    limits = {
        "lock_timeout": int(milliseconds),
        "statement_timeout": int(milliseconds * STATEMENT_TIMES),
        # A custom setting. Only a transaction that locks the log applies it: a reader may idle for longer.
        "hashdb.idle": int(milliseconds * IDLE_TIMES),
    }
    if (driver := url.get_dialect().driver) != "psycopg":
        raise BadSetting("HASHDB_DATABASE_URL", f"use postgresql://, without {driver}")
    engine = create_engine(
        url,
        # No table has a column of this type. Otherwise each process would look for it when it first connects.
        use_native_hstore=False,
        pool_pre_ping=True,
        pool_timeout=busy_seconds,
        connect_args={
            "options": " ".join(f"-c {name}={value}" for name, value in limits.items()),
            "connect_timeout": max(1, int(busy_seconds)),
        },
    )
    driver_module: Any = engine.dialect.loaded_dbapi
    connection_class = _limited_connection_class(driver_module, busy_seconds)
    parameters = engine.dialect.create_connect_args(url)[1]
    # SQLAlchemy's own, for the driver.
    parameters.pop("context", None)
    try:
        driver_module.conninfo.make_conninfo(**parameters)
    except (driver_module.Error, UnicodeEncodeError):
        raise BadSetting("HASHDB_DATABASE_URL", "has a parameter or a value that PostgreSQL does not know") from None

    @event.listens_for(engine, "do_connect")
    def connect(dialect: object, record: object, arguments: Any, keywords: Any) -> object:
        return connection_class.connect(*arguments, **keywords)

    @event.listens_for(engine, "checkout")
    def allow_long_queries(connection: Any, record: object, proxy: object) -> None:
        connection.silence_limit = busy_seconds * SILENT_TIMES

    @event.listens_for(engine, "checkin")
    def allow_short_queries(connection: Any, record: object) -> None:
        # For the pre-ping of the next checkout. A connection that was given up is None.
        if connection is not None:
            connection.silence_limit = busy_seconds

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
    if hasattr(driver, "silence_limit"):
        driver.autocommit = True
        driver.silence_limit = type(driver).silence_limit


def use_long_queries(connection: PoolProxiedConnection) -> None:
    """Prepare a connection for queries that may take as long as in a unit of work; without effect for SQLite."""
    driver: Any = connection.dbapi_connection
    if hasattr(driver, "silence_limit"):
        driver.silence_limit = type(driver).silence_limit * SILENT_TIMES


def _limited_connection_class(driver: Any, busy_seconds: float) -> Any:
    """The driver's class of connections, with a time limit for a server that is connected but does not answer.

    The limits of the operating system are for a server that is not reachable.
    """

    class LimitedConnection(driver.Connection):  # type: ignore[misc]
        silence_limit = busy_seconds
        """Seconds to wait for a server that sends nothing."""

        def __init__(self, *arguments: Any, **keywords: Any) -> None:
            super().__init__(*arguments, **keywords)
            self.prepared: set[bytes] = set()
            """The statements that `execute_prepared` has prepared."""

        def execute_prepared(self, query: bytes) -> Any:
            """The driver's result of a statement without parameters: in a third of the time that a cursor takes.

            The connection prepares each statement once.
            """
            # Its name is its beginning: PostgreSQL's names have at most 63 bytes.
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
                return super().wait(gen, interval, self.silence_limit if timeout is None else timeout)
            except driver.errors._WaitTimeout:
                # It is unknown whether the statement was executed: the connection must not be used again.
                self.pgconn.finish()
                raise driver.OperationalError("the server does not answer") from None

    return LimitedConnection


_REASONS = {
    "authentication failed": "refuses the user or the password of HASHDB_DATABASE_URL",
    "no pg_hba.conf entry": "does not accept connections from this machine: see pg_hba.conf",
    "does not exist": "does not have the database or the user of HASHDB_DATABASE_URL",
    "starting up": "is starting",
    "shutting down": "is shutting down",
    "too many clients": "has no free connection",
    "connection slots": "has no free connection",
    "resolve host": "does not answer: the host name is unknown",
    "refused": "does not answer: connection refused",
    "timeout": "does not answer: no connection within HASHDB_BUSY_SECONDS",
    "no such file": "does not answer: the socket does not exist",
}
"""By a part of the driver's message, the text that replaces the message: the message may name the user."""
_OTHER_REASON = "does not answer: check that it runs, and that HASHDB_DATABASE_URL names it"


def explain_busy(url: str, busy: StoreBusy, setting: str = "HASHDB_DATABASE_URL") -> DatabaseAway | StoreBusy:
    """The error that names the database's address if no connection could be made; otherwise the same error.

    `setting` is the setting that has the URL.
    """
    cause = busy.__cause__
    if not isinstance(cause, OperationalError):
        return busy
    message = str(cause.orig).lower()
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        # As "database is locked", and "locking protocol", which also passes.
        return busy if "lock" in message else DatabaseAway(str(parsed.database), f"cannot be used: {message}")
    if cause.statement is not None:
        return busy
    reason = next((reason for part, reason in _REASONS.items() if part in message), _OTHER_REASON)
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
