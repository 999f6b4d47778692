"""The log under concurrent writers and readers: no reader ever misses an event."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

from hashdb.domain.accounts.members import SYSTEM, Actor, Member
from hashdb.domain.ledger.events import Action, Event, LogEntry
from hashdb.store import Store
from tests.builders import NOON, draft
from tests.processes import processes

WRITERS, READERS, WRITES = 8, 3, 30
SECONDS = 60
"""The time limit of a reader. The test itself takes a few seconds."""


class RolledBack(Exception):
    """Raised in a transaction to roll it back."""


@dataclass(frozen=True)
class Written:
    """The result of a writer: the numbers of its events by subject, and the subjects that it rolled back."""

    numbers: dict[int, int]
    rolled_back: frozenset[int]


@dataclass(frozen=True)
class Followed:
    """The result of a reader."""

    events: tuple[Event, ...]
    epochs: frozenset[str]
    reads: int


def write(url: str, member: Member, writer: int) -> Written:
    """Write transactions with a contribution and 1 to 4 events. One in ten is rolled back, and the clock jumps."""
    store, rng = Store(url, SECONDS), random.Random(writer)
    numbers: dict[int, int] = {}
    rolled_back: set[int] = set()
    for transaction in range(WRITES):
        now = NOON + timedelta(seconds=rng.randrange(-600, 600))
        subjects = [writer * 1_000_000 + transaction * 10 + i for i in range(rng.randint(1, 4))]
        fails = rng.random() < 0.1
        try:
            with store.begin() as tx:
                tx.contributions.add(member, [draft(subjects[0])], now)
                entries = [LogEntry(Action.KEY_ISSUED, "key", subject, {"member": writer}) for subject in subjects]
                last = tx.audit.append(now, Actor(f"key:{writer}", frozenset()), entries)
                if fails:
                    raise RolledBack
        except RolledBack:
            rolled_back.update(subjects)
        else:
            numbers |= zip(subjects, range(last - len(subjects) + 1, last + 1), strict=True)
    store.close()
    return Written(numbers, frozenset(rolled_back))


def follow(url: str, limit: int) -> Followed:
    """Read on until the event of the system arrives, like the index, a copy of a member and a proof do."""
    store, deadline = Store(url, SECONDS), time.monotonic() + SECONDS
    read: list[Event] = []
    epochs: set[str] = set()
    reads = 0
    while not (read and read[-1].actor == str(SYSTEM)) and time.monotonic() < deadline:
        with store.read() as tx:
            after = read[-1].seq if read else 0
            new, head = tx.audit.since(after, limit), tx.audit.head()
        assert [event.seq for event in new] == list(range(after + 1, after + 1 + len(new)))
        assert len(new) == min(limit, head.seq - after)
        read += new
        epochs.add(head.epoch)
        reads += 1
    store.close()
    return Followed(tuple(read), frozenset(epochs), reads)


def test_no_reader_ever_misses_an_event_of_concurrent_writers(store: Store, member: Member, database_url: str) -> None:
    with processes(WRITERS + READERS) as pool:
        readers = [pool.submit(follow, database_url, limit) for limit in (1_000, 7, 1)[:READERS]]
        writers = [pool.submit(write, database_url, member, writer) for writer in range(1, WRITERS + 1)]
        written = [writer.result() for writer in writers]
        with store.begin() as tx:
            last = tx.audit.append(NOON, SYSTEM, [LogEntry(Action.MEMBER_ADDED, "member", member.id, {})])
        followed = [reader.result() for reader in readers]

    with store.read() as tx:
        expected, head = tx.audit.since(0, 1_000_000), tx.audit.head()
    for reader in followed:
        assert reader.events == expected
        assert reader.epochs == {head.epoch}
        assert reader.reads > 1
    assert [event.seq for event in expected] == list(range(1, last + 1))
    assert head.seq == last
    _assert_only_commits_are_in_the_log(expected[:-1], written)
    _assert_times_never_decrease(expected)
    _assert_leaves_verify(expected)


def _assert_only_commits_are_in_the_log(events: Sequence[Event], written: Sequence[Written]) -> None:
    committed = {subject: seq for writer in written for subject, seq in writer.numbers.items()}
    assert {event.id: event.seq for event in events} == committed
    assert any(writer.rolled_back for writer in written)
    for writer in written:
        assert writer.rolled_back.isdisjoint(committed)
        assert list(writer.numbers.values()) == sorted(writer.numbers.values())


def _assert_times_never_decrease(events: Sequence[Event]) -> None:
    assert all(earlier.at <= later.at for earlier, later in pairwise(events))


def _assert_leaves_verify(events: Sequence[Event]) -> None:
    for event in events:
        assert event.leaf == event.computed_leaf
