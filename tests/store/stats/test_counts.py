"""Counts in SQL."""

from __future__ import annotations

from datetime import date, timedelta

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.stats.counts import Cell, Count, number_of_day
from hashdb.store import Store
from tests.builders import NOON
from tests.processes import processes

DAY, NEXT = date(2026, 11, 20), date(2026, 11, 21)
ONE, OTHER = Cell("query", 3, "pdq", "hit"), Cell("query", 3, "pdq", "none")


def _add(url: str) -> None:
    store = Store(url, busy_seconds=30)
    for _ in range(20):
        with store.begin() as tx:
            tx.counts.lock()
            tx.counts.add(DAY, {ONE: 1, OTHER: 2})
    store.close()


def test_numbers_add_up(store: Store) -> None:
    for _ in range(3):
        with store.begin() as tx:
            tx.counts.add(DAY, {ONE: 1, OTHER: 2})
            tx.counts.add(NEXT, {ONE: 5})
            tx.counts.add(NEXT, {})
    with store.read() as tx:
        assert sorted(tx.counts.of_day(DAY)) == [Count(ONE, 3), Count(OTHER, 6)]
        assert sorted(tx.counts.between(DAY, NEXT)) == [
            (DAY, Count(ONE, 3)),
            (DAY, Count(OTHER, 6)),
            (NEXT, Count(ONE, 15)),
        ]
        assert tx.counts.days(NEXT) == (DAY,)
        assert tx.counts.of_day(date(2026, 11, 22)) == ()


def test_numbers_of_several_processes_add_up(database_url: str) -> None:
    store = Store(database_url)
    store.migrate()
    with processes(3) as pool:
        list(pool.map(_add, [database_url] * 3))
    with store.read() as tx:
        assert sorted(tx.counts.of_day(DAY)) == [Count(ONE, 60), Count(OTHER, 120)]
    store.close()


def test_the_events_that_seal_are_found_by_their_day(store: Store) -> None:
    with store.read() as tx:
        assert (tx.counts.seals(), tx.counts.last_sealed()) == ((), None)
    with store.begin() as tx:
        entries = [
            LogEntry(Action.COUNTS_SEALED, "day", number_of_day(day), {"digest": f"{day}", "lines": 0})
            for day in (NEXT, DAY)
        ]
        tx.audit.append(NOON, SYSTEM, entries)
    with store.read() as tx:
        assert tx.counts.seals() == ((DAY, 2, "2026-11-20"), (NEXT, 1, "2026-11-21"))
        assert tx.counts.last_sealed() == NEXT


def test_what_is_to_be_told_adds_up_until_it_is_told(store: Store) -> None:
    with store.begin() as tx:
        tx.refusals.add({"no-key": 1, "unknown-key": 2})
        tx.refusals.add({"no-key": 4})
        tx.refusals.add({})
        assert tx.refusals.not_logged() == {"no-key": 5, "unknown-key": 2}
        tx.refusals.delete_logged()
        assert tx.refusals.not_logged() == {}


def test_the_last_event_of_a_subject_is_found(store: Store) -> None:
    with store.begin() as tx:
        for hours, action in enumerate((Action.AUTH_REFUSED, Action.AUTH_REFUSED, Action.FEED_READ)):
            tx.audit.append(NOON + timedelta(hours=hours), SYSTEM, [LogEntry(action, "key", 9, {})])
        assert tx.audit.last_time("key", Action.AUTH_REFUSED, 9) == NOON + timedelta(hours=1)
        assert tx.audit.last_time("key", Action.AUTH_REFUSED, 10) is None
        newest = tx.audit.newest("key", 9)
        assert newest is not None and (newest.seq, newest.action) == (3, Action.FEED_READ)
        assert tx.audit.newest("key", 10) is None
