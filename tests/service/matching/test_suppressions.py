"""Suppressions: they follow the list whatever comes in between, and an interruption costs nothing."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.errors import InvalidInput
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.store import Transaction
from tests.builders import RULES, Clock, contributed, draft, hashdb, member_with, near, signal
from tests.service.concurrently import run_concurrently

EVERY = replace(RULES, algorithms=OF_PICTURES)


def test_what_was_stored_before_an_entry_came_with_hashdb_is_masked_when_it_is_settled(
    db: HashDB, actor: Actor
) -> None:
    (item,) = contributed(db, actor, draft(1))
    benign.start(db, (BenignDraft((signal(1),), built_in="one"),))
    assert contributions.get(db, actor, item.id).masked == 0
    assert benign.settle(db) == 1
    assert contributions.get(db, actor, item.id).masked == 1
    assert benign.settle(db) == 0
    with db.store.read() as tx:
        (event,) = tx.audit.events(0, 10, None, "contribution.amended", None)
    assert event.actor == str(SYSTEM)


def test_interrupted_it_goes_on_where_it_was(db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benign, "BATCH", 2)
    items = contributed(db, actor, *(draft(near(signal(1), 8, seed)) for seed in range(7)))
    benign.start(db, (BenignDraft((signal(1),), built_in="one"),))
    begin, left = db.store.begin, [3]

    def failing():  # type: ignore[no-untyped-def]
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return begin()

    monkeypatch.setattr(db.store, "begin", failing)
    with pytest.raises(KeyboardInterrupt):
        benign.settle(db)
    monkeypatch.setattr(db.store, "begin", begin)
    masked = [contributions.get(db, actor, item.id).masked for item in items]
    assert masked == [1, 1, 1, 1, 0, 0, 0]
    benign.settle(db)
    with db.store.read() as tx:
        events = tx.audit.events(0, 100, None, "contribution.amended", None)
    assert [event.id for event in events] == [item.id for item in items]
    (entry,) = benign.page(db, COMMAND_LINE, 0, 1)
    assert entry.masked == 7
    benign.delete(db, COMMAND_LINE, entry.id)
    assert all(contributions.get(db, actor, item.id).signals == item.signals for item in items)


@pytest.mark.parametrize("algorithm", OF_PICTURES)
def test_signals_of_an_algorithm_that_is_no_longer_enabled_are_masked_too(
    database_url: str, clock: Clock, algorithm: Algorithm
) -> None:
    before = hashdb(database_url, clock, EVERY)
    actor = member_with(before)
    close, far = (
        near(signal(1, algorithm), algorithm.radius // 2),
        near(signal(1, algorithm), algorithm.radius // 2 + 1),
    )
    item, another = contributed(before, actor, draft(close), draft(far))
    others = tuple(one for one in OF_PICTURES if one is not algorithm)
    after = hashdb(database_url, clock, replace(EVERY, algorithms=others))
    benign.start(after, (BenignDraft((signal(1, algorithm),), built_in="one"),))
    benign.settle(after)
    assert contributions.get(after, actor, item.id).masked == 1
    assert contributions.get(after, actor, another.id).masked == 0
    before.close()
    after.close()


def test_what_is_contributed_while_an_entry_is_added_is_refused_or_masked(database_url: str, clock: Clock) -> None:
    """Whichever comes first: no signal that is close to a benign one is left that matches."""
    first = hashdb(database_url, clock, busy_seconds=30)
    actor = member_with(first)
    services = [hashdb(database_url, clock, busy_seconds=30) for _ in range(4)]

    def contribute(number: int) -> None:
        for seed in range(20):
            try:
                contributed(services[number], actor, draft(near(signal(1), 8, 100 * number + seed)))
            except InvalidInput:
                return

    def suppress(number: int) -> None:
        benign.add(services[number], COMMAND_LINE, BenignDraft((signal(1),)))

    run_concurrently([lambda: contribute(0), lambda: contribute(1), lambda: contribute(2), lambda: suppress(3)])
    with first.store.read() as tx:
        matching = [one for one in tx.matches.all_values(Algorithm.PDQ) if one]
    assert matching == []
    for service in (first, *services):
        service.close()


def test_masks_are_at_any_time_what_the_list_says(db: HashDB, actor: Actor) -> None:
    """Against the plainest computation, after each of many random changes."""
    rng = random.Random(7)
    items = {
        one.id: one.signals
        for one in contributed(
            db, actor, *(draft(near(signal(seed % 3), 5 + seed, seed), signal(50 + seed)) for seed in range(12))
        )
    }
    entries: list[BenignEntry] = []
    for _ in range(12):
        if entries and rng.random() < 0.4:
            benign.delete(db, COMMAND_LINE, entries.pop(rng.randrange(len(entries))).id)
        else:
            close = near(signal(rng.randrange(3)), 4, rng.randrange(99))
            asked = BenignDraft((close,), {Algorithm.PDQ: rng.randrange(31)})
            added = benign.add(db, COMMAND_LINE, asked)
            assert isinstance(added, BenignEntry)
            entries.append(added)
        for id, signals in items.items():
            seen = contributions.get(db, actor, id)
            expected = tuple(one for one in signals if not _touched(one, entries))
            assert (seen.signals, seen.masked) == (expected, len(signals) - len(expected))


def _touched(one: Signal, entries: list[BenignEntry]) -> bool:
    return any(one.distance(other) <= entry.radius[other.algorithm] for entry in entries for other in entry.signals)


def test_an_erasure_leaves_nothing_whichever_comes_first(db: HashDB, actor: Actor) -> None:
    (item,) = contributed(db, actor, draft(1, 2))
    benign.add(db, COMMAND_LINE, BenignDraft((signal(1),)))
    contributions.erase(db, actor, item.id, at_once=True)
    with db.store.read() as tx:
        assert _rows(tx, item.id) == ()


def _rows(tx: Transaction, id: int) -> tuple[object, ...]:
    return (*tx.suppressions.lock_suppressed(1, 10), *tx.contributions.signals([id]).values())
