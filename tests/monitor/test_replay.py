"""Replay: the events give the root of the log and the state of each contribution. A wrong log is rejected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger import active_set
from hashdb.domain.ledger.active_set import EMPTY_BLOCK
from hashdb.domain.ledger.events import Details, Event, canonical, leaf
from hashdb.errors import ServiceError
from hashdb.monitor.replay import NotTheLogError, Replay, WrongEvents, event_line
from hashdb.monitor.tables import MonitorTables
from tests.builders import tree_root

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)
COMMITMENT = bytes(range(32))


def make_event(seq: int, action: str, id: int, **details: object) -> Event:
    typed: Details = details  # type: ignore[assignment]
    kind = "contribution" if action.startswith("contribution.") else action.partition(".")[0]
    computed = leaf(seq, AT, "key:1", action, f"{kind}:{id}", canonical(typed))
    return Event(seq, AT, "key:1", action, kind, id, typed, computed)


def log(*actions: tuple[str, int, dict[str, object]]) -> list[Event]:
    return [make_event(seq, action, id, **details) for seq, (action, id, details) in enumerate(actions, 1)]


def root_of(*leaves: tuple[int, str, bytes | None]) -> bytes:
    return active_set.update(lambda *_: EMPTY_BLOCK, {entry[0]: active_set.leaf(*entry) for entry in leaves})[1]


@pytest.fixture
def tables(tmp_path: Path) -> Iterator[MonitorTables]:
    tables = MonitorTables(tmp_path / "monitor.sqlite")
    yield tables
    tables.close()


def pages(events: Sequence[Event], size: int = 3) -> Iterator[Sequence[Event]]:
    return (events[start : start + size] for start in range(0, len(events), size))


EVENTS = log(
    ("signer.added", 1, {"key": "log+1+a"}),
    ("contribution.added", 1, {"commitment": COMMITMENT.hex()}),
    ("contribution.added", 2, {}),
    ("contribution.withdrawn", 1, {}),
    (
        "set.committed",
        1,
        {"root": root_of((1, "unreviewed", COMMITMENT), (2, "unreviewed", None)).hex(), "count": 2, "covers": 3},
    ),
    ("contribution.committed", 2, {"commitment": COMMITMENT.hex()}),
    ("contribution.confirmed", 2, {}),
    ("contribution.erased", 1, {}),
    ("set.committed", 1, {"root": root_of((2, "confirmed", COMMITMENT)).hex(), "count": 1, "covers": 7}),
)


def test_the_events_give_the_root_keys_states_and_roots_of_the_set(tables: MonitorTables) -> None:
    replay = Replay(tables)
    leaves = [event.leaf for event in EVENTS]
    assert replay.take(pages(EVENTS), 4, tree_root(leaves[:4])) == WrongEvents()
    assert replay.take(pages(EVENTS[4:], 2), 9, tree_root(leaves)) == WrongEvents()
    assert (replay.size, replay.root, replay.signers) == (9, tree_root(leaves), ("log+1+a",))
    assert (replay.set_seq, replay.set_root) == (9, root_of((2, "confirmed", COMMITMENT)))
    first, second = tables.rows([1, 2]).values()
    assert (first.seq, first.state.status, first.leaf) == (4, Status.WITHDRAWN, None)
    assert (second.seq, second.state.standing, second.commitment) == (7, Standing.CONFIRMED, COMMITMENT)
    assert tables.number("set_wrong") == 0


@pytest.mark.parametrize("detail", [{"root": "00" * 32}, {"count": 3}, {"covers": 99}, {"root": None}])
def test_a_root_that_the_events_do_not_give_is_returned(tables: MonitorTables, detail: dict[str, object]) -> None:
    events = list(EVENTS)
    events[4] = make_event(5, "set.committed", 1, **{**EVENTS[4].details, **detail})
    leaves = [event.leaf for event in events]
    replay = Replay(tables)
    (wrong,) = replay.take(pages(events[:8]), 8, tree_root(leaves[:8])).roots
    assert wrong.event.seq == tables.number("set_wrong") == 5
    # The next root is right again.
    assert replay.take(pages(events[8:]), 9, tree_root(leaves)) == WrongEvents()
    assert tables.number("set_wrong") == 0


def test_a_wrong_root_is_returned_even_if_the_service_failed_meanwhile(
    tables: MonitorTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashdb.monitor.replay._EVENTS_A_TRANSACTION", 2)
    events = list(EVENTS)
    events[4] = make_event(5, "set.committed", 1, **{**EVENTS[4].details, "count": 3})
    root = tree_root([event.leaf for event in events])

    def failing_pages() -> Iterator[Sequence[Event]]:
        yield from pages(events[:6], 2)
        raise ServiceError(500, "")

    replay = Replay(tables)
    with pytest.raises(ServiceError):
        replay.take(failing_pages(), 9, root)
    assert replay.size == 6
    assert [root.event.seq for root in replay.take(pages(events[6:]), 9, root).roots] == [5]
    assert replay.take(pages([]), 9, root) == WrongEvents()


def test_a_log_that_does_not_give_its_root_is_rejected_and_not_stored(tables: MonitorTables) -> None:
    replay, root = Replay(tables), tree_root([event.leaf for event in EVENTS])
    changed = [*EVENTS[:3], replace(EVENTS[3], action="contribution.expired"), *EVENTS[4:]]
    impossible = [*EVENTS[:3], make_event(4, "contribution.added", 256**5), *EVENTS[4:]]
    for events, size, reason in (
        (changed, 9, r"^event 4 was changed: its content does not match its leaf$"),
        ([*EVENTS[:3], *EVENTS[4:]], 9, r"^event 4 is missing$"),
        (EVENTS[:7], 9, r"^events 8 to 9 are missing$"),
        (impossible, 9, r"^event 4 names a contribution with an invalid id$"),
        (EVENTS, 8, r"^its 8 events do not give the root of its signed checkpoint$"),
    ):
        with pytest.raises(NotTheLogError, match=reason):
            replay.take(pages(events), size, root)
        assert replay.size == 0
    assert '"action": "contribution.added"' in event_line(EVENTS[1])


@pytest.mark.parametrize(
    ("action", "details", "is_allowed"),
    [
        ("contribution.committed", {}, False),
        ("contribution.added", {}, False),
        ("contribution.withdrawn", {}, False),
        ("contribution.amended", {"fields": ["labels"]}, False),
        ("contribution.amended", {}, False),
        ("contribution.amended", {"fields": ["signals"]}, True),
        ("contribution.amended", {"fields": ["labels", "signatures"]}, True),
    ],
)
def test_only_an_addition_by_the_member_changes_the_commitment(
    tables: MonitorTables, action: str, details: dict[str, object], is_allowed: bool
) -> None:
    other = bytes(32).hex()
    events = log(
        ("contribution.added", 1, {"commitment": COMMITMENT.hex()}), (action, 1, {**details, "commitment": other})
    )
    wrong = Replay(tables).take(pages(events), 2, tree_root([event.leaf for event in events]))
    assert [event.seq for event in wrong.recommitted] == ([] if is_allowed else [2])
    assert tables.rows([1])[1].commitment == (bytes(32) if is_allowed else COMMITMENT)
