"""Suppressions follow the benign list after every change, also after an interruption."""

from __future__ import annotations

import random
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, update

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, Actor
from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.errors import InvalidInput
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.contributions.intake import append_checked
from hashdb.service.matching import benign
from hashdb.store import Transaction
from hashdb.store.matching.benign import PlacedSignal, Suppressions
from hashdb.store.tables import SIGNAL_TABLES, SUPPRESSED_TABLES, erasures
from tests.builders import NOON, RULES, Clock, contributed, draft, hashdb, member_with, near, signal
from tests.postgres import on_postgres
from tests.service.concurrently import run_concurrently

ALL_ALGORITHMS = replace(RULES, algorithms=OF_PICTURES)


def test_settle_suppresses_stored_signals_close_to_a_built_in_entry(db: HashDB, actor: Actor) -> None:
    (item,) = contributed(db, actor, draft(1))
    benign.add_built_in(db, (BenignDraft((signal(1),), built_in="one"),))
    assert contributions.get(db, actor, item.id).masked == 0
    assert benign.settle(db) == 1
    assert contributions.get(db, actor, item.id).masked == 1
    assert benign.settle(db) == 0
    with db.store.read() as tx:
        (event,) = tx.audit.events(0, 10, None, "contribution.amended", None)
    assert event.actor == str(SYSTEM)


def test_an_interrupted_settlement_resumes_where_it_stopped(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benign, "BATCH", 2)
    items = contributed(db, actor, *(draft(near(signal(1), 8, seed)) for seed in range(7)))
    benign.add_built_in(db, (BenignDraft((signal(1),), built_in="one"),))
    begin, calls_left = db.store.begin, [3]

    def begin_or_interrupt():  # type: ignore[no-untyped-def]
        calls_left[0] -= 1
        if not calls_left[0]:
            raise KeyboardInterrupt
        return begin()

    monkeypatch.setattr(db.store, "begin", begin_or_interrupt)
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
def test_signals_of_a_disabled_algorithm_are_suppressed_too(
    database_url: str, clock: Clock, algorithm: Algorithm
) -> None:
    all_enabled = hashdb(database_url, clock, ALL_ALGORITHMS)
    actor = member_with(all_enabled)
    close, far = (
        near(signal(1, algorithm), algorithm.radius // 2),
        near(signal(1, algorithm), algorithm.radius // 2 + 1),
    )
    close_item, far_item = contributed(all_enabled, actor, draft(close), draft(far))
    still_enabled = tuple(enabled for enabled in OF_PICTURES if enabled is not algorithm)
    one_disabled = hashdb(database_url, clock, replace(ALL_ALGORITHMS, algorithms=still_enabled))
    benign.add_built_in(one_disabled, (BenignDraft((signal(1, algorithm),), built_in="one"),))
    benign.settle(one_disabled)
    assert contributions.get(one_disabled, actor, close_item.id).masked == 1
    assert contributions.get(one_disabled, actor, far_item.id).masked == 0
    all_enabled.close()
    one_disabled.close()


def test_drafts_sent_while_an_entry_is_added_are_rejected_or_suppressed(database_url: str, clock: Clock) -> None:
    """Whether the draft or the entry is stored first, no signal close to a benign signal matches afterwards."""
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
        matching = [contribution_id for contribution_id in tx.matches.all_values(Algorithm.PDQ) if contribution_id]
    assert matching == []
    for service in (first, *services):
        service.close()


def test_suppressions_equal_the_plain_computation_after_random_changes(db: HashDB, actor: Actor) -> None:
    """The expected result is computed signal by signal after each of many random changes."""
    rng = random.Random(7)
    items = {
        value.id: value.signals
        for value in contributed(
            db, actor, *(draft(near(signal(seed % 3), 5 + seed, seed), signal(50 + seed)) for seed in range(12))
        )
    }
    entries: list[BenignEntry] = []
    for _ in range(12):
        if entries and rng.random() < 0.4:
            benign.delete(db, COMMAND_LINE, entries.pop(rng.randrange(len(entries))).id)
        else:
            benign_signal = near(signal(rng.randrange(3)), 4, rng.randrange(99))
            entry_draft = BenignDraft((benign_signal,), {Algorithm.PDQ: rng.randrange(31)})
            added = benign.add(db, COMMAND_LINE, entry_draft)
            assert isinstance(added, BenignEntry)
            entries.append(added)
        for id, signals in items.items():
            shown = contributions.get(db, actor, id)
            expected = tuple(value for value in signals if not _close_to_an_entry(value, entries))
            assert (shown.signals, shown.masked) == (expected, len(signals) - len(expected))


def _close_to_an_entry(value: Signal, entries: list[BenignEntry]) -> bool:
    return any(
        value.distance(benign_signal) <= entry.radius[benign_signal.algorithm]
        for entry in entries
        for benign_signal in entry.signals
    )


def test_an_erasure_also_deletes_suppressed_signals(db: HashDB, actor: Actor) -> None:
    (item,) = contributed(db, actor, draft(1, 2))
    benign.add(db, COMMAND_LINE, BenignDraft((signal(1),)))
    contributions.erase(db, actor, item.id, at_once=True)
    with db.store.read() as tx:
        assert _stored_signals(tx, item.id) == ()


@on_postgres
@pytest.mark.parametrize("restores", [False, True])
def test_no_signal_of_an_erased_contribution_is_written_while_it_is_purged(
    db: HashDB, actor: Actor, monkeypatch: pytest.MonkeyPatch, restores: bool
) -> None:
    items = contributed(db, actor, draft(1, 2), draft(3))
    # Due, as after 90 days.
    contributions.erase(db, actor, items[0].id)
    with db.store.begin() as tx:
        tx.connection.execute(update(erasures).values(due_at=NOON))
    entry = benign.add(db, COMMAND_LINE, BenignDraft((signal(1 if restores else 3),)))
    reads = Suppressions.lock_suppressed if restores else Suppressions.unsuppressed
    purging: list[Future[int]] = []
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:

        def read_then_purge(*arguments: Any) -> tuple[PlacedSignal, ...]:
            placed = reads(*arguments)
            if not purging:
                purging.append(pool.submit(contributions.purge, db))
                wait(purging, 0.5)
            return placed

        patch.setattr(Suppressions, reads.__name__, read_then_purge)
        if restores:
            benign.delete(db, COMMAND_LINE, entry.id)
        else:
            benign.add(db, COMMAND_LINE, BenignDraft((signal(1),)))
        assert purging[0].result() == 1
    with db.store.read() as tx:
        of_item = [
            tx.connection.execute(select(table).where(table.c.contribution_id == items[0].id)).all()
            for table in (*SIGNAL_TABLES, *SUPPRESSED_TABLES)
        ]
    assert not any(of_item)


@on_postgres
def test_a_process_that_waits_for_another_one_restores_the_rest(
    database_url: str, db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benign, "BATCH", 1)
    items = contributed(db, actor, *(draft(near(signal(1), 8, seed)) for seed in range(2)))
    entry = benign.add(db, COMMAND_LINE, BenignDraft((signal(1),)))
    with db.store.begin() as tx:
        benign.delete_within(db, tx, COMMAND_LINE, entry.id)
    other_process = hashdb(database_url, clock)
    with ThreadPoolExecutor(1) as pool:
        with other_process.store.begin() as tx:
            tx.suppressions.restore(tx.suppressions.lock_suppressed(entry.id, 1))
            settling = pool.submit(benign.settle, db)
            with pytest.raises(TimeoutError):
                settling.result(0.5)
        settling.result()
    # The other process is killed here: what it would have done next is done.
    other_process.close()
    assert [contributions.get(db, actor, item.id).masked for item in items] == [0, 0]


def test_an_entry_that_is_deleted_while_it_is_applied_suppresses_nothing(
    database_url: str, db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = contributed(db, actor, draft(1))
    with db.store.begin() as tx:
        entry = benign.add_within(db, tx, COMMAND_LINE, BenignDraft((signal(1),)))
    other_process, search = hashdb(database_url, clock), benign._within_reach

    def search_then_delete(*arguments: Any) -> set[Signal]:
        touched = search(*arguments)
        benign.delete(other_process, COMMAND_LINE, entry.id)
        return touched

    with monkeypatch.context() as patch:
        patch.setattr(benign, "_within_reach", search_then_delete)
        assert benign.settle(db) == 1
    assert benign.settle(db) == 0
    assert contributions.get(db, actor, item.id).masked == 0
    other_process.close()


@on_postgres
def test_signals_are_not_assigned_to_an_entry_that_is_deleted_meanwhile(
    database_url: str, db: HashDB, actor: Actor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    (item,) = contributed(db, actor, draft(1))
    other, entry = (benign.add(db, COMMAND_LINE, BenignDraft((near(signal(1), 8, seed),))) for seed in range(2))
    # The newer entry suppresses the signal, and then the older one: a process settles the older one first.
    with db.store.begin() as tx:
        tx.suppressions.assign(tx.suppressions.lock_suppressed(other.id, 1), entry.id)
    other_process, deleting = hashdb(database_url, clock), list[Future[None]]()
    with ThreadPoolExecutor(1) as pool:

        def append_then_delete(*arguments: Any) -> int:
            seq = append_checked(*arguments)
            if not deleting:
                deleting.append(pool.submit(benign.delete, other_process, COMMAND_LINE, other.id))
                wait(deleting, 0.5)
            return seq

        monkeypatch.setattr(benign, "append_checked", append_then_delete)
        benign.delete(db, COMMAND_LINE, entry.id)
        deleting[0].result()
    other_process.close()
    assert contributions.get(db, actor, item.id).masked == 0


def _stored_signals(tx: Transaction, id: int) -> tuple[object, ...]:
    return (*tx.suppressions.lock_suppressed(1, 10), *tx.contributions.signals([id]).values())
