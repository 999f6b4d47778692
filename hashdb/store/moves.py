"""Moves: copy one database to another, row by row; an interrupted run can be repeated."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Engine,
    Index,
    String,
    Table,
    UniqueConstraint,
    func,
    inspect,
    select,
    text,
    update,
)
from sqlalchemy.exc import DataError, IntegrityError, ProgrammingError

from hashdb.domain.ledger.events import Head
from hashdb.errors import MoveFailed
from hashdb.store.ledger.events import Audit
from hashdb.store.migrations import COPYING, NEWEST, migrate, revision
from hashdb.store.repositories import insert_values
from hashdb.store.tables import log, metadata

Values = tuple[Any, ...]
"""The values of a row, or of its key."""
Advance = Callable[[int], None]
"""Called with a number of rows that were compared since the last call."""
_ROWS = 10_000
"""Rows that are read, compared and written at a time."""


class Moved(NamedTuple):
    """The result of a run: the head of the log, the rows of each table, and how many were deleted or inserted."""

    head: Head
    rows: Mapping[str, int]
    written: int


def begin(source: Connection, target: Engine) -> None:
    """Create the schema in an empty target, or continue an unfinished copy. Raises MoveFailed for any other target.

    Until `finish`, the version of the schema marks the target as a copy, and nothing else opens it. Indexes and, on
    PostgreSQL, foreign keys are dropped: creating them once all rows are there is faster than updating them row by row.
    """
    if revision(source) != NEWEST:
        raise MoveFailed(
            "the service's database has the schema of another version: run this command with the version of the service"
        )
    epoch = source.execute(select(log.c.epoch)).scalar_one()
    with _writing(target) as connection, connection.begin():
        if not inspect(connection).get_table_names():
            try:
                migrate(connection)
            except ProgrammingError:
                raise MoveFailed("the user of the target may not create tables: grant it that right") from None
            connection.execute(update(log).values(epoch=epoch))
            _drop_extras(connection)
            _mark(connection, COPYING + NEWEST)
            return
        schema = revision(connection)
        if schema is None or not schema.startswith(COPYING):
            raise MoveFailed("the target is neither empty nor an unfinished copy: name an empty database")
        if schema != COPYING + NEWEST:
            raise MoveFailed("another version began the unfinished copy: name an empty database")
        if connection.execute(select(log.c.epoch)).scalar_one() != epoch:
            raise MoveFailed("the unfinished copy belongs to another log: name an empty database")


def count(source: Connection) -> int:
    """The number of rows of all tables."""
    return sum(source.execute(select(func.count()).select_from(table)).scalar_one() for table in metadata.sorted_tables)


def make_equal(source: Connection, target: Engine, advance: Advance) -> Moved:
    """Write to the target the rows that differ from the source's snapshot, then compare again.

    `source` is in one read transaction for all of it.
    Each few thousand rows are committed, so a killed run can be continued. Raises MoveFailed.
    """
    with _writing(target) as connection:
        with connection.begin():
            # An earlier run may have created them, and a unique value may have moved from one row to another.
            for index in _unique_indexes():
                index.drop(connection, checkfirst=True)
        rows, written = _compare(source, target, connection, advance)
        with connection.begin():
            for table in metadata.sorted_tables:
                for index in table.indexes:
                    index.create(connection, checkfirst=True)
        if written:
            rows, changed = _compare(source, target, connection, advance)
            if changed:
                raise MoveFailed(f"the target did not keep {changed} rows as this command wrote them")
    return Moved(Audit(source).head(), rows, written)


def finish(source: Connection, target: Engine, head: Head) -> None:
    """Make the target a service's database: its ids continue after the source's, and its schema is complete.

    `source` is in a later transaction than that of `make_equal`, so that it shows what was written since.
    Raises MoveFailed where the head of the source's log is not the one that was moved.
    """
    if Audit(source).head() != head:
        raise MoveFailed(
            "another process wrote to the service's database meanwhile: stop it, and run this command again"
        )
    with _writing(target) as connection, connection.begin():
        for table in metadata.sorted_tables:
            if (column := table.autoincrement_column) is not None:
                _set_last_id(connection, table, column, _last_id(source, table, column))
        if connection.dialect.name == "postgresql":
            _add_references(connection)
            # Without it the first queries run with plans for empty tables.
            connection.execute(text("ANALYZE"))
        _mark(connection, NEWEST)


def differing(
    source: Iterator[Sequence[Values]], target: Iterator[Sequence[Values]], width: int
) -> Iterator[tuple[list[Values], list[Values]]]:
    """Compare the rows of the source and the target, in batches in the order of their keys.

    Yields pairs: rows to insert into the target, and keys of rows to delete before that. A row that differs is in both.
    The key is the first `width` values of a row.
    """
    source_rows: Sequence[Values] = ()
    target_rows: Sequence[Values] = ()
    while True:
        source_rows, target_rows = source_rows or next(source, ()), target_rows or next(target, ())
        if source_rows == target_rows:
            if not source_rows:
                return
            source_rows = target_rows = ()
            continue
        # When one side has ended, the other is handled to its end.
        last_key = min(side[-1][:width] for side in (source_rows, target_rows) if side)
        source_part, source_rows = _split(source_rows, last_key, width)
        target_part, target_rows = _split(target_rows, last_key, width)
        targets_by_key = {row[:width]: row for row in target_part}
        missing, stale = [], []
        for row in source_part:
            target_row = targets_by_key.pop(row[:width], None)
            if target_row != row:
                missing.append(row)
                if target_row is not None:
                    stale.append(row[:width])
        yield missing, [*stale, *targets_by_key]


def _split(rows: Sequence[Values], last_key: Values, width: int) -> tuple[Sequence[Values], Sequence[Values]]:
    """The rows up to this key, and the others."""
    end = bisect_right(rows, last_key, key=lambda row: row[:width])
    return rows[:end], rows[end:]


def _compare(source: Connection, target: Engine, writer: Connection, advance: Advance) -> tuple[dict[str, int], int]:
    """Compare every table and write what differs; return the rows of each, and how many were deleted or inserted."""
    rows, written = dict.fromkeys((table.name for table in metadata.sorted_tables), 0), 0

    def counted(table: Table) -> Generator[Sequence[Values], None, None]:
        for part in _read(source, table):
            rows[table.name] += len(part)
            advance(len(part))
            yield part

    for table in metadata.sorted_tables:
        # A unique value may have moved from one row to another: then all old rows are deleted first.
        # Unique indexes are created later.
        deletes_first = any(isinstance(constraint, UniqueConstraint) for constraint in table.constraints)
        postponed_rows: list[Values] = []
        postponed_deletions: list[Values] = []
        with (
            target.connect().execution_options(**_SNAPSHOT.get(target.dialect.name, {})) as reader,
            reader.begin(),
            closing(counted(table)) as source_rows,
            closing(_read(reader, table)) as target_rows,
        ):
            for missing, stale in differing(source_rows, target_rows, len(table.primary_key)):
                written += len(missing) + len(stale)
                if deletes_first:
                    postponed_rows += missing
                    postponed_deletions += stale
                else:
                    _write(writer, table, missing, stale)
        _write(writer, table, postponed_rows, postponed_deletions)
    return rows, written


_SNAPSHOT: Mapping[str, Mapping[str, Any]] = {"postgresql": {"isolation_level": "REPEATABLE READ"}}


def _columns(table: Table) -> list[Column[Any]]:
    """The columns of the key, then the others."""
    key = list(table.primary_key)
    return [*key, *(column for column in table.columns if not column.primary_key)]


def _read(connection: Connection, table: Table) -> Generator[Sequence[Values], None, None]:
    """The rows of a table as the driver returns them, in batches, in the order in which Python sorts their keys.

    Values have the same type on both databases; a boolean is 0 or 1.
    """
    columns, postgresql = _columns(table), connection.dialect.name == "postgresql"
    names = [
        f'CAST("{column.name}" AS INTEGER)' if postgresql and isinstance(column.type, Boolean) else f'"{column.name}"'
        for column in columns
    ]
    order = [
        f'"{column.name}" COLLATE "C"' if postgresql and _is_text(column) else f'"{column.name}"'
        for column in table.primary_key
    ]
    query = f'SELECT {", ".join(names)} FROM "{table.name}" ORDER BY {", ".join(order)}'
    driver: Any = connection.connection
    cursor = driver.cursor("move") if postgresql else driver.cursor()
    with closing(cursor):
        cursor.execute(query, binary=True) if postgresql else cursor.execute(query)
        while rows := cursor.fetchmany(_ROWS):
            yield rows


def _is_text(column: Column[Any]) -> bool:
    return isinstance(getattr(column.type, "impl", column.type), String)


def _write(connection: Connection, table: Table, missing: Sequence[Values], stale: Sequence[Values]) -> None:
    """Delete the rows with the keys `stale`, then insert the rows `missing`, and commit.

    Raises MoveFailed for a row that the target cannot hold.
    """
    if not missing and not stale:
        return
    place = "%s" if connection.dialect.name == "postgresql" else "?"
    keys = " AND ".join(f'"{column.name}" = {place}' for column in table.primary_key)
    driver = connection.dialect.loaded_dbapi
    try:
        with connection.begin():
            if stale:
                connection.exec_driver_sql(f'DELETE FROM "{table.name}" WHERE {keys}', list(stale))
            # Few rows, too, go by COPY, which takes the values of SQLite.
            insert_values(
                connection, table.name, [column.name for column in _columns(table)], missing, most_in_insert=0
            )
    except (DataError, IntegrityError, driver.DataError, driver.IntegrityError):
        # The driver's message may contain the row.
        raise MoveFailed(f"the target rejects a row of the table {table.name}") from None


@contextmanager
def _writing(target: Engine) -> Iterator[Connection]:
    """A connection that may write a row before the row that it refers to."""
    # With `hashdb_writes`, each transaction locks SQLite from its start.
    with target.connect().execution_options(hashdb_writes=True) as connection:
        driver: Any = connection.connection.driver_connection
        if target.dialect.name == "sqlite":
            driver.execute("PRAGMA foreign_keys=OFF")
        try:
            yield connection
        finally:
            if target.dialect.name == "sqlite":
                connection.rollback()
                driver.execute("PRAGMA foreign_keys=ON")


def _unique_indexes() -> Iterator[Index]:
    return (index for table in metadata.sorted_tables for index in table.indexes if index.unique)


def _drop_extras(connection: Connection) -> None:
    """Drop indexes and, on PostgreSQL, foreign keys until all rows are there."""
    for table in metadata.sorted_tables:
        for index in table.indexes:
            index.drop(connection)
        if connection.dialect.name == "postgresql":
            for reference in inspect(connection).get_foreign_keys(table.name):
                connection.exec_driver_sql(f'ALTER TABLE "{table.name}" DROP CONSTRAINT "{reference["name"]}"')


def _add_references(connection: Connection) -> None:
    for table in metadata.sorted_tables:
        for reference in table.foreign_key_constraints:
            columns = ", ".join(f'"{name}"' for name in reference.column_keys)
            referred = ", ".join(f'"{element.column.name}"' for element in reference.elements)
            connection.exec_driver_sql(
                f'ALTER TABLE "{table.name}" ADD CONSTRAINT "{reference.name!s}"'
                f' FOREIGN KEY ({columns}) REFERENCES "{reference.referred_table.name}" ({referred})'
            )


def _last_id(source: Connection, table: Table, column: Column[Any]) -> int:
    """The last id that a row of the table was given; the row may have been deleted since."""
    last: int = source.execute(select(func.coalesce(func.max(column), 0))).scalar_one()
    if source.dialect.name == "sqlite":
        query = text("SELECT seq FROM sqlite_sequence WHERE name = :table")
        return max(last, source.execute(query, {"table": table.name}).scalar_one_or_none() or 0)
    sequence = source.execute(select(func.pg_get_serial_sequence(table.name, column.name))).scalar_one()
    query = text(f"SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {sequence}")
    called: int = source.execute(query).scalar_one()
    return max(last, called)


def _set_last_id(connection: Connection, table: Table, column: Column[Any], last: int) -> None:
    if connection.dialect.name == "postgresql":
        sequence = func.pg_get_serial_sequence(table.name, column.name)
        connection.execute(select(func.setval(sequence, max(last, 1), last > 0)))
    elif table.dialect_options["sqlite"]["autoincrement"]:
        connection.exec_driver_sql("DELETE FROM sqlite_sequence WHERE name = ?", (table.name,))
        connection.exec_driver_sql("INSERT INTO sqlite_sequence VALUES (?, ?)", (table.name, last))


def _mark(connection: Connection, number: str) -> None:
    connection.execute(text("UPDATE alembic_version SET version_num = :number"), {"number": number})
