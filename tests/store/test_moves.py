"""A database that is moved is the same row by row, on SQLite and PostgreSQL, and nothing opens half of one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Boolean, Column, LargeBinary, String, create_engine, func, inspect, select, text

from hashdb.domain.accounts.members import SYSTEM, MemberDraft, MemberKind
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.errors import MoveFailed, UnfinishedCopy
from hashdb.store import Store
from hashdb.store.moves import differing
from hashdb.store.repositories import insert_values
from hashdb.store.tables import contributions, metadata
from tests import schemas
from tests.builders import NOON

pytestmark = pytest.mark.postgres
TEXTS = ("b", "B", "a-b", "ab", "ä", "a\n\\N", "\U0001f600", "é", "_", "Z")
"""Which no two orders of a language sort alike."""
LAST = 50
"""The last id of a contribution, which is gone."""

_rows = st.dictionaries(st.tuples(st.integers(0, 9), st.sampled_from(TEXTS)), st.integers(0, 3), max_size=12)


def silent(count: int) -> None:
    pass


@given(_rows, _rows, st.integers(1, 4), st.integers(1, 4))
def test_what_differs_makes_one_table_of_the_other(
    ours: dict[tuple[int, str], int], theirs: dict[tuple[int, str], int], each: int, other: int
) -> None:
    def parts(table: dict[tuple[int, str], int], size: int) -> Iterator[list[tuple[Any, ...]]]:
        rows = sorted((*key, value) for key, value in table.items())
        return (rows[start : start + size] for start in range(0, len(rows), size))

    made, changes = dict(theirs), 0
    for missing, stale in differing(parts(ours, each), parts(theirs, other), 2):
        for first, second in stale:
            del made[first, second]
        for first, second, value in missing:
            assert (first, second) not in made
            made[first, second] = value
        changes += len(missing) + len(stale)
    assert made == ours
    assert (changes == 0) == (ours == theirs)


def value(column: Column[Any], number: int) -> Any:
    """A value of a column's type, as both drivers take it; another for each number, sometimes none."""
    if column.nullable and number == 2:
        return None
    if column.foreign_keys:
        return number
    kind = getattr(column.type, "impl", column.type)
    if isinstance(kind, LargeBinary):
        return bytes([number, 0, 255]) * 8
    if isinstance(kind, String):
        return TEXTS[number % len(TEXTS)]
    return number % 2 if isinstance(kind, Boolean) else number


def fill(url: str) -> None:
    """Rows in every table, with every kind of value."""
    schemas.make(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
            columns = list(table.columns)
            rows = [tuple(value(one, number) for one in columns) for number in range(1, len(TEXTS) + 1)]
            kept = rows[:1] if table.name == "log" else rows
            insert_values(connection, table.name, [one.name for one in columns], kept)
        connection.execute(text("UPDATE sqlite_sequence SET seq = :last WHERE name = 'contributions'"), {"last": LAST})
    engine.dispose()


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, as the driver has it."""
    engine = create_engine(url)
    found: dict[str, list[tuple[Any, ...]]] = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            read = connection.exec_driver_sql(f"SELECT {names} FROM {table.name}")
            found[table.name] = sorted((tuple(map(_plain, row)) for row in read), key=repr)
    engine.dispose()
    return found


def _plain(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def shape(url: str) -> dict[str, Any]:
    """What a database has beside its rows."""
    engine = create_engine(url)
    look = inspect(engine)
    found = {
        name: (
            sorted(str(one["name"]) for one in look.get_indexes(name)),
            sorted((str(one["name"]), one["referred_table"]) for one in look.get_foreign_keys(name)),
            sorted(str(one["name"]) for one in look.get_unique_constraints(name)),
        )
        for name in sorted(look.get_table_names())
    }
    engine.dispose()
    return found


def move(source: str, target: str, *, finish: bool = True) -> int:
    """Move a database; how many rows had to be written."""
    with closing(Store(source)) as store, closing(Store(target)) as other:
        moved = store.move_to(other, silent)
        if finish:
            store.finish_move_to(other, moved.head)
        return moved.written


def next_id(url: str) -> int:
    """The id of the next contribution."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if url.startswith("sqlite"):
            given = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'contributions'"))
            found: int = given.scalar_one() + 1
        else:
            sequence = func.pg_get_serial_sequence("contributions", "id")
            found = connection.execute(select(func.nextval(sequence))).scalar_one()
    engine.dispose()
    return found


def test_every_row_of_every_table_arrives_there_and_back(tmp_path: Path, empty_postgres_url: str) -> None:
    first, back = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "back"))
    fill(first)
    before = rows(first)
    assert all(before.values())
    count = sum(map(len, before.values()))
    assert move(first, empty_postgres_url) >= count
    assert rows(empty_postgres_url) == before
    assert move(empty_postgres_url, back) >= count
    assert rows(back) == before
    assert next_id(back) == LAST + 1
    assert next_id(empty_postgres_url) == LAST + 1


def test_a_moved_database_has_the_schema_that_migrations_make(
    tmp_path: Path, empty_postgres_url: str, postgres_url: str
) -> None:
    first, back = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "back"))
    fill(first)
    move(first, empty_postgres_url)
    assert shape(empty_postgres_url) == shape(postgres_url)
    move(empty_postgres_url, back)
    assert shape(back) == shape(first)


@pytest.mark.parametrize("there", [True, False], ids=["to PostgreSQL", "to SQLite"])
def test_a_second_run_writes_only_what_has_changed_and_swapped_names_are_no_clash(
    tmp_path: Path, empty_postgres_url: str, postgres_url: str, there: bool
) -> None:
    source, target = f"sqlite:///{tmp_path}/first.sqlite", empty_postgres_url
    fill(source)
    if not there:
        move(source, target)
        source, target = target, f"sqlite:///{tmp_path}/second.sqlite"
    move(source, target, finish=False)
    assert move(source, target, finish=False) == 0
    engine = create_engine(source)
    with engine.begin() as connection:
        for old, new in (("B", "x"), ("a-b", "B"), ("x", "a-b")):
            connection.execute(text("UPDATE members SET name = :new WHERE name = :old"), {"old": old, "new": new})
        connection.execute(text("DELETE FROM hits WHERE member = 3"))
        connection.execute(text("UPDATE contributions SET severity = 9 WHERE id = 4"))
    engine.dispose()
    # Of a row that is replaced, the old and the new one are counted.
    assert move(source, target) == 2 * 2 + 1 + 2
    assert rows(target) == rows(source)


def test_an_unfinished_copy_is_opened_by_nothing(tmp_path: Path, empty_postgres_url: str) -> None:
    first = f"sqlite:///{tmp_path}/first.sqlite"
    fill(first)
    move(first, empty_postgres_url, finish=False)
    with closing(Store(empty_postgres_url)) as target:
        for refused in (target.migrate, target.require_current):
            with pytest.raises(UnfinishedCopy):
                refused()
    assert move(first, empty_postgres_url) == 0
    with closing(Store(empty_postgres_url)) as target:
        target.require_current()


def test_a_target_that_is_no_copy_of_this_log_is_refused_and_left_alone(
    tmp_path: Path, empty_postgres_url: str, postgres_url: str
) -> None:
    first, other = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "other"))
    fill(first)
    schemas.make(other)
    before = rows(postgres_url)
    for target in (postgres_url, first, other):
        with pytest.raises(MoveFailed, match="neither empty nor an unfinished copy"):
            move(first, target)
    assert rows(postgres_url) == before
    move(other, empty_postgres_url, finish=False)
    with pytest.raises(MoveFailed, match="of another log"):
        move(first, empty_postgres_url)
    engine = create_engine(empty_postgres_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'copying 0001'"))
    engine.dispose()
    with pytest.raises(MoveFailed, match="another version"):
        move(other, empty_postgres_url)


def test_a_copy_is_not_finished_where_the_log_went_on(tmp_path: Path, empty_postgres_url: str) -> None:
    first = f"sqlite:///{tmp_path}/first.sqlite"
    schemas.make(first)
    with closing(Store(first)) as store, closing(Store(empty_postgres_url)) as target:
        moved = store.move_to(target, silent)
        with store.begin() as tx:
            tx.members.add(MemberDraft("Alpha", MemberKind.PLATFORM), NOON)
            tx.audit.append(NOON, SYSTEM, [LogEntry(Action.MEMBER_ADDED, "member", 1, {"kind": "platform"})])
        with pytest.raises(MoveFailed, match="meanwhile"):
            store.finish_move_to(target, moved.head)
        with pytest.raises(UnfinishedCopy):
            target.require_current()


def test_what_postgresql_cannot_hold_is_told_by_its_table_and_not_shown(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    first = f"sqlite:///{tmp_path}/first.sqlite"
    fill(first)
    engine = create_engine(first)
    with engine.begin() as connection:
        connection.execute(contributions.update().where(contributions.c.id == 3).values(reference="secret\x00"))
    engine.dispose()
    with pytest.raises(MoveFailed) as raised:
        move(first, empty_postgres_url)
    assert str(raised.value) == "the target cannot hold a row that the table contributions has"
