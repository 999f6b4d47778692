"""Connections that threads keep, for the short reads of a match: several times as fast as a transaction of SQLAlchemy.

SQLAlchemy compiles each statement once. The driver executes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import chain
from threading import local
from typing import Any, NamedTuple, TypeVar
from weakref import WeakSet

from sqlalchemy import CompoundSelect, Dialect, Engine, PoolProxiedConnection, Select, Update

from hashdb.errors import StoreBusy
from hashdb.store.connections import RETRY_AFTER, use_long_queries, use_short_queries

Parameters = Mapping[str, Any]
"""The values of a statement, by the names of its parameters. An expanding parameter has a list."""
Query = Select[Any] | CompoundSelect[Any] | Update
_BEGIN_SNAPSHOT = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
_Convert = Callable[[Any], Any] | None
"""Converts a value between Python and the driver; None if the value needs no conversion."""
_T = TypeVar("_T")


class ThreadConnection:
    """A connection of one thread. It is closed when this object is deleted, at the latest when the thread ends."""

    def __init__(self, connection: PoolProxiedConnection) -> None:
        """Take over a connection that was detached from its pool."""
        self.connection = connection

    def close(self) -> None:
        """Close it."""
        self.connection.close()

    def __del__(self) -> None:
        self.close()


class ThreadConnections:
    """Keeps one connection for each thread. Between two uses no transaction is open."""

    def __init__(self, engine: Engine) -> None:
        """Connect to the database of an engine. Each thread opens its connection at its first use."""
        self.dialect = engine.dialect
        self.engine, self._driver = engine, engine.dialect.loaded_dbapi
        self._begin_snapshot = _BEGIN_SNAPSHOT[engine.dialect.name]
        self._local = local()
        """`connection` is the ThreadConnection of the current thread; None while it is in use."""
        self._all: WeakSet[ThreadConnection] = WeakSet()

    def execute(self, text: str, values: Sequence[Any] | Parameters = ()) -> list[Any]:
        """Execute a statement on this thread's connection and return its rows. Raises StoreBusy.

        `text` has the placeholders of the driver.
        """

        def execute(connection: PoolProxiedConnection) -> list[Any]:
            cursor = connection.cursor()
            cursor.execute(text, values)
            rows = list(cursor.fetchall()) if cursor.description else []
            cursor.close()
            return rows

        return self.use(execute)

    def use(self, function: Callable[[PoolProxiedConnection], _T]) -> _T:
        """Call a function with this thread's connection and return its result. Raises StoreBusy.

        If the server has closed the connection since the last use, the function is called again with a new one.
        After StoreBusy the thread opens a new connection at its next use.
        """
        kept: ThreadConnection | None = getattr(self._local, "connection", None)
        used = kept or self.connect()
        # It is kept again only if the function succeeds: a connection that failed is not used again.
        self._local.connection = None
        try:
            result = function(used.connection)
        except self._driver.Error as error:
            lost = kept and self.dialect.is_disconnect(error, used.connection.dbapi_connection, None)
            used.close()
            if lost:
                return self.use(function)
            raise StoreBusy(RETRY_AFTER) from error
        except BaseException:
            used.close()
            raise
        self._local.connection = used
        return result

    @contextmanager
    def snapshot(self, build: Callable[[StatementRunner], _T]) -> Iterator[_T]:
        """Open a read transaction for the block, in which all statements read the database as of one moment.

        Yields what `build` returns for the runner of the transaction's statements. Raises StoreBusy.
        """
        self.use(self._begin)
        used: ThreadConnection = self._local.connection
        # It is kept again only if the block succeeds.
        self._local.connection = None
        try:
            yield build(StatementRunner(used.connection, self.dialect))
            _execute_plain(used.connection, "COMMIT")
        except BaseException as error:
            # At once: what refers to the traceback of the error would keep the connection, and its transaction.
            used.close()
            if isinstance(error, self._driver.OperationalError):
                raise StoreBusy(RETRY_AFTER) from error
            # The driver's other errors are faults in hashdb, so they are raised as they are.
            raise
        use_short_queries(used.connection)
        self._local.connection = used

    def _begin(self, connection: PoolProxiedConnection) -> None:
        _execute_plain(connection, self._begin_snapshot)
        use_long_queries(connection)

    def close(self) -> None:
        """Close the connections of every thread."""
        for connection in list(self._all):
            connection.close()
        self._local = local()

    def connect(self, statement: str | None = None) -> ThreadConnection:
        """Open a connection, and execute a statement on it if there is one. Raises StoreBusy."""
        try:
            connection = self.engine.raw_connection()
            use_short_queries(connection)
            # It must not return to the pool: the users of the pool expect a connection that is in a transaction.
            connection.detach()
        except self._driver.Error as error:
            raise StoreBusy(RETRY_AFTER) from error
        opened = ThreadConnection(connection)
        try:
            if statement is not None:
                connection.cursor().execute(statement).close()
        except self._driver.Error as error:
            opened.close()
            raise StoreBusy(RETRY_AFTER) from error
        self._all.add(opened)
        return opened


class StatementRunner:
    """Executes the statements of one transaction by the driver itself, without SQLAlchemy's connection."""

    def __init__(self, connection: PoolProxiedConnection, dialect: Dialect) -> None:
        """Use a connection that is in a transaction."""
        self._connection, self._dialect = connection, dialect

    def execute(self, query: Query, parameters: Parameters) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows, with values as SQLAlchemy returns them; an UPDATE returns none."""
        sizes = tuple([(name, len(value)) for name, value in parameters.items() if isinstance(value, list)])
        compiled = _compile(query, self._dialect, sizes)
        values = dict(compiled.constants)
        for name, convert in compiled.conversions.items():
            value = parameters[name]
            if name in compiled.expanded_names:
                converted = value if convert is None else map(convert, value)
                values.update(zip(compiled.expanded_names[name], converted, strict=True))
            else:
                values[name] = value if convert is None else convert(value)
        order = compiled.order
        cursor = self._connection.cursor()
        cursor.execute(compiled.text, values if order is None else list(map(values.__getitem__, order)))
        rows = list(cursor.fetchall()) if cursor.description else []
        cursor.close()
        if not rows:
            return rows
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        for position, convert in compiled.column_conversions:
            columns[position] = map(convert, columns[position])
        return list(zip(*columns, strict=True))


def _execute_plain(connection: PoolProxiedConnection, text: str) -> None:
    """Execute a statement that has no parameters and returns no rows."""
    driver: Any = connection.dbapi_connection
    # Our connections to PostgreSQL have this faster method; SQLite's have not.
    driver.execute_prepared(text.encode()) if hasattr(driver, "execute_prepared") else driver.execute(text)


class _Compiled(NamedTuple):
    """A query as SQL text for the driver, for lists of certain lengths.

    In the text a list of n values has n placeholders, each with its own name.
    """

    text: str
    order: Sequence[str] | None
    """The names of the placeholders in the order of the text; None if the driver takes the values by name."""
    constants: Parameters
    """The values that the query itself contains."""
    conversions: Mapping[str, _Convert]
    """For each parameter of the query, how its value is converted for the driver."""
    expanded_names: Mapping[str, Sequence[str]]
    """For each parameter with a list, the names of the placeholders of its values."""
    column_conversions: Sequence[tuple[int, Callable[[Any], Any]]]
    """The positions of the columns of the result that are converted, and how."""


@lru_cache(1_024)
def _compile(query: Query, dialect: Dialect, sizes: tuple[tuple[str, int], ...]) -> _Compiled:
    """Compile a query; `sizes` has the length of each list, by the name of its parameter."""
    compiled = query.compile(dialect=dialect)
    required = [name for name, bind in compiled.binds.items() if bind.required]
    expanded = compiled.construct_expanded_state(
        dict.fromkeys(required) | {name: [None] * size for name, size in sizes}
    )
    varying = {*required, *chain.from_iterable(expanded.parameter_expansion[name] for name, _ in sizes)}
    constants = {name: value for name, value in expanded.parameters.items() if name not in varying}
    conversions = {name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in required}
    columns = () if isinstance(query, Update) else query.selected_columns
    converts = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    column_conversions = [(position, convert) for position, convert in enumerate(converts) if convert is not None]
    return _Compiled(
        expanded.statement,
        expanded.positiontup,
        constants,
        conversions,
        expanded.parameter_expansion,
        column_conversions,
    )
