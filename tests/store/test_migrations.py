"""Migrations: they make exactly the tables, more than once at a time too."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import create_engine, text

from hashdb.domain import merkle
from hashdb.domain.audit import Action, Entry
from hashdb.domain.members import SYSTEM, MemberDraft, MemberKind
from hashdb.errors import SchemaOutdated
from hashdb.store import Store, migrations
from hashdb.store.tables import metadata
from tests.builders import NOON
from tests.processes import processes


def migrate(url: str) -> str:
    """Bring a database up, and tell the epoch of its log."""
    store = Store(url, busy_seconds=30)
    store.migrate()
    store.require_current()
    with store.read() as tx:
        epoch = tx.audit.head().epoch
    store.close()
    return epoch


def run(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_migrations_make_exactly_the_tables(database_url: str) -> None:
    migrate(database_url)
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_newest_version_is_named() -> None:
    versions = Path(migrations.__file__).with_name("versions").glob("*.py")
    assert max(path.stem[:4] for path in versions) == migrations.NEWEST


def test_the_tree_is_made_over_the_events_that_there_are(database_url: str) -> None:
    entries = [Entry(Action.KEY_ISSUED, "key", number, {}) for number in range(1, 46)]
    store = Store(database_url)
    store.migrate()
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, entries)
    with store.read() as tx:
        expected = tx.tree.edge(), list(tx.tree.inner(0, 100))
    for table in ("erasures", "opinions", "cases", "nodes", "signers", "checkpoints"):
        run(database_url, f"DROP TABLE {table}")
    run(database_url, "ALTER TABLE log DROP COLUMN peaks")
    run(database_url, "UPDATE alembic_version SET version_num = '0001'")
    store.migrate()
    with store.read() as tx:
        assert (tx.tree.edge(), list(tx.tree.inner(0, 100))) == expected
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, entries)
    with store.read() as tx:
        size, peaks = tx.tree.edge()
        assert (size, merkle.fold(peaks)) == (90, merkle.root([event.leaf for event in tx.audit.since(0, 100)]))
    store.close()


def test_the_comparison_would_tell_a_difference(database_url: str) -> None:
    migrate(database_url)
    run(database_url, "ALTER TABLE members ADD COLUMN extra INTEGER")
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert len(compare_metadata(MigrationContext.configure(connection), metadata)) == 1
    engine.dispose()


def test_bringing_up_a_current_database_changes_nothing(database_url: str) -> None:
    epoch = migrate(database_url)
    store = Store(database_url)
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
    assert migrate(database_url) == epoch
    with store.read() as tx:
        assert tx.members.page(0, 10) == (member,)
    store.close()


def test_every_database_has_an_epoch_of_its_own(database_url: str, tmp_path: Path) -> None:
    assert migrate(database_url) != migrate(f"sqlite:///{tmp_path}/other.sqlite")


def test_a_database_without_a_schema_is_told(database_url: str) -> None:
    store = Store(database_url)
    with pytest.raises(SchemaOutdated) as caught:
        store.require_current()
    assert (caught.value.found, caught.value.needed) == ("none", migrations.NEWEST)
    store.close()


def test_another_schema_is_told_and_left_as_it_is(database_url: str) -> None:
    migrate(database_url)
    run(database_url, "UPDATE alembic_version SET version_num = '9999'")
    store = Store(database_url)
    for attempt in (store.require_current, store.migrate):
        with pytest.raises(SchemaOutdated) as caught:
            attempt()
        assert (caught.value.found, caught.value.needed) == ("9999", migrations.NEWEST)
    store.close()


def test_processes_that_bring_up_one_database_at_a_time_all_succeed(database_url: str) -> None:
    with processes(4) as pool:
        epochs = list(pool.map(migrate, [database_url] * 4))
    assert len(set(epochs)) == 1
