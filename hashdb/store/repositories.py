"""The base of repositories, and SQL that several of them share.

A repository has the SQL of one subject, for example of users. A transaction makes each repository at its first use.
"""

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
"""The most values of one statement."""
IDS: BindParameter[int] = bindparam("ids", expanding=True)
"""The list of ids, as a parameter of statements that modules build once: see `Repository._run_for_ids`."""
NOW: BindParameter[datetime] = bindparam("now", type_=InstantColumn())
"""The current time, as a parameter of such statements."""


def chunks(whole: Sequence[_T], size: int = CHUNK) -> Iterator[Sequence[_T]]:
    """The sequence in pieces of at most `size`, in order.

    >>> list(chunks("abcde", 2))
    ['ab', 'cd', 'e']
    """
    for start in range(0, len(whole), size):
        yield whole[start : start + size]


def values_by_algorithm(signals: Iterable[Signal], size: int = CHUNK) -> Iterator[tuple[Algorithm, Sequence[bytes]]]:
    """The values of signals, big-endian, in ascending order: each time at most `size` values of one algorithm."""
    for algorithm, group in groupby(sorted(signals), key=lambda signal: signal.algorithm):
        for values in chunks([signal.to_bytes() for signal in group], size):
            yield algorithm, values


class Repository:
    """Reads and writes in the transaction that is open on its connection.

    In each repository `one` returns the one object with an id, and raises NotFound if there is none.
    """

    def __init__(self, connection: Connection) -> None:
        """Use an open connection."""
        self._connection = connection
        # It executes a statement by the driver: SQLAlchemy's own execution takes several times as long.
        self._run = StatementRunner(connection.connection, connection.dialect).execute

    def _get_row(
        self, query: Select[Any], subject: str, parameters: Mapping[str, object] | None = None, *, lock: bool = False
    ) -> Any:
        """The only row of a query; `lock` locks it until the transaction ends.

        Raises NotFound if there is no row; `subject` says in its text what was not found.
        """
        row = self._connection.execute(query.with_for_update() if lock else query, parameters).one_or_none()
        if row is None:
            raise NotFound(subject)
        return row

    def _find(self, query: Select[Any], convert: Callable[[Any], _T]) -> _T | None:
        """The only row of a query, converted; None if there is no row."""
        row = self._connection.execute(query).one_or_none()
        return None if row is None else convert(row)

    def _rows_in(self, query: Select[Any], column: ColumnElement[Any], values: Collection[Any]) -> list[Any]:
        """The rows of a query whose column has one of the values; many values take several statements."""
        rows: list[Any] = []
        for chunk in chunks(sorted(set(values))):
            rows += self._connection.execute(query.where(column.in_(chunk)))
        return rows

    def _run_for_ids(self, query: Query, ids: Iterable[int], **parameters: object) -> Iterator[Any]:
        """The rows of a statement with the parameter `IDS`; many ids take several statements."""
        for chunk in chunks(sorted(set(ids))):
            yield from self._run(query, {"ids": chunk, **parameters})

    def _page_after(self, query: Select[Any], id: ColumnElement[int], after: int, limit: int) -> Sequence[Any]:
        """At most `limit` rows of a query with ids above `after`, in the order of the ids."""
        return self._connection.execute(query.where(id > after).order_by(id).limit(limit)).all()

    def _count(self, *conditions: ColumnElement[bool]) -> int:
        """How many rows of a table meet all conditions, which name the table."""
        return self._connection.execute(select(func.count()).where(*conditions)).scalar_one()

    def _insert(self, table: Table, row: Row) -> Any:
        """Insert a row; return it as it is stored."""
        return self._connection.execute(insert(table).returning(table), row).one()

    def _insert_into(self, table: Table) -> Any:
        """An INSERT of the database's dialect, which has `on_conflict_do_nothing` and `on_conflict_do_update`."""
        return sqlite.insert(table) if self._connection.dialect.name == "sqlite" else postgresql.insert(table)

    def _upsert(
        self,
        table: Table,
        rows: Sequence[Row],
        *,
        sum_columns: Sequence[str] = (),
        min_columns: Sequence[str] = (),
        max_columns: Sequence[str] = (),
        new_columns: Sequence[str] = (),
    ) -> None:
        """Insert rows, or update the rows that already have their primary keys.

        In an existing row, `sum_columns` get the sum of the old and the new value, `min_columns` the smaller one,
        `max_columns` the larger one, and `new_columns` the new one. The other columns do not change.
        `rows` must be in the order of their keys, so that two transactions cannot deadlock.
        """
        if not rows:
            return
        query = self._insert_into(table)
        new = query.excluded
        updated = {name: new[name] for name in new_columns} | {name: table.c[name] + new[name] for name in sum_columns}
        updated |= {name: case((new[name] < table.c[name], new[name]), else_=table.c[name]) for name in min_columns}
        updated |= {name: case((new[name] > table.c[name], new[name]), else_=table.c[name]) for name in max_columns}
        self._connection.execute(
            query.on_conflict_do_update(index_elements=list(table.primary_key), set_=updated), rows
        )

    def _update(self, table: Table, id: int, **values: object) -> None:
        """Set columns of the row with this id to the values."""
        self._connection.execute(update(table).where(table.c.id == id).values(values))

    def _delete(self, table: Table, *conditions: ColumnElement[bool]) -> int:
        """Delete the rows of a table that meet all conditions; return how many."""
        return self._connection.execute(delete(table).where(*conditions)).rowcount


_R = TypeVar("_R", bound=Repository)


class repository(Generic[_R]):  # noqa: N801
    """An attribute of a transaction: the repository of a class, made at the first use and then cached.

    functools.cached_property would do the same, but in Python 3.11 all threads share its lock.
    """

    def __init__(self, repository_class: type[_R]) -> None:
        """An attribute with a repository of this class."""
        self._class = repository_class

    def __set_name__(self, owner: type, name: str) -> None:
        """Store the name under which the repository is cached."""
        self._name = name

    def __get__(self, transaction: Any, owner: type) -> _R:
        """Make the repository. Python looks in `__dict__` first, so this is called once for each transaction."""
        made = transaction.__dict__[self._name] = self._class(transaction.connection)
        return made


def attributes(source: object, *names: str) -> dict[str, Any]:
    """These attributes of a row or of a domain object, by name: those that have the same name in both."""
    return {name: getattr(source, name) for name in names}


_Convert = Callable[[Any], Any]
"""Converts a value to the type of the driver."""


def insert_rows(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows that all have the same columns. For a thousand rows, SQLAlchemy takes several times as long."""
    if not rows:
        return
    names = tuple(rows[0])
    values = [list(map(row.__getitem__, names)) for row in rows]
    for position, convert in _conversions(table, names, connection.dialect):
        for row in values:
            row[position] = convert(row[position])
    insert_values(connection, table.name, names, values)


_MOST_IN_INSERT = 8
"""The most rows that go to PostgreSQL by one INSERT: it takes one round trip, and COPY takes three."""


def insert_values(
    connection: Connection,
    table: str,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    most_in_insert: int = _MOST_IN_INSERT,
) -> None:
    """Insert rows, each with a value for each column in `names`, in that order and in the driver's types.

    More than `most_in_insert` rows go to PostgreSQL by COPY, which also accepts values in the types of SQLite.
    """
    if not rows:
        return
    quoted = '", "'.join(names)
    target = f'{table} ("{quoted}")'
    cursor: Any = connection.connection.cursor()
    with closing(cursor):
        if connection.dialect.name == "sqlite":
            cursor.executemany(f"INSERT INTO {target} VALUES ({', '.join('?' * len(names))})", rows)
        elif len(rows) <= most_in_insert:
            placeholders = f"({', '.join(['%s'] * len(names))})"
            cursor.execute(f"INSERT INTO {target} VALUES {', '.join([placeholders] * len(rows))}", [*chain(*rows)])
        else:
            with cursor.copy(f"COPY {target} FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)


@cache
def _conversions(table: Table, names: tuple[str, ...], dialect: Dialect) -> tuple[tuple[int, _Convert], ...]:
    """The positions in `names` of the columns whose values must be converted, each with its conversion."""
    columns: list[Column[Any]] = [table.c[name] for name in names]
    conversions = (column.type.dialect_impl(dialect).bind_processor(dialect) for column in columns)
    return tuple((position, convert) for position, convert in enumerate(conversions) if convert is not None)
