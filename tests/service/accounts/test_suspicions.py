"""Suspicions: a key that queries all around one contribution is logged, once an hour over all processes."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.ledger.events import Action, Event
from hashdb.errors import StoreBusy
from hashdb.service import HashDB
from hashdb.service.accounts.suspicions import MANY
from hashdb.service.matching import matches
from tests.builders import NOON, Clock, clip, contributed, draft, hashdb, near, query, signal, video


def _suspicion_events(db: HashDB) -> list[Event]:
    with db.store.read() as tx:
        return [event for event in tx.audit.since(0, 1000) if event.action == Action.KEY_SUSPECTED]


def _query_near(db: HashDB, actor: Actor, count: int, seed: int = 1) -> None:
    """Send `count` different queries near the contribution of a seed."""
    matches.match(db, actor, [query(near(signal(seed), 10, variant)) for variant in range(count)])


def test_a_key_with_many_different_queries_near_one_contribution_is_logged(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    first, _ = contributed(db, other, draft(1), draft(2))
    _query_near(db, actor, MANY - 1)
    assert db.suspicions.log(db.store, db.now()) == 0
    _query_near(db, actor, MANY + 5)
    _query_near(db, actor, MANY, seed=2)
    assert db.suspicions.log(db.store, db.now()) == 1
    (event,) = _suspicion_events(db)
    assert actor.key is not None
    assert (event.actor, event.subject) == ("system:hashdb", f"key:{actor.key.id}")
    assert event.details == {"contribution": first.id, "queries": MANY + 5, "contributions": 2, "seconds": 3600}


def test_repeated_queries_and_queries_without_a_match_are_not_suspicious(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    contributed(db, other, draft(1))
    matches.match(db, actor, [query(1)] * 200)
    matches.match(db, actor, [query(seed) for seed in range(100, 300)])
    _query_near(db, COMMAND_LINE, MANY)
    assert db.suspicions.log(db.store, db.now()) == 0


def test_a_video_query_counts_once_for_each_different_set_of_frames(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, other, video(*range(100, 110)))
    for _ in range(MANY):
        matches.match(db, actor, [clip(*range(100, 110))])
    assert db.suspicions.log(db.store, db.now()) == 0
    for distance in range(MANY // 2 + 1):
        queries = [clip(*range(100, 110), away=distance), clip(*range(101, 110), away=distance)]
        matches.match(db, actor, queries)
    assert db.suspicions.log(db.store, db.now()) == 1


def test_all_processes_together_log_a_key_once_an_hour(
    database_url: str, db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    second = hashdb(database_url, clock)
    contributed(db, other, draft(1))
    for process in (db, second, db):
        _query_near(process, actor, MANY)
        process.suspicions.log(process.store, process.now())
    assert len(_suspicion_events(db)) == 1
    clock.advance(hours=1)
    # Queries older than an hour do not count.
    _query_near(db, actor, MANY - 1)
    assert db.suspicions.log(db.store, db.now()) == 0
    _query_near(db, actor, MANY)
    assert db.suspicions.log(db.store, db.now()) == 1
    second.close()


def test_a_suspicion_that_could_not_be_logged_is_logged_later(
    db: HashDB, actor: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise StoreBusy(2)

    contributed(db, other, draft(1))
    _query_near(db, actor, MANY)
    with monkeypatch.context() as patched:
        patched.setattr(db.store, "begin", fail)
        with pytest.raises(StoreBusy):
            db.suspicions.log(db.store, db.now())
    assert db.suspicions.log(db.store, db.now()) == 1


def test_the_event_contains_nothing_of_the_queries(db: HashDB, actor: Actor, other: Actor) -> None:
    contributed(db, other, draft(1))
    _query_near(db, actor, MANY)
    db.suspicions.log(db.store, db.now())
    (event,) = _suspicion_events(db)
    assert set(event.details) == {"contribution", "queries", "contributions", "seconds"}
    assert all(isinstance(value, int) for value in event.details.values())
    assert event.at == NOON
