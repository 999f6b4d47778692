"""Migrations: they make exactly the tables, more than once at a time too."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, insert, inspect, text

from hashdb.domain.accounts.members import SYSTEM, MemberDraft, MemberKind
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.events import Action, LogEntry, leaf
from hashdb.errors import SchemaOutdated
from hashdb.store import Store, migrations
from hashdb.store.tables import events, metadata
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


def test_migrations_make_exactly_the_tables(empty_url: str) -> None:
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
    at_revision(empty_url, "0012").dispose()
    store = Store(empty_url)
    assert [store.migrate(), store.migrate()] == ["0012", migrations.NEWEST]
    store.close()


def test_who_makes_a_schema_is_told_that_there_was_none(empty_url: str) -> None:
    store = Store(empty_url)
    assert store.migrate() is None
    store.close()


def test_the_tree_is_made_over_the_events_that_there_are(empty_url: str) -> None:
    entries = [LogEntry(Action.KEY_ISSUED, "key", number, {}) for number in range(1, 46)]
    engine = at_revision(empty_url, "0001")
    leaves = [leaf(number, NOON, str(SYSTEM), one.action, one.subject, {}) for number, one in enumerate(entries, 1)]
    with engine.begin() as connection:
        for number, one in enumerate(leaves, 1):
            row = {"seq": number, "at": NOON, "actor": str(SYSTEM), "action": str(Action.KEY_ISSUED)}
            rest = {"subject_kind": "key", "subject_id": number, "details": {}, "leaf": one}
            connection.execute(insert(events), row | rest)
        connection.execute(text("UPDATE log SET seq = 45"))
    engine.dispose()
    store = Store(empty_url)
    store.migrate()
    with store.read() as tx:
        size, peaks = tx.tree.edge()
        assert (size, merkle.fold(peaks)) == (45, merkle.root(leaves))
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, entries)
    with store.read() as tx:
        size, peaks = tx.tree.edge()
        assert (size, merkle.fold(peaks)) == (90, merkle.root([event.leaf for event in tx.audit.since(0, 100)]))
    store.close()


def test_the_expiry_that_was_asked_for_is_kept_apart_from_the_one_in_force(empty_url: str) -> None:
    engine = at_revision(empty_url, "0002")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO members VALUES (1, 'Example', 'platform', 'active', '', NULL, 0)"),
        )
        for id, expiry in ((1, "7"), (2, "NULL")):
            connection.execute(
                text(
                    "INSERT INTO contributions (id, member_id, received_at, labels, media, context, standing,"
                    f" announced, expires_at) VALUES ({id}, 1, 0, '', 'image', '', 'unreviewed', 'active', {expiry})"
                )
            )
    store = Store(empty_url)
    store.migrate()
    store.close()
    with engine.connect() as connection:
        found = connection.execute(text("SELECT own_expiry FROM contributions ORDER BY id")).scalars().all()
    engine.dispose()
    assert found == [7, None]


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


def test_processes_that_bring_up_one_database_at_a_time_all_succeed(empty_url: str) -> None:
    with processes(4) as pool:
        epochs = list(pool.map(migrate, [empty_url] * 4))
    assert len(set(epochs)) == 1


FIRST_KEPT = "0012"
"""From here on a schema of the same thousand only adds (decision 24)."""


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
    for revision in (one for one in versions if one >= FIRST_KEPT):
        at_revision(url, revision).dispose()
        after = shape(url)
        for table, columns in before.items() if revision[0] == FIRST_KEPT[0] else ():
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
