"""Upgrades of databases of earlier versions with data: nothing is lost, also if an upgrade is killed midway.

scripts/schemas writes the dumps of the databases with the code of each version.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, create_engine, event

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor, MemberDraft, MemberKind, MemberStatus
from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import split_shots
from hashdb.domain.ledger.commitments import commit_lines, item_lines
from hashdb.domain.matching.matches import Query
from hashdb.domain.sharing.feed import Changes
from hashdb.errors import SchemaOutdated, StoreBusy
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.service.contributions import commitments, contributions
from hashdb.service.ledger.verification import verify
from hashdb.service.matching import matches
from hashdb.service.sharing import feed, webhooks
from hashdb.store import Store
from hashdb.store.tables import metadata
from tests.builders import RULES, USUAL, contributed, draft, key_of
from tests.builders import signal as signal_of
from tests.postgres import OwnServer
from tests.processes import exit_code
from tests.schemas import FOLDER, restored

SCHEMAS = sorted(path.stem for path in FOLDER.glob("*.json"))


def upgrade(url: str) -> None:
    store = Store(url, busy_seconds=30)
    store.migrate()
    store.require_current()
    store.close()


def recorded_answers(schema: str) -> Any:
    """The answers of the version with this schema about the data in its dump."""
    return json.loads((FOLDER / f"{schema}.json").read_text())


@pytest.fixture(params=SCHEMAS)
def schema(request: pytest.FixtureRequest) -> str:
    """The schema of each earlier version of which there is a dump."""
    schema: str = request.param
    return schema


@pytest.fixture
def db(schema: str, empty_url: str) -> Iterator[HashDB]:
    """A database of an earlier version, after its upgrade."""
    upgrade(restored(empty_url, schema))
    with closing(open_hashdb(empty_url, RULES)) as db:
        yield db


def platform(db: HashDB) -> Actor:
    return key_of(db, members.add(db, COMMAND_LINE, MemberDraft("Delta", MemberKind.PLATFORM)).id, *USUAL)


def test_matches_and_the_log_are_the_same_after_an_upgrade(db: HashDB, schema: str, empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    assert verify(db, COMMAND_LINE).findings == ()
    actor, expected = platform(db), recorded_answers(schema)["matches"]
    queries = [Query((signal_of(int(seed)),)) for seed in expected]
    results = matches.match(db, actor, queries).results
    assert [[match.contribution for match in result.matches] for result in results] == list(expected.values())
    assert sum(map(len, expected.values())) > 8
    assert members.page(db, COMMAND_LINE, 0, 10)[2].status is MemberStatus.SUSPENDED
    (added,) = contributed(db, actor, draft(99))
    (result,) = matches.match(db, actor, [Query(draft(99).signals)]).results
    assert [match.contribution for match in result.matches] == [added.id]
    assert verify(db, COMMAND_LINE).findings == ()


def test_the_log_commits_to_contributions_of_before_the_upgrade(db: HashDB) -> None:
    contributed(db, platform(db), draft(99))
    older = db.store.head().seq
    while commitments.commit(db, 3):
        pass
    contributions_by_id = {
        change.what.id: change.what for change in read(db).changes if isinstance(change.what, Contribution)
    }
    committed = [change.what for change in read(db, older).changes]
    assert contributions_by_id and committed
    for contribution in contributions_by_id.values():
        assert contribution.salt is not None
        lines = item_lines(contribution.signals, split_shots(contribution.frames), contribution.signatures)
        assert contribution.commitment == commit_lines(contribution.salt, lines, contribution.undisclosed)
    contributions.delete_leftovers(db)
    assert verify(db, COMMAND_LINE, signals=True).findings == ()


def read(db: HashDB, after: int = 0) -> Changes:
    """The changes that a reader of the feed gets after a seq."""
    return feed.read(db, SYSTEM, after, 1_000)


def test_webhooks_deliveries_and_keys_are_the_same_after_an_upgrade(db: HashDB, schema: str) -> None:
    expected = recorded_answers(schema)["webhooks"]
    upgraded = webhooks.page(db, COMMAND_LINE, 0, 10)
    assert [[webhook.note, list(webhook.topics)] for webhook in upgraded] == [
        [webhook["note"], webhook["topics"]] for webhook in expected
    ]
    for webhook, recorded in zip(upgraded, expected, strict=True):
        deliveries = webhooks.deliveries(db, COMMAND_LINE, webhook.id, None, 0, 10)
        assert sorted([delivery.message.topic, delivery.outcome] for delivery in deliveries) == recorded["deliveries"]
        assert webhook.enabled
    # The first webhook has two secrets; the old one still signs, too.
    assert [webhook.overlap_until is not None for webhook in upgraded] == [True, False]
    keys = members.keys(db, COMMAND_LINE, 3, 0, 10)
    assert [key.hides_distances for key in keys] == [False, False, True]


def die_at(url: str, number: int) -> None:
    """Upgrade a database in this process, which is killed before the statement with this number."""

    @event.listens_for(Engine, "before_cursor_execute")
    def count(*words: object) -> None:
        nonlocal number
        number -= 1
        if number < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    upgrade(url)


@pytest.mark.parametrize("number", [5, 8, 12, 16])
def test_a_killed_upgrade_succeeds_at_the_next_attempt(empty_url: str, number: int) -> None:
    restored(empty_url, SCHEMAS[0])
    assert exit_code(die_at, empty_url, number) == -signal.SIGKILL
    upgrade(empty_url)
    with closing(open_hashdb(empty_url, RULES)) as db:
        assert verify(db, COMMAND_LINE).findings == ()
        assert contributed(db, platform(db), draft(1))


def upgrade_and_kill_server(server: OwnServer, url: str, moment: str, number: int) -> None:
    """Upgrade a database, and kill its server before the statement with this number, or before the commit."""

    def kill(*words: object) -> None:
        nonlocal number
        number -= 1
        if number == -1:
            server.kill()

    event.listen(Engine, moment, kill)
    store = Store(url)
    try:
        with pytest.raises(StoreBusy):
            store.migrate()
    finally:
        event.remove(Engine, moment, kill)
        store.close()


@pytest.mark.postgres
@pytest.mark.parametrize(("moment", "number"), [("before_cursor_execute", 14), ("commit", 0)])
def test_an_upgrade_succeeds_at_the_next_attempt_after_its_server_was_killed(
    own_postgres: OwnServer, moment: str, number: int
) -> None:
    with own_postgres.new_database() as url:
        restored(url, SCHEMAS[0])
        upgrade_and_kill_server(own_postgres, url, moment, number)
        own_postgres.start()
        with closing(Store(url)) as store, pytest.raises(SchemaOutdated, match=SCHEMAS[0]):
            store.require_current()
        upgrade(url)
        with closing(open_hashdb(url, RULES)) as db:
            assert verify(db, COMMAND_LINE).findings == ()
            assert contributed(db, platform(db), draft(1))
