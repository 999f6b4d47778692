"""Databases as version 0.1.0 made them, with data: upgraded, killed amid that, and as they are afterwards.

The files are written by scripts/schemas, with the code of each version.
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


def brought_up(url: str) -> None:
    store = Store(url, busy_seconds=30)
    store.migrate()
    store.require_current()
    store.close()


def said_of(schema: str) -> Any:
    """What the version answered of what it left."""
    return json.loads((FOLDER / f"{schema}.json").read_text())


@pytest.fixture(params=SCHEMAS)
def schema(request: pytest.FixtureRequest) -> str:
    """Of the end of each piece of work so far."""
    found: str = request.param
    return found


@pytest.fixture
def db(schema: str, empty_url: str) -> Iterator[HashDB]:
    """Such a database, brought up."""
    brought_up(restored(empty_url, schema))
    with closing(open_hashdb(empty_url, RULES)) as db:
        yield db


def platform(db: HashDB) -> Actor:
    return key_of(db, members.add(db, COMMAND_LINE, MemberDraft("Delta", MemberKind.PLATFORM)).id, *USUAL)


def test_what_matched_before_matches_and_the_log_is_the_same(db: HashDB, schema: str, empty_url: str) -> None:
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()
    assert verify(db, COMMAND_LINE).findings == ()
    actor, said = platform(db), said_of(schema)["matches"]
    queries = [Query((signal_of(int(seed)),)) for seed in said]
    results = matches.match(db, actor, queries).results
    assert [[one.contribution for one in result.matches] for result in results] == list(said.values())
    assert sum(map(len, said.values())) > 8
    assert members.page(db, COMMAND_LINE, 0, 10)[2].status is MemberStatus.SUSPENDED
    (added,) = contributed(db, actor, draft(99))
    assert [one.contribution for one in matches.match(db, actor, [Query(draft(99).signals)]).results[0].matches] == [
        added.id
    ]
    assert verify(db, COMMAND_LINE).findings == ()


def test_the_log_commits_to_what_there_was_and_a_reader_of_the_feed_compares_it(db: HashDB) -> None:
    contributed(db, platform(db), draft(99))
    older = db.store.head().seq
    while commitments.commit(db, 3):
        pass
    found = {change.what.id: change.what for change in read(db).changes if isinstance(change.what, Contribution)}
    committed = [change.what for change in read(db, older).changes]
    assert found and committed
    for seen in found.values():
        assert seen.salt is not None
        lines = item_lines(seen.signals, split_shots(seen.frames), seen.signatures)
        assert seen.commitment == commit_lines(seen.salt, lines, seen.undisclosed)
    contributions.start(db)
    assert verify(db, COMMAND_LINE, signals=True).findings == ()


def read(db: HashDB, after: int = 0) -> Changes:
    """What a reader of the feed gets."""
    return feed.read(db, SYSTEM, after, 1_000)


def test_webhooks_their_deliveries_and_keys_are_as_they_were(db: HashDB, schema: str) -> None:
    said = said_of(schema)["webhooks"]
    found = webhooks.page(db, COMMAND_LINE, 0, 10)
    assert [[one.note, list(one.topics)] for one in found] == [[one["note"], one["topics"]] for one in said]
    for one, told in zip(found, said, strict=True):
        made = webhooks.deliveries(db, COMMAND_LINE, one.id, None, 0, 10)
        assert sorted([made.message.topic, made.outcome] for made in made) == told["deliveries"]
        assert one.enabled
    # Of two secrets the one before signs, too.
    assert [one.overlap_until is not None for one in found] == [True, False]
    keys = members.keys(db, COMMAND_LINE, 3, 0, 10)
    assert [one.hides_distances for one in keys] == [False, False, True]


def die_at(url: str, number: int) -> None:
    """Bring a database up, and be killed before that statement."""

    @event.listens_for(Engine, "before_cursor_execute")
    def count(*words: object) -> None:
        nonlocal number
        number -= 1
        if number < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    brought_up(url)


@pytest.mark.parametrize("number", [5, 8, 12, 16])
def test_an_upgrade_that_is_killed_is_done_at_the_next_attempt(empty_url: str, number: int) -> None:
    restored(empty_url, SCHEMAS[0])
    assert exit_code(die_at, empty_url, number) == -signal.SIGKILL
    brought_up(empty_url)
    with closing(open_hashdb(empty_url, RULES)) as db:
        assert verify(db, COMMAND_LINE).findings == ()
        assert contributed(db, platform(db), draft(1))


def killing(server: OwnServer, url: str, moment: str, number: int) -> None:
    """Bring a database up, whose server is killed before that statement, or before it is to keep what was done."""

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
def test_an_upgrade_whose_server_is_killed_is_done_at_the_next_attempt(
    own_postgres: OwnServer, moment: str, number: int
) -> None:
    with own_postgres.new_database() as url:
        restored(url, SCHEMAS[0])
        killing(own_postgres, url, moment, number)
        own_postgres.start()
        with closing(Store(url)) as store, pytest.raises(SchemaOutdated, match=SCHEMAS[0]):
            store.require_current()
        brought_up(url)
        with closing(open_hashdb(url, RULES)) as db:
            assert verify(db, COMMAND_LINE).findings == ()
            assert contributed(db, platform(db), draft(1))
