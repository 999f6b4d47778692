"""Repositories: the SQL of one noun each within a transaction, which creates a repository when it is first used."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import cache
from itertools import chain, groupby
from typing import Any, Generic, TypeVar

from sqlalchemy import (
    BindParameter,
    Column,
    ColumnElement,
    Connection,
    Dialect,
    Select,
    Table,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import NotFound
from hashdb.store.columns import InstantColumn
from hashdb.store.thread_connections import Query, StatementRunner

_T = TypeVar("_T")
Row = Mapping[str, Any]
"""The values of a row by column."""
CHUNK = 500
"""Values of a statement, at most."""
IDS: BindParameter[int] = bindparam("ids", expanding=True)
NOW: BindParameter[datetime] = bindparam("now", type_=InstantColumn())
"""Parameters of statements that are built once."""


def chunks(whole: Sequence[_T], size: int = CHUNK) -> Iterator[Sequence[_T]]:
    """The sequence in pieces of at most `size`, in order.

    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def values_by_algorithm(signals: Iterable[Signal], size: int = CHUNK) -> Iterator[tuple[Algorithm, Sequence[bytes]]]:
    """The values of signals, sorted and big-endian: at most `size` of one algorithm at a time."""
    for algorithm, group in groupby(sorted(signals), key=lambda signal: signal.algorithm):
        for values in chunks([signal.to_bytes() for signal in group], size):
            yield algorithm, values


class Repository:
    """Reads and writes within the transaction of its connection."""

    def __init__(self, connection: Connection) -> None:
        """Use an open connection."""
        self._connection = connection
        # By the driver: SQLAlchemy's own execution of a statement takes several times as long.
        self._run = StatementRunner(connection.connection, connection.dialect).execute

    def _one(
        self, query: Select[Any], what: str, parameters: Mapping[str, object] | None = None, *, lock: bool = False
    ) -> Any:
        """The only row of a query; `lock` locks it until the transaction ends. Raises NotFound of `what`."""
        row = self._connection.execute(query.with_for_update() if lock else query, parameters).one_or_none()
        if row is None:
            raise NotFound(what)
        return row

    def _first(self, query: Select[Any], convert: Callable[[Any], _T]) -> _T | None:
        """The only row of a query, converted; None without a row."""
        row = self._connection.execute(query).one_or_none()
        return None if row is None else convert(row)

    def _among(self, query: Select[Any], column: ColumnElement[Any], values: Collection[Any]) -> list[Any]:
        """The rows of a query whose column has one of the values; many values take several statements."""
        rows: list[Any] = []
        ordered = sorted(set(values))
        for start in range(0, len(ordered), CHUNK):
            rows += self._connection.execute(query.where(column.in_(ordered[start : start + CHUNK])))
        return rows

    def _by_ids(self, query: Query, ids: Iterable[int], **parameters: object) -> Iterator[Any]:
        """The rows of a statement with the parameter `ids`; many ids take several statements."""
        for chunk in chunks(sorted(set(ids))):
            yield from self._run(query, {"ids": chunk, **parameters})

    def _after(self, query: Select[Any], id: ColumnElement[int], after: int, limit: int) -> Sequence[Any]:
        """At most `limit` rows of a query with ids above `after`, in the order of the ids."""
        return self._connection.execute(query.where(id > after).order_by(id).limit(limit)).all()

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        """How many rows of their table meet conditions."""
        return self._connection.execute(select(func.count()).where(*conditions)).scalar_one()

    def _insert(self, table: Table, row: Row) -> Any:
        """Insert a row; return it as it is stored."""
        return self._connection.execute(insert(table).returning(table), row).one()

    def _update(self, table: Table, id: int, **values: object) -> None:
        """Set columns of the row with this id."""
        self._connection.execute(update(table).where(table.c.id == id).values(values))

    def _delete(self, table: Table, *conditions: ColumnElement[bool]) -> int:
        """Delete the rows of a table that meet conditions; return how many."""
        return self._connection.execute(delete(table).where(*conditions)).rowcount


_R = TypeVar("_R", bound=Repository)


class repository(Generic[_R]):  # noqa: N801
    """A cached attribute of a transaction. functools.cached_property of Python 3.11 has a lock for all threads."""

    def __init__(self, made: type[_R]) -> None:
        """An attribute with a repository of this class."""
        self._made = made

    def __set_name__(self, owner: type, name: str) -> None:
        """Store the name under which the repository is cached."""
        self._name = name

    def __get__(self, transaction: Any, owner: type) -> _R:
        """The repository of this transaction."""
        made = transaction.__dict__[self._name] = self._made(transaction.connection)
        return made


def same(source: object, *names: str) -> dict[str, Any]:
    """The attributes of a row or a value that have one name in the table and in the domain."""
    return {name: getattr(source, name) for name in names}


_Process = Callable[[Any], Any]


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, all with the keys of the first: several times as fast as SQLAlchemy for a thousand rows."""
    if not rows:
        return
    names = tuple(rows[0])
    values = [list(map(row.__getitem__, names)) for row in rows]
    for place, process in _processes(table, names, connection.dialect):
        for row in values:
            row[place] = process(row[place])
    insert_values(connection, table.name, names, values)


_FEW = 8
"""Rows that one INSERT takes to PostgreSQL in one round trip; COPY takes three."""


def insert_values(
    connection: Connection, table: str, names: Sequence[str], rows: Sequence[Sequence[Any]], few: int = _FEW
) -> None:
    """Insert rows of values in the driver's types, in the order of these columns.

    More than `few` rows go to PostgreSQL by COPY, which also takes values in the types of SQLite.
    """
    if not rows:
        return
    quoted = '", "'.join(names)
    into = f'{table} ("{quoted}")'
    cursor: Any = connection.connection.cursor()
    with closing(cursor):
        if connection.dialect.name == "sqlite":
            cursor.executemany(f"INSERT INTO {into} VALUES ({', '.join('?' * len(names))})", rows)
        elif len(rows) <= few:
            row_places = f"({', '.join(['%s'] * len(names))})"
            cursor.execute(f"INSERT INTO {into} VALUES {', '.join([row_places] * len(rows))}", [*chain(*rows)])
        else:
            with cursor.copy(f"COPY {into} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


def insert_into(connection: Connection, table: Table) -> Any:
    """An INSERT of the database's dialect, which has `on_conflict_do_nothing` and `on_conflict_do_update`."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def upsert(
    connection: Connection,
    table: Table,
    rows: Sequence[Row],
    *,
    adds: Sequence[str] = (),
    least: Sequence[str] = (),
    most: Sequence[str] = (),
    sets: Sequence[str] = (),
) -> None:
    """Insert rows; in a row that exists, add to the columns `adds`, and keep the `least` or the `most` value of others.

    The columns `sets` get the new values, and its remaining columns stay. Rows must be in the order of their keys, so
    that two transactions cannot deadlock.
    """
    if not rows:
        return
    query = insert_into(connection, table)
    new = query.excluded
    updated = {name: new[name] for name in sets} | {name: table.c[name] + new[name] for name in adds}
    updated |= {name: case((new[name] < table.c[name], new[name]), else_=table.c[name]) for name in least}
    updated |= {name: case((new[name] > table.c[name], new[name]), else_=table.c[name]) for name in most}
    connection.execute(query.on_conflict_do_update(index_elements=list(table.primary_key), set_=updated), rows)


@cache
def _processes(table: Table, names: tuple[str, ...], dialect: Dialect) -> tuple[tuple[int, _Process], ...]:
    """The positions of columns whose values are converted to the driver's types, and how."""
    columns: list[Column[Any]] = [table.c[name] for name in names]
    processes = (column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns)
    return tuple((place, process) for place, process in enumerate(processes) if process is not None)
