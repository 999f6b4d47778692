"""A moved database has the same rows, from SQLite to PostgreSQL and back, and no program opens an unfinished copy."""

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
from hashdb.store import Store, moves
from hashdb.store.moves import differing
from hashdb.store.repositories import insert_values
from hashdb.store.tables import contributions, metadata
from tests import schemas
from tests.builders import NOON

pytestmark = pytest.mark.postgres
TEXTS = ("b", "B", "a-b", "ab", "ä", "a\n\\N", "\U0001f600", "é", "_", "Z")
"""Texts that different collations sort in different orders."""
LAST = 50
"""The last id that a contribution had; the contribution no longer exists."""

_rows = st.dictionaries(st.tuples(st.integers(0, 9), st.sampled_from(TEXTS)), st.integers(0, 3), max_size=12)


def ignore_progress(count: int) -> None:
    pass


@given(_rows, _rows, st.integers(1, 4), st.integers(1, 4))
def test_applying_the_differences_makes_the_target_equal_to_the_source(
    source: dict[tuple[int, str], int], target: dict[tuple[int, str], int], source_size: int, target_size: int
) -> None:
    def parts(table: dict[tuple[int, str], int], size: int) -> Iterator[list[tuple[Any, ...]]]:
        rows = sorted((*key, value) for key, value in table.items())
        return (rows[start : start + size] for start in range(0, len(rows), size))

    result, changes = dict(target), 0
    for missing, stale in differing(parts(source, source_size), parts(target, target_size), 2):
        for first, second in stale:
            del result[first, second]
        for first, second, value in missing:
            assert (first, second) not in result
            result[first, second] = value
        changes += len(missing) + len(stale)
    assert result == source
    assert (changes == 0) == (source == target)


def sample_value(column: Column[Any], number: int) -> Any:
    """A value of the column's type that both drivers accept: another one for each number, and None for number 2."""
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
    """Insert rows with every kind of value into every table."""
    schemas.make(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        for table in metadata.sorted_tables:
            connection.execute(table.delete())
            columns = list(table.columns)
            rows = [tuple(sample_value(column, number) for column in columns) for number in range(1, len(TEXTS) + 1)]
            kept = rows[:1] if table.name == "log" else rows
            insert_values(connection, table.name, [column.name for column in columns], kept)
        connection.execute(text("UPDATE sqlite_sequence SET seq = :last WHERE name = 'contributions'"), {"last": LAST})
    engine.dispose()


def rows(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """All rows of all tables, as the driver returns them."""
    engine = create_engine(url)
    tables: dict[str, list[tuple[Any, ...]]] = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            read = connection.exec_driver_sql(f"SELECT {names} FROM {table.name}")
            tables[table.name] = sorted((tuple(map(_plain, row)) for row in read), key=repr)
    engine.dispose()
    return tables


def _plain(value: object) -> object:
    return int(value) if isinstance(value, bool) else value


def schema_objects(url: str) -> dict[str, Any]:
    """The indexes, foreign keys and unique constraints of each table."""
    engine = create_engine(url)
    inspector = inspect(engine)
    objects = {
        name: (
            sorted(str(item["name"]) for item in inspector.get_indexes(name)),
            sorted((str(item["name"]), item["referred_table"]) for item in inspector.get_foreign_keys(name)),
            sorted(str(item["name"]) for item in inspector.get_unique_constraints(name)),
        )
        for name in sorted(inspector.get_table_names())
    }
    engine.dispose()
    return objects


def move(source: str, target: str, *, finish: bool = True) -> int:
    """Move a database; return the number of written rows."""
    with closing(Store(source)) as store, closing(Store(target)) as other:
        moved = store.move_to(other, ignore_progress)
        if finish:
            store.finish_move_to(other, moved.head)
        return moved.written


def next_id(url: str) -> int:
    """The id of the next contribution."""
    engine = create_engine(url)
    with engine.begin() as connection:
        if url.startswith("sqlite"):
            result = connection.execute(text("SELECT seq FROM sqlite_sequence WHERE name = 'contributions'"))
            id: int = result.scalar_one() + 1
        else:
            sequence = func.pg_get_serial_sequence("contributions", "id")
            id = connection.execute(select(func.nextval(sequence))).scalar_one()
    engine.dispose()
    return id


def test_all_rows_are_moved_to_postgresql_and_back(tmp_path: Path, empty_postgres_url: str) -> None:
    first, back = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "back"))
    fill(first)
    rows_before = rows(first)
    assert all(rows_before.values())
    count = sum(map(len, rows_before.values()))
    assert move(first, empty_postgres_url) >= count
    assert rows(empty_postgres_url) == rows_before
    assert move(empty_postgres_url, back) >= count
    assert rows(back) == rows_before
    assert next_id(back) == LAST + 1
    assert next_id(empty_postgres_url) == LAST + 1


def test_a_moved_database_has_the_same_schema_as_a_migrated_one(
    tmp_path: Path, empty_postgres_url: str, postgres_url: str
) -> None:
    first, back = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "back"))
    fill(first)
    move(first, empty_postgres_url)
    assert schema_objects(empty_postgres_url) == schema_objects(postgres_url)
    move(empty_postgres_url, back)
    assert schema_objects(back) == schema_objects(first)


@pytest.mark.parametrize("to_postgresql", [True, False], ids=["to PostgreSQL", "to SQLite"])
def test_a_second_run_writes_only_changed_rows_and_can_swap_unique_names(
    tmp_path: Path, empty_postgres_url: str, postgres_url: str, to_postgresql: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = f"sqlite:///{tmp_path}/first.sqlite", empty_postgres_url
    fill(source)
    if not to_postgresql:
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
        # The ids at the upstream are unique by an index.
        for row, id in ((4, 99), (5, 4), (4, 5)):
            query = "UPDATE origins SET upstream_id = :id, remote_id = :id WHERE contribution_id = :row"
            connection.execute(text(query), {"row": row, "id": id})
    engine.dispose()
    monkeypatch.setattr(moves, "_ROWS", 1)
    # A replaced row counts twice: the deletion of the old row and the insertion of the new one.
    assert move(source, target) == 2 * 2 + 1 + 2 + 2 * 2
    assert rows(target) == rows(source)


def test_an_unfinished_copy_cannot_be_opened(tmp_path: Path, empty_postgres_url: str) -> None:
    first = f"sqlite:///{tmp_path}/first.sqlite"
    fill(first)
    move(first, empty_postgres_url, finish=False)
    with closing(Store(empty_postgres_url)) as target:
        for verb in (target.migrate, target.require_current):
            with pytest.raises(UnfinishedCopy):
                verb()
    assert move(first, empty_postgres_url) == 0
    with closing(Store(empty_postgres_url)) as target:
        target.require_current()


def test_a_target_with_other_content_is_rejected_and_not_changed(
    tmp_path: Path, empty_postgres_url: str, postgres_url: str
) -> None:
    first, other = (f"sqlite:///{tmp_path / name}.sqlite" for name in ("first", "other"))
    fill(first)
    schemas.make(other)
    rows_before = rows(postgres_url)
    for target in (postgres_url, first, other):
        with pytest.raises(MoveFailed, match="neither empty nor an unfinished copy"):
            move(first, target)
    assert rows(postgres_url) == rows_before
    move(other, empty_postgres_url, finish=False)
    with pytest.raises(MoveFailed, match="belongs to another log"):
        move(first, empty_postgres_url)
    engine = create_engine(empty_postgres_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'copying 0001'"))
    engine.dispose()
    with pytest.raises(MoveFailed, match="another version"):
        move(other, empty_postgres_url)


def test_a_copy_cannot_be_finished_if_the_log_has_new_events(tmp_path: Path, empty_postgres_url: str) -> None:
    first = f"sqlite:///{tmp_path}/first.sqlite"
    schemas.make(first)
    with closing(Store(first)) as store, closing(Store(empty_postgres_url)) as target:
        moved = store.move_to(target, ignore_progress)
        with store.begin() as tx:
            tx.members.add(MemberDraft("Alpha", MemberKind.PLATFORM), NOON)
            tx.audit.append(NOON, SYSTEM, [LogEntry(Action.MEMBER_ADDED, "member", 1, {"kind": "platform"})])
        with pytest.raises(MoveFailed, match="meanwhile"):
            store.finish_move_to(target, moved.head)
        with pytest.raises(UnfinishedCopy):
            target.require_current()


def test_a_row_that_postgresql_rejects_is_reported_by_table_without_value(
    tmp_path: Path, empty_postgres_url: str
) -> None:
    first = f"sqlite:///{tmp_path}/first.sqlite"
    fill(first)
    engine = create_engine(first)
    with engine.begin() as connection:
        connection.execute(contributions.update().where(contributions.c.id == 3).values(reference="secret\x00"))
    engine.dispose()
    with pytest.raises(MoveFailed) as caught:
        move(first, empty_postgres_url)
    assert str(caught.value) == "the target rejects a row of the table contributions"
