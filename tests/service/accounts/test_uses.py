"""The last use of each key, and the changes of the feed that its reader has not read."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, Scope
from hashdb.domain.contributions import Filter
from hashdb.domain.signals import PERCEPTUAL
from hashdb.domain.stats.counts import MAX_LAG, Lag, Use
from hashdb.errors import ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.sharing import exchanges, feed
from tests.builders import NOON, Clock, contributed, draft, hashdb, with_new_key


@pytest.fixture
def secret(db: HashDB, actor: Actor) -> str:
    """The secret of a further key of the member."""
    assert actor.member
    return members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset({Scope.FEED}))).secret


def seconds_of_uses(db: HashDB) -> dict[int, int]:
    """The second after noon at which each key was used."""
    members.flush(db)
    return {
        id: int((key.last_use.used_at - NOON).total_seconds()) for id, key in members.key_uses(db, COMMAND_LINE).items()
    }


def test_listing_the_contributions_of_others_is_logged_once_a_day_for_each_key(
    db: HashDB, database_url: str, actor: Actor, clock: Clock
) -> None:
    auditor, other_process = with_new_key(db, actor, Scope.AUDIT), hashdb(database_url, clock)
    assert actor.member and auditor.key
    contributions.page(db, actor, Filter(), 0, 10)
    contributions.page(db, auditor, Filter(member=actor.member.id), 0, 10)
    contributions.page(db, COMMAND_LINE, Filter(), 0, 10)
    subjects = []
    for _ in range(2):
        for process in (db, other_process, db):
            contributions.page(process, auditor, Filter(), 0, 10)
        with db.store.read() as tx:
            subjects.append([event.subject for event in tx.audit.events(0, 99, None, "listing.read", None)])
        clock.advance(days=1)
    other_process.close()
    assert subjects == [[f"key:{auditor.key.id}"], [f"key:{auditor.key.id}"] * 2]


def test_the_use_of_a_key_is_stored_once_a_minute_at_most(db: HashDB, secret: str, clock: Clock) -> None:
    key = members.authenticate(db, secret).key
    assert key and seconds_of_uses(db)[key.id] == 0
    clock.advance(seconds=30)
    members.authenticate(db, secret)
    assert seconds_of_uses(db)[key.id] == 0
    clock.advance(seconds=30)
    assert seconds_of_uses(db)[key.id] == 30
    clock.advance(seconds=600)
    assert not members.flush(db), "a key that was not used again must not be written again"


def test_the_latest_use_in_any_process_is_stored(
    database_url: str, db: HashDB, secret: str, clock: Clock, actor: Actor
) -> None:
    second = hashdb(database_url, clock)
    reader = members.authenticate(second, secret)
    feed.read(second, reader, 0, 10)
    clock.advance(seconds=5)
    contributed(db, actor, draft(1))
    feed.read(db, members.authenticate(db, secret), 0, 10)
    members.flush(db)
    members.flush(second)
    assert reader.key
    last = members.key_uses(db, COMMAND_LINE)[reader.key.id]
    assert last.last_use == Use(last.last_use.key, clock(), clock(), db.store.head().seq)
    second.close()


def test_the_changes_that_a_reader_has_not_read_are_counted(
    db: HashDB, actor: Actor, secret: str, clock: Clock
) -> None:
    assert actor.member
    reader = members.authenticate(db, secret)
    items = contributed(db, actor, *(draft(seed) for seed in range(5)))

    def lag() -> Lag | None:
        clock.advance(minutes=2)
        members.flush(db)
        return members.key_uses(db, COMMAND_LINE, actor.member.id if actor.member else 0)[
            reader.key.id if reader.key else 0
        ].lag

    assert lag() is None
    page = feed.read(db, reader, 0, 3)
    assert lag() == Lag(2, NOON)
    feed.read(db, reader, page.checkpoint, 9)
    assert lag() == Lag(0, None)
    members.issue_key(db, COMMAND_LINE, actor.member.id, KeyDraft(frozenset({Scope.MATCH})))
    assert lag() == Lag(0, None), "an event that is no change of the feed must not count"
    since = clock()
    contributions.withdraw(db, actor, items[0].id, "other")
    assert lag() == Lag(1, since)
    exchanges.exchange(db, reader, 0, 0, db.store.head().seq, 100, PERCEPTUAL)
    assert lag() == Lag(0, None)
    assert members.key_uses(db, COMMAND_LINE, 99) == {}


def test_a_long_lag_is_counted_up_to_a_limit() -> None:
    assert Lag(MAX_LAG, NOON).more and not Lag(MAX_LAG - 1, NOON + timedelta(1)).more


def test_only_an_auditor_can_read_the_uses_of_keys(db: HashDB, actor: Actor) -> None:
    with pytest.raises(ScopeMissing):
        members.key_uses(db, actor)
