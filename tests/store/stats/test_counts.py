"""Counts in SQL."""

from __future__ import annotations

from datetime import date, timedelta

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.stats.counts import Cell, Count, number_of_day
from hashdb.store import Store
from tests.builders import NOON
from tests.processes import processes

DAY, NEXT_DAY = date(2026, 11, 20), date(2026, 11, 21)
HIT_CELL, NONE_CELL = Cell("query", 3, "pdq", "hit"), Cell("query", 3, "pdq", "none")


def _add_counts(url: str) -> None:
    store = Store(url, busy_seconds=30)
    for _ in range(20):
        with store.begin() as tx:
            tx.counts.lock()
            tx.counts.add(DAY, {HIT_CELL: 1, NONE_CELL: 2})
    store.close()


def test_counts_of_a_day_are_added_up(store: Store) -> None:
    for _ in range(3):
        with store.begin() as tx:
            tx.counts.add(DAY, {HIT_CELL: 1, NONE_CELL: 2})
            tx.counts.add(NEXT_DAY, {HIT_CELL: 5})
            tx.counts.add(NEXT_DAY, {})
    with store.read() as tx:
        assert sorted(tx.counts.of_day(DAY)) == [Count(HIT_CELL, 3), Count(NONE_CELL, 6)]
        assert sorted(tx.counts.between(DAY, NEXT_DAY)) == [
            (DAY, Count(HIT_CELL, 3)),
            (DAY, Count(NONE_CELL, 6)),
            (NEXT_DAY, Count(HIT_CELL, 15)),
        ]
        assert tx.counts.days(NEXT_DAY) == (DAY,)
        assert tx.counts.of_day(date(2026, 11, 22)) == ()


def test_counts_of_several_processes_are_added_up(database_url: str) -> None:
    store = Store(database_url)
    store.migrate()
    with processes(3) as pool:
        list(pool.map(_add_counts, [database_url] * 3))
    with store.read() as tx:
        assert sorted(tx.counts.of_day(DAY)) == [Count(HIT_CELL, 60), Count(NONE_CELL, 120)]
    store.close()


def test_seals_are_returned_by_day(store: Store) -> None:
    with store.read() as tx:
        assert (tx.counts.seals(), tx.counts.last_sealed()) == ((), None)
    with store.begin() as tx:
        entries = [
            LogEntry(Action.COUNTS_SEALED, "day", number_of_day(day), {"digest": f"{day}", "lines": 0})
            for day in (NEXT_DAY, DAY)
        ]
        tx.audit.append(NOON, SYSTEM, entries)
    with store.read() as tx:
        assert tx.counts.seals() == ((DAY, 2, "2026-11-20"), (NEXT_DAY, 1, "2026-11-21"))
        assert tx.counts.last_sealed() == NEXT_DAY


def test_refusals_are_added_up_until_they_are_logged(store: Store) -> None:
    with store.begin() as tx:
        tx.refusals.add({"no-key": 1, "unknown-key": 2})
        tx.refusals.add({"no-key": 4})
        tx.refusals.add({})
        assert tx.refusals.not_logged() == {"no-key": 5, "unknown-key": 2}
        tx.refusals.delete_logged()
        assert tx.refusals.not_logged() == {}


def test_the_newest_event_of_a_subject_is_returned(store: Store) -> None:
    with store.begin() as tx:
        for hours, action in enumerate((Action.AUTH_REFUSED, Action.AUTH_REFUSED, Action.FEED_READ)):
            tx.audit.append(NOON + timedelta(hours=hours), SYSTEM, [LogEntry(action, "key", 9, {})])
        assert tx.audit.last_time("key", Action.AUTH_REFUSED, 9) == NOON + timedelta(hours=1)
        assert tx.audit.last_time("key", Action.AUTH_REFUSED, 10) is None
        newest = tx.audit.newest("key", 9)
        assert newest is not None and (newest.seq, newest.action) == (3, Action.FEED_READ)
        assert tx.audit.newest("key", 10) is None
