"""Migrations create exactly the tables of the code, also if several processes run them at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, inspect, text

from hashdb.domain.accounts.members import MemberDraft, MemberKind
from hashdb.domain.review.queues import QueueQuery
from hashdb.errors import SchemaOutdated
from hashdb.store import Store, migrations
from hashdb.store.tables import metadata
from tests.builders import NOON
from tests.processes import processes
from tests.schemas import restored


def migrate(url: str) -> str:
    """Migrate a database; return the epoch of its log."""
    store = Store(url, busy_seconds=30)
    store.migrate()
    store.require_current()
    with store.read() as tx:
        epoch = tx.audit.head().epoch
    store.close()
    return epoch


def execute(url: str, statement: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def test_a_new_database_has_exactly_the_tables(empty_url: str) -> None:
    migrate(empty_url)
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_newest_is_the_last_migration() -> None:
    versions = Path(migrations.__file__).with_name("versions").glob("*.py")
    assert max(path.stem[:4] for path in versions) == migrations.NEWEST


def migrate_to(url: str, revision: str) -> Engine:
    """Migrate a database to an old revision; return an engine for it."""
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine


def test_migrate_returns_the_revision_that_it_started_from(empty_url: str) -> None:
    restored(empty_url, migrations.OLDEST)
    store = Store(empty_url)
    assert [store.migrate(), store.migrate()] == [migrations.OLDEST, migrations.NEWEST]
    store.close()


def test_migrate_returns_none_for_an_empty_database(empty_url: str) -> None:
    store = Store(empty_url)
    assert store.migrate() is None
    store.close()


def test_the_comparison_of_schemas_detects_an_extra_column(empty_url: str) -> None:
    migrate(empty_url)
    execute(empty_url, "ALTER TABLE members ADD COLUMN extra INTEGER")
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        assert len(compare_metadata(MigrationContext.configure(connection), metadata)) == 1
    engine.dispose()


def test_migrating_a_current_database_changes_nothing(empty_url: str) -> None:
    epoch = migrate(empty_url)
    store = Store(empty_url)
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
    assert migrate(empty_url) == epoch
    with store.read() as tx:
        assert tx.members.page(0, 10) == (member,)
    store.close()


def test_every_database_has_its_own_epoch(empty_url: str, tmp_path: Path) -> None:
    assert migrate(empty_url) != migrate(f"sqlite:///{tmp_path}/other.sqlite")


def test_a_database_without_a_schema_is_reported_as_outdated(empty_url: str) -> None:
    store = Store(empty_url)
    with pytest.raises(SchemaOutdated) as caught:
        store.require_current()
    assert (caught.value.found, caught.value.needed) == ("none", migrations.NEWEST)
    store.close()


def test_an_unknown_schema_is_reported_and_not_changed(empty_url: str) -> None:
    migrate(empty_url)
    execute(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    store = Store(empty_url)
    for attempt in (store.require_current, store.migrate):
        with pytest.raises(SchemaOutdated) as caught:
            attempt()
        assert (caught.value.found, caught.value.needed) == ("9999", migrations.NEWEST)
    store.close()


def test_a_schema_before_version_0_1_0_is_reported_and_not_migrated(empty_url: str) -> None:
    migrate(empty_url)
    execute(empty_url, "UPDATE alembic_version SET version_num = '0014'")
    store = Store(empty_url)
    for attempt in (store.require_current, store.migrate):
        with pytest.raises(SchemaOutdated, match=r"upgrade it with version 0\.1\.0 first"):
            attempt()
    store.close()


def test_several_processes_can_migrate_a_database_at_the_same_time(empty_url: str) -> None:
    with processes(4) as pool:
        epochs = list(pool.map(migrate, [empty_url] * 4))
    assert len(set(epochs)) == 1


def column_types(url: str) -> dict[str, dict[str, tuple[str, bool]]]:
    """The type of each column of each table, and whether an INSERT may omit the column."""
    engine = create_engine(url)
    inspector = inspect(engine)
    tables = {
        table: {
            column["name"]: (
                str(column["type"]),
                bool(column["nullable"] or column["default"] is not None or column.get("autoincrement") is True),
            )
            for column in inspector.get_columns(table)
        }
        for table in inspector.get_table_names()
    }
    engine.dispose()
    return tables


def test_each_migration_only_adds_to_the_schema(tmp_path: Path) -> None:
    versions = sorted(path.stem[:4] for path in Path(migrations.__file__).with_name("versions").glob("*.py"))
    before: dict[str, dict[str, tuple[str, bool]]] = {}
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    restored(url, migrations.OLDEST)
    for revision in versions:
        migrate_to(url, revision).dispose()
        after = column_types(url)
        for table, columns in before.items() if revision[0] == migrations.OLDEST[0] else ():
            assert columns.items() <= after[table].items(), f"{revision} removes or changes a column of {table}"
            added = {name: after[table][name] for name in after[table].keys() - columns}
            assert all(may_omit for _, may_omit in added.values()), (
                f"{revision}: an older version cannot write rows without {added}"
            )
        before = after


def test_a_newer_schema_with_additions_is_accepted(empty_url: str) -> None:
    migrate(empty_url)
    execute(empty_url, "ALTER TABLE members ADD COLUMN added_later TEXT")
    execute(empty_url, "UPDATE alembic_version SET version_num = '0999'")
    migrate(empty_url)
    store = Store(empty_url)
    with store.begin() as tx:
        assert tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
    store.close()


def test_a_migrated_open_case_counts_for_the_member_that_disputed(empty_url: str) -> None:
    migrate(restored(empty_url, migrations.OLDEST))
    store = Store(empty_url)
    with store.read() as tx:
        query = QueueQuery()
        piles = tx.queues.piles(query, NOON, tx.queues.openers_of_piles(query, NOON, 0))
    assert [(pile.member, pile.count) for pile in piles] == [(3, 1)]
    store.close()
