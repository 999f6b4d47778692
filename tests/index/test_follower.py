"""A follower feeds its views each event once, and starts them where the log is not the one that they know."""

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
    """Events in memory, whose text is their leaf."""

    events: Events = field(default_factory=list)
    epoch: str = "one"
    looks: int = 0

    def head(self) -> Head:
        """The last event."""
        self.looks += 1
        return Head(len(self.events), NOON, self.epoch)

    @contextmanager
    def snapshot(self, after: int | None) -> Iterator[LogSnapshot[Events]]:
        """All events."""
        events = list(self.events)
        yield LogSnapshot(
            Head(len(events), NOON, self.epoch), lambda seq: "" if seq > len(events) else ["", *events][seq], events
        )


@dataclass
class Copy:
    """A view that keeps the events, and how it came by them."""

    events: Events = field(default_factory=list)
    steps: Events = field(default_factory=list)
    lost: bool = False
    fails: bool = False
    gate: Event | None = None

    def start(self, log: LogSnapshot[Events]) -> None:
        """Take all."""
        self.steps.append("start")
        if self.gate is not None:
            assert self.gate.wait(10)
        if self.fails:
            raise ZeroDivisionError
        self.events, self.lost = list(log.source), False

    def advance(self, log: LogSnapshot[Events], after: int) -> bool:
        """Take what is new."""
        self.steps.append("advance")
        if self.fails:
            raise ZeroDivisionError
        if not self.lost:
            self.events += log.source[after:]
        return not self.lost


def following(log: Log, *views: Copy, patience: float = -1) -> LogFollower[Events]:
    """A follower of the log."""
    return LogFollower(log.head, log.snapshot, views, patience=patience)


def test_views_start_once_and_then_advance_by_what_is_new() -> None:
    log, one, other = Log(["a"]), Copy(), Copy()
    follower = following(log, one, other)
    assert follower.head is None
    for more in ([], ["b", "c"], []):
        log.events += more
        assert follower.catch_up() == follower.head == Head(len(log.events), NOON, "one")
        assert one == other
        assert one.events == log.events
    assert one.steps == ["start", "advance"]


def test_a_head_that_the_caller_has_read_is_not_read_again_while_it_is_known() -> None:
    log = Log(["a"])
    follower = following(log, Copy())
    head, before = follower.catch_up(), log.looks
    assert follower.catch_up(head) == head
    assert log.looks == before
    log.events.append("b")
    assert follower.catch_up(log.head()).seq == 2


@pytest.mark.parametrize(
    ("events", "epoch"), [(["a"], "one"), (["x", "y"], "one"), (["x", "y", "z"], "one"), (["a", "b", "c"], "two")]
)
def test_a_log_that_was_set_back_or_is_another_starts_all_views(events: Events, epoch: str) -> None:
    log, one, other = Log(["a", "b"]), Copy(), Copy()
    follower = following(log, one, other)
    follower.catch_up()
    log.events, log.epoch = events, epoch
    follower.catch_up()
    if events == ["x", "y"]:
        # Its head looks the same until an event is added: only then the leaf is compared.
        log.events = [*events, "z"]
        follower.catch_up()
    assert one.events == other.events == log.events
    assert one.steps == other.steps == ["start", "start"]


def test_a_view_that_cannot_advance_starts() -> None:
    log, one, other = Log(["a"]), Copy(), Copy()
    follower = following(log, one, other)
    follower.catch_up()
    other.lost = True
    log.events.append("b")
    follower.catch_up()
    assert one.events == other.events == ["a", "b"]


@pytest.mark.parametrize("first", [True, False])
def test_a_view_that_failed_is_fed_again(first: bool) -> None:
    log, view = Log(["a"]), Copy()
    follower = following(log, view)
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


def test_who_asks_while_views_start_is_told_to_come_again_and_one_thread_feeds_for_all() -> None:
    log, view = Log(["a"]), Copy(gate=Event())
    follower = following(log, view, patience=0.05)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(follower.catch_up)
        while not view.steps:
            pass
        with pytest.raises(IndexNotReady):
            follower.catch_up()
        assert view.gate is not None
        view.gate.set()
        assert first.result().seq == 1
    patient, view = LogFollower(log.head, log.snapshot, (again := Copy(gate=Event()),)), again
    with ThreadPoolExecutor(4) as pool:
        heads = [pool.submit(patient.catch_up) for _ in range(4)]
        while not view.steps:
            pass
        assert view.gate is not None
        view.gate.set()
        assert {one.result().seq for one in heads} == {1}
    assert view.steps == ["start"]


def test_views_are_fed_where_they_have_moved_although_the_log_has_no_new_event() -> None:
    log, view = Log(["a"]), Copy()
    moved = [True, True, True, False]
    follower = LogFollower(log.head, log.snapshot, (view,), lambda: moved.pop(0))
    follower.catch_up()
    assert view.steps == ["start"]
    follower.catch_up()
    assert view.steps == ["start", "advance"]
