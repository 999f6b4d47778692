"""Migrations: they make exactly the tables, more than once at a time too."""

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
from tests.schemas import filled


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


def test_a_new_database_has_exactly_the_tables(empty_url: str) -> None:
    migrate(empty_url)
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_the_newest_version_is_named() -> None:
    versions = Path(migrations.__file__).with_name("versions").glob("*.py")
    assert max(path.stem[:4] for path in versions) == migrations.NEWEST


def at_revision(url: str, revision: str) -> Engine:
    """An engine to a database whose schema is an old one."""
    engine = create_engine(url)
    with engine.begin() as connection:
        config = Config()
        config.set_main_option("script_location", str(Path(migrations.__file__).parent))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    return engine


def test_who_brings_a_schema_up_is_told_which_one_was_there(empty_url: str) -> None:
    filled(empty_url, migrations.OLDEST)
    store = Store(empty_url)
    assert [store.migrate(), store.migrate()] == [migrations.OLDEST, migrations.NEWEST]
    store.close()


def test_who_makes_a_schema_is_told_that_there_was_none(empty_url: str) -> None:
    store = Store(empty_url)
    assert store.migrate() is None
    store.close()


def test_the_comparison_would_tell_a_difference(empty_url: str) -> None:
    migrate(empty_url)
    run(empty_url, "ALTER TABLE members ADD COLUMN extra INTEGER")
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        assert len(compare_metadata(MigrationContext.configure(connection), metadata)) == 1
    engine.dispose()


def test_bringing_up_a_current_database_changes_nothing(empty_url: str) -> None:
    epoch = migrate(empty_url)
    store = Store(empty_url)
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
    assert migrate(empty_url) == epoch
    with store.read() as tx:
        assert tx.members.page(0, 10) == (member,)
    store.close()


def test_every_database_has_an_epoch_of_its_own(empty_url: str, tmp_path: Path) -> None:
    assert migrate(empty_url) != migrate(f"sqlite:///{tmp_path}/other.sqlite")


def test_a_database_without_a_schema_is_told(empty_url: str) -> None:
    store = Store(empty_url)
    with pytest.raises(SchemaOutdated) as caught:
        store.require_current()
    assert (caught.value.found, caught.value.needed) == ("none", migrations.NEWEST)
    store.close()


def test_another_schema_is_told_and_left_as_it_is(empty_url: str) -> None:
    migrate(empty_url)
    run(empty_url, "UPDATE alembic_version SET version_num = '9999'")
    store = Store(empty_url)
    for attempt in (store.require_current, store.migrate):
        with pytest.raises(SchemaOutdated) as caught:
            attempt()
        assert (caught.value.found, caught.value.needed) == ("9999", migrations.NEWEST)
    store.close()


def test_a_schema_before_version_0_1_0_is_told_and_left_as_it_is(empty_url: str) -> None:
    migrate(empty_url)
    run(empty_url, "UPDATE alembic_version SET version_num = '0014'")
    store = Store(empty_url)
    for attempt in (store.require_current, store.migrate):
        with pytest.raises(SchemaOutdated, match=r"upgrade it with version 0\.1\.0 first"):
            attempt()
    store.close()


def test_processes_that_bring_up_one_database_at_a_time_all_succeed(empty_url: str) -> None:
    with processes(4) as pool:
        epochs = list(pool.map(migrate, [empty_url] * 4))
    assert len(set(epochs)) == 1


def shape(url: str) -> dict[str, dict[str, tuple[str, bool]]]:
    """The tables, their columns, and of each the type and whether a row may leave it out."""
    engine = create_engine(url)
    found = inspect(engine)
    tables = {
        table: {
            column["name"]: (
                str(column["type"]),
                bool(column["nullable"] or column["default"] is not None or column.get("autoincrement") is True),
            )
            for column in found.get_columns(table)
        }
        for table in found.get_table_names()
    }
    engine.dispose()
    return tables


def test_a_schema_only_adds_to_the_one_before(tmp_path: Path) -> None:
    versions = sorted(path.stem[:4] for path in Path(migrations.__file__).with_name("versions").glob("*.py"))
    before: dict[str, dict[str, tuple[str, bool]]] = {}
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    filled(url, migrations.OLDEST)
    for revision in versions:
        at_revision(url, revision).dispose()
        after = shape(url)
        for table, columns in before.items() if revision[0] == migrations.OLDEST[0] else ():
            assert columns.items() <= after[table].items(), f"{revision} takes something out of {table}, or alters it"
            added = {name: after[table][name] for name in after[table].keys() - columns}
            assert all(may_lack for _, may_lack in added.values()), f"{revision}: who knows not of {added} cannot write"
        before = after


def test_a_newer_schema_that_only_adds_will_do(empty_url: str) -> None:
    migrate(empty_url)
    run(empty_url, "ALTER TABLE members ADD COLUMN added_later TEXT")
    run(empty_url, "UPDATE alembic_version SET version_num = '0999'")
    migrate(empty_url)
    store = Store(empty_url)
    with store.begin() as tx:
        assert tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
    store.close()


def test_a_case_that_was_open_before_counts_for_the_member_that_disputed(empty_url: str) -> None:
    migrate(filled(empty_url, migrations.OLDEST))
    store = Store(empty_url)
    with store.read() as tx:
        asked = QueueQuery()
        piles = tx.queues.piles(asked, NOON, tx.queues.crowded(asked, NOON, 0))
    assert [(pile.member, pile.count) for pile in piles] == [(3, 1)]
    store.close()
