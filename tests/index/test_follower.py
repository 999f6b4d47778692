"""A follower passes each event to its views once, and restarts the views if the log was replaced."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Event

import pytest

from hashdb.domain.ledger.events import Head
from hashdb.errors import IndexNotReady
from hashdb.index.follower import LogFollower, LogSnapshot

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
Events = list[str]


@dataclass
class Log:
    """A log in memory. The text of an event is its leaf."""

    events: Events = field(default_factory=list)
    epoch: str = "one"
    head_reads: int = 0

    def head(self) -> Head:
        """The head of the log; the reads are counted."""
        self.head_reads += 1
        return Head(len(self.events), NOON, self.epoch)

    @contextmanager
    def snapshot(self, after: int | None) -> Iterator[LogSnapshot[Events]]:
        """A snapshot with all events."""
        events = list(self.events)
        yield LogSnapshot(
            Head(len(events), NOON, self.epoch), lambda seq: "" if seq > len(events) else ["", *events][seq], events
        )


@dataclass
class CopyView:
    """A view that keeps the events, and records the calls by which it received them."""

    events: Events = field(default_factory=list)
    steps: Events = field(default_factory=list)
    lost: bool = False
    fails: bool = False
    gate: Event | None = None

    def start(self, log: LogSnapshot[Events]) -> None:
        """Copy all events."""
        self.steps.append("start")
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.fails:
            raise ZeroDivisionError
        self.events, self.lost = list(log.source), False

    def advance(self, log: LogSnapshot[Events], after: int) -> bool:
        """Append the new events."""
        self.steps.append("advance")
        if self.fails:
            raise ZeroDivisionError
        if not self.lost:
            self.events += log.source[after:]
        return not self.lost


def new_follower(log: Log, *views: CopyView, patience: float = -1) -> LogFollower[Events]:
    """A follower of the log."""
    return LogFollower(log.head, log.snapshot, views, patience=patience)


def test_views_start_once_and_then_receive_only_new_events() -> None:
    log, first, second = Log(["a"]), CopyView(), CopyView()
    follower = new_follower(log, first, second)
    assert follower.head is None
    for new_events in ([], ["b", "c"], []):
        log.events += new_events
        assert follower.catch_up() == follower.head == Head(len(log.events), NOON, "one")
        assert first == second
        assert first.events == log.events
    assert first.steps == ["start", "advance"]


def test_a_head_that_the_caller_passes_is_not_read_again() -> None:
    log = Log(["a"])
    follower = new_follower(log, CopyView())
    head, before = follower.catch_up(), log.head_reads
    assert follower.catch_up(head) == head
    assert log.head_reads == before
    log.events.append("b")
    assert follower.catch_up(log.head()).seq == 2


@pytest.mark.parametrize(
    ("events", "epoch"), [(["a"], "one"), (["x", "y"], "one"), (["x", "y", "z"], "one"), (["a", "b", "c"], "two")]
)
def test_all_views_restart_if_the_log_was_set_back_or_replaced(events: Events, epoch: str) -> None:
    log, first, second = Log(["a", "b"]), CopyView(), CopyView()
    follower = new_follower(log, first, second)
    follower.catch_up()
    log.events, log.epoch = events, epoch
    follower.catch_up()
    if events == ["x", "y"]:
        # The head looks unchanged until an event is added. Only then the leaf is compared.
        log.events = [*events, "z"]
        follower.catch_up()
    assert first.events == second.events == log.events
    assert first.steps == second.steps == ["start", "start"]


def test_a_view_that_cannot_advance_is_restarted() -> None:
    log, first, second = Log(["a"]), CopyView(), CopyView()
    follower = new_follower(log, first, second)
    follower.catch_up()
    second.lost = True
    log.events.append("b")
    follower.catch_up()
    assert first.events == second.events == ["a", "b"]


@pytest.mark.parametrize("first", [True, False])
def test_a_view_that_failed_gets_the_events_again(first: bool) -> None:
    log, view = Log(["a"]), CopyView()
    follower = new_follower(log, view)
    if not first:
        follower.catch_up()
        log.events.append("b")
    view.fails = True
    with pytest.raises(ZeroDivisionError):
        follower.catch_up()
    assert (follower.head is None) == first
    view.fails = False
    follower.catch_up()
    assert view.events == log.events
    assert view.steps == (["start", "start"] if first else ["start", "advance", "advance"])


def test_index_not_ready_is_raised_during_the_start_and_views_start_once() -> None:
    log, view = Log(["a"]), CopyView(gate=Event())
    follower = new_follower(log, view, patience=0.05)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(follower.catch_up)
        while not view.steps:
            pass
        with pytest.raises(IndexNotReady):
            follower.catch_up()
        assert view.gate is not None
        view.gate.set()
        assert first.result().seq == 1
    view = CopyView(gate=Event())
    patient = LogFollower(log.head, log.snapshot, (view,))
    with ThreadPoolExecutor(4) as pool:
        heads = [pool.submit(patient.catch_up) for _ in range(4)]
        while not view.steps:
            pass
        assert view.gate is not None
        view.gate.set()
        assert {head.result().seq for head in heads} == {1}
    assert view.steps == ["start"]


def test_views_advance_on_request_even_without_a_new_event() -> None:
    log, view = Log(["a"]), CopyView()
    moved = [True, True, True, False]
    follower = LogFollower(log.head, log.snapshot, (view,), moved=lambda: moved.pop(0))
    follower.catch_up()
    assert view.steps == ["start"]
    follower.catch_up()
    assert view.steps == ["start", "advance"]
