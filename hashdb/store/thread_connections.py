"""Connections that threads keep, for the short reads of a match: several times as fast as a unit of work.

SQLAlchemy builds each statement once. The driver executes it.
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
"""The values of a statement by name; those of a list are rendered one by one."""
Query = Select[Any] | CompoundSelect[Any] | Update
_BEGIN = {"sqlite": "BEGIN", "postgresql": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"}
_Process = Callable[[Any], Any] | None
_T = TypeVar("_T")


class ThreadConnection:
    """A connection of a thread, closed when nothing refers to this any more: at the latest when the thread ends."""

    def __init__(self, connection: PoolProxiedConnection) -> None:
        """Own this connection."""
        self.connection = connection

    def close(self) -> None:
        """Close it."""
        self.connection.close()

    def __del__(self) -> None:
        self.close()


class ThreadConnections:
    """Keeps one connection for each thread, outside of transactions."""

    def __init__(self, engine: Engine) -> None:
        """Opens nothing yet."""
        self.dialect = engine.dialect
        self.engine, self._driver = engine, engine.dialect.loaded_dbapi
        self._begin = _BEGIN[engine.dialect.name]
        self._local = local()
        self._all: WeakSet[ThreadConnection] = WeakSet()

    def execute(self, text: str, values: Sequence[Any] | Parameters = ()) -> list[Any]:
        """The rows of a statement. Raises StoreBusy."""

        def rows(connection: PoolProxiedConnection) -> list[Any]:
            cursor = connection.cursor()
            cursor.execute(text, values)
            fetched = list(cursor.fetchall()) if cursor.description else []
            cursor.close()
            return fetched

        return self.use(rows)

    def use(self, act: Callable[[PoolProxiedConnection], _T]) -> _T:
        """The result of a function of this thread's connection. After StoreBusy, the thread opens a new connection."""
        known: ThreadConnection | None = getattr(self._local, "held", None)
        try:
            held = known or self.connect()
            # Until the result is there: a connection that fails is not used again.
            self._local.held = None
            result = act(held.connection)
        except self._driver.Error as error:
            # The server may have ended it since this thread last used it, which may be long ago.
            if known and self.dialect.is_disconnect(error, known.connection.dbapi_connection, None):
                return self.use(act)
            raise StoreBusy(RETRY_AFTER) from error
        self._local.held = held
        return result

    @contextmanager
    def snapshot(self, made: Callable[[StatementRunner], _T]) -> Iterator[_T]:
        """All that is read in the block is of one moment; yields what is made of their runner. Raises StoreBusy."""
        self.use(self._begin_at)
        held: ThreadConnection = self._local.held
        self._local.held = None
        try:
            yield made(StatementRunner(held.connection, self.dialect))
            _run(held.connection, "COMMIT")
        except self._driver.OperationalError as error:
            # Any other error of the driver is a mistake of ours.
            raise StoreBusy(RETRY_AFTER) from error
        use_short_queries(held.connection)
        self._local.held = held

    def _begin_at(self, connection: PoolProxiedConnection) -> None:
        _run(connection, self._begin)
        use_long_queries(connection)

    def close(self) -> None:
        """Close the connections of every thread."""
        for held in list(self._all):
            held.close()
        self._local = local()

    def connect(self, text: str | None = None) -> ThreadConnection:
        """A new connection, which has executed a statement. Raises StoreBusy."""
        try:
            connection = self.engine.raw_connection()
            use_short_queries(connection)
            # Never back to the pool, whose users expect a connection in a transaction.
            connection.detach()
            held = ThreadConnection(connection)
            if text is not None:
                connection.cursor().execute(text).close()
        except self._driver.Error as error:
            raise StoreBusy(RETRY_AFTER) from error
        self._all.add(held)
        return held


class StatementRunner:
    """Executes statements of one transaction by the driver: reads of one moment, or a unit of work."""

    def __init__(self, connection: PoolProxiedConnection, dialect: Dialect) -> None:
        """Over a connection that has begun a transaction."""
        self._connection, self._dialect = connection, dialect

    def execute(self, query: Query, parameters: Parameters) -> list[tuple[Any, ...]]:
        """The rows of a statement, as SQLAlchemy's connection returns them; none of an UPDATE."""
        sizes = tuple([(name, len(value)) for name, value in parameters.items() if isinstance(value, list)])
        compiled = _compile(query, self._dialect, sizes)
        values = dict(compiled.constants)
        for name, process in compiled.binds.items():
            value = parameters[name]
            if name in compiled.names:
                typed = value if process is None else map(process, value)
                values.update(zip(compiled.names[name], typed, strict=True))
            else:
                values[name] = value if process is None else process(value)
        order = compiled.order
        cursor = self._connection.cursor()
        cursor.execute(compiled.text, values if order is None else list(map(values.__getitem__, order)))
        rows = list(cursor.fetchall()) if cursor.description else []
        cursor.close()
        if not rows:
            return rows
        columns: list[Iterable[Any]] = list(zip(*rows, strict=True))
        for place, process in compiled.results:
            columns[place] = map(process, columns[place])
        return list(zip(*columns, strict=True))


def _run(connection: PoolProxiedConnection, text: str) -> None:
    """Execute a statement without values and rows."""
    driver: Any = connection.dbapi_connection
    driver.ask(text.encode()) if hasattr(driver, "ask") else driver.execute(text)


class _Compiled(NamedTuple):
    """A query as text, for lists of certain lengths."""

    text: str
    order: Sequence[str] | None
    """The names of the values in the order of the text; None if the driver takes them by name."""
    constants: Parameters
    binds: Mapping[str, _Process]
    names: Mapping[str, Sequence[str]]
    """The names of the values of each list."""
    results: Sequence[tuple[int, Callable[[Any], Any]]]
    """The places of the columns that are converted, and how."""


@lru_cache(1_024)
def _compile(query: Query, dialect: Dialect, sizes: tuple[tuple[str, int], ...]) -> _Compiled:
    """The text of a query for lists of these lengths."""
    compiled = query.compile(dialect=dialect)
    required = [name for name, bind in compiled.binds.items() if bind.required]
    expanded = compiled.construct_expanded_state(
        dict.fromkeys(required) | {name: [None] * size for name, size in sizes}
    )
    varying = {*required, *chain.from_iterable(expanded.parameter_expansion[name] for name, _ in sizes)}
    constants = {name: value for name, value in expanded.parameters.items() if name not in varying}
    binds = {name: compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect) for name in required}
    columns = () if isinstance(query, Update) else query.selected_columns
    processes = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]
    results = [(place, process) for place, process in enumerate(processes) if process is not None]
    return _Compiled(expanded.statement, expanded.positiontup, constants, binds, expanded.parameter_expansion, results)
