"""Suspicions: a key that walks around one contribution is named, once an hour, whatever process it asks."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.ledger.events import Action, Event
from hashdb.errors import StoreBusy
from hashdb.service import HashDB
from hashdb.service.accounts.limits import MANY
from hashdb.service.matching import matches
from tests.builders import NOON, Clock, clip, contributed, draft, hashdb, near, query, signal, video


def _told(db: HashDB) -> list[Event]:
    with db.store.read() as tx:
        return [one for one in tx.audit.since(0, 1000) if one.action == Action.KEY_SUSPECTED]


def _ask(db: HashDB, actor: Actor, many: int, of: int = 1) -> None:
    """Different queries near a contribution."""
    matches.match(db, actor, [query(near(signal(of), 10, seed)) for seed in range(many)])


def test_a_key_that_asks_about_one_contribution_in_many_ways_is_named(db: HashDB, actor: Actor, other: Actor) -> None:
    one, two = contributed(db, other, draft(1), draft(2))
    _ask(db, actor, MANY - 1)
    assert db.suspicions.log(db.store, db.now()) == 0
    _ask(db, actor, MANY + 5)
    _ask(db, actor, MANY, of=2)
    assert db.suspicions.log(db.store, db.now()) == 1
    (event,) = _told(db)
    assert actor.key is not None
    assert (event.actor, event.subject) == ("system:hashdb", f"key:{actor.key.id}")
    assert event.details == {"contribution": one.id, "queries": MANY + 5, "contributions": 2, "seconds": 3600}
    assert two.id != one.id


def test_the_same_query_again_and_queries_that_find_nothing_are_no_walk(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, other, draft(1))
    matches.match(db, actor, [query(1)] * 200)
    matches.match(db, actor, [query(seed) for seed in range(100, 300)])
    _ask(db, COMMAND_LINE, MANY)
    assert db.suspicions.log(db.store, db.now()) == 0


def test_a_video_is_one_query_whose_frames_count(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, other, video(*range(100, 110)))
    for _ in range(MANY):
        matches.match(db, actor, [clip(*range(100, 110))])
    assert db.suspicions.log(db.store, db.now()) == 0
    for away in range(MANY // 2 + 1):
        matches.match(db, actor, [clip(*range(100, 110), away=away), clip(*range(101, 110), away=away)])
    assert db.suspicions.log(db.store, db.now()) == 1


def test_a_key_is_named_once_an_hour_by_all_processes(
    database_url: str, db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    second = hashdb(database_url, clock)
    contributed(db, other, draft(1))
    for one in (db, second, db):
        _ask(one, actor, MANY)
        one.suspicions.log(one.store, one.now())
    assert len(_told(db)) == 1
    clock.go(hours=1)
    # What was asked an hour ago counts no more.
    _ask(db, actor, MANY - 1)
    assert db.suspicions.log(db.store, db.now()) == 0
    _ask(db, actor, MANY)
    assert db.suspicions.log(db.store, db.now()) == 1
    second.close()


def test_what_cannot_be_told_now_is_told_with_the_next(
    db: HashDB, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise StoreBusy(2)

    contributed(db, other, draft(1))
    _ask(db, actor, MANY)
    with monkeypatch.context() as patched:
        patched.setattr(db.store, "begin", away)
        with pytest.raises(StoreBusy):
            db.suspicions.log(db.store, db.now())
    assert db.suspicions.log(db.store, db.now()) == 1


def test_nothing_of_a_query_is_in_the_event(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, other, draft(1))
    _ask(db, actor, MANY)
    db.suspicions.log(db.store, db.now())
    (event,) = _told(db)
    assert set(event.details) == {"contribution", "queries", "contributions", "seconds"}
    assert all(isinstance(one, int) for one in event.details.values())
    assert event.at == NOON
