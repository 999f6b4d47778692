"""Replay: computes the log's tree, the state of each contribution and the active set from the events of the log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from hashdb.domain.ledger import active_set, merkle
from hashdb.domain.ledger.active_set import EMPTY_HASH, HASH_OCTETS
from hashdb.domain.ledger.commitments import logged_commitment, may_commit
from hashdb.domain.ledger.events import Action, ContributionState, Event
from hashdb.monitor.tables import Leaf, MonitorTables, Row

_EVENTS_A_TRANSACTION = 50_000
"""Events that are stored in one transaction."""
_ID_LIMIT = active_set.BLOCK_NODES**active_set.LEVELS
"""The ids of contributions are below this number."""
_CONTRIBUTION = "contribution"


class NotTheLogError(Exception):
    """The events are not those of the log: its text says why, and `event` is the first of them, if one is wrong."""

    def __init__(self, why: str, event: Event | None = None) -> None:
        super().__init__(why)
        self.event = event


@dataclass(frozen=True, slots=True)
class RecordedRoot:
    """An event that records a root of the active set; `root` and `count` (of leaves) are by the events before it."""

    event: Event
    root: bytes
    count: int

    @property
    def holds(self) -> bool:
        """Whether the event records this root and number."""
        details = self.event.details
        return (details.get("root"), details.get("count")) == (self.root.hex(), self.count)


@dataclass(frozen=True, slots=True)
class WrongEvents:
    """What is wrong in events that were replayed, although they are in the log."""

    roots: tuple[RecordedRoot, ...] = ()
    """The recorded roots of the active set that the events before them do not give."""
    recommitted: tuple[Event, ...] = ()
    """The events that commit to other signals of a contribution although no member added any; they change nothing."""

    def __add__(self, other: WrongEvents) -> WrongEvents:
        return WrongEvents(self.roots + other.roots, self.recommitted + other.recommitted)


class Replay:
    """What the events up to `size` give, in tables; events are added in order."""

    def __init__(self, tables: MonitorTables) -> None:
        """The events that the tables have are replayed."""
        self._tables = tables
        self._wrong = WrongEvents()

    @property
    def size(self) -> int:
        """How many events are replayed."""
        return self._tables.number("size")

    @property
    def root(self) -> bytes:
        """The root of the tree over the replayed events."""
        return merkle.fold(_split(self._tables.octets("edge")))

    @property
    def signers(self) -> tuple[str, ...]:
        """The keys that sign the log by its events."""
        return tuple(self._tables.text("signers").split())

    @property
    def set_seq(self) -> int:
        """The last event that records a root of the active set; 0: there is none."""
        return self._tables.number("set_seq")

    @property
    def set_root(self) -> bytes:
        """The root of the active set that the events up to what `set_seq` covers give."""
        return self._tables.octets("set_root")

    def take(self, events: Iterator[Sequence[Event]], size: int, root: bytes) -> WrongEvents:
        """Replay pages of events up to `size`, where the tree must have this root; return what is wrong in them.

        Raises NotTheLogError: the events of this transaction are not stored then. What is wrong in those that were is
        returned by the next call that ends.
        """
        done = False
        while not done:
            wrong = WrongEvents()
            with self._tables.writing():
                begin = self.size
                while self.size - begin < _EVENTS_A_TRANSACTION and not (done := self.size == size):
                    page = next(events, ())
                    if not page:
                        raise NotTheLogError(f"events {self.size + 1} to {size} are missing")
                    wrong += self._replay_page(page[: size - self.size])
                if done and self.root != root:
                    raise NotTheLogError(f"its {size} events do not give the root of its signed checkpoint")
            self._wrong += wrong
        wrong, self._wrong = self._wrong, WrongEvents()
        return wrong

    def _replay_page(self, events: Sequence[Event]) -> WrongEvents:
        """Replay a page of events; return what is wrong in them. Raises NotTheLogError."""
        first, leaves = self.size + 1, list[bytes]()
        for seq, event in enumerate(events, first):
            if event.seq != seq:
                raise NotTheLogError(f"event {seq} is missing")
            if event.kind == _CONTRIBUTION and not 0 < event.id < _ID_LIMIT:
                raise NotTheLogError(f"event {seq} names a contribution with an invalid id", event)
            if event.computed_leaf != event.leaf:
                raise NotTheLogError(f"event {seq} was changed: its content does not match its leaf", event)
            leaves.append(event.leaf)
        _, edge = merkle.grow(first - 1, _split(self._tables.octets("edge")), leaves)
        self._tables.put(size=first - 1 + len(leaves), edge=b"".join(edge))
        rows = self._tables.rows({event.id for event in events if event.kind == _CONTRIBUTION})
        roots: list[RecordedRoot] = []
        recommitted: list[Event] = []
        pending: list[Leaf] = []
        for event in events:
            if event.kind == _CONTRIBUTION:
                before = rows.get(event.id, Row(event.id, seq=0, state=ContributionState(), commitment=None))
                commitment = logged_commitment(event.details)
                committed = before.commitment is not None
                if commitment and not may_commit(event.action, event.details, committed=committed):
                    commitment = None
                    recommitted.append(event)
                rows[event.id] = after = _changed(before, event, commitment)
                if after.leaf != before.leaf:
                    pending.append(Leaf(event.seq, event.id, after.leaf or EMPTY_HASH))
            elif event.action == Action.SIGNER_ADDED:
                self._tables.put(signers=f"{self._tables.text('signers')} {event.details.get('key')}".strip())
            elif event.action == Action.SET_COMMITTED:
                self._tables.postpone(pending)
                pending.clear()
                recorded = self._recorded(event)
                roots += [] if recorded.holds else [recorded]
        self._tables.postpone(pending)
        self._tables.store(rows.values())
        return WrongEvents(tuple(roots), tuple(recommitted))

    def _recorded(self, event: Event) -> RecordedRoot:
        """Advance the tree to the event that a root covers, and note whether the root is that of the tree."""
        covers = event.details.get("covers")
        root, count = self._tables.advance_to(
            covers if isinstance(covers, int) and covers < event.seq else event.seq - 1
        )
        recorded = RecordedRoot(event, root, count)
        first_wrong = 0 if recorded.holds else self._tables.number("set_wrong") or event.seq
        self._tables.put(set_seq=event.seq, set_root=root, set_wrong=first_wrong, set_text=event_line(event))
        return recorded


def _changed(before: Row, event: Event, commitment: bytes | None) -> Row:
    """The row of a contribution after an event."""
    try:
        changes_feed = Action(event.action).changes_feed
    except ValueError:
        changes_feed = event.action.startswith(f"{_CONTRIBUTION}.")
    seq, state = event.seq if changes_feed else before.seq, before.state.after(event.action)
    return Row(event.id, seq, state, commitment or before.commitment, _masked(before.masked, event), before.sealed)


def _masked(before: int, event: Event) -> int:
    """How many signals of a contribution are suppressed after an event."""
    if event.action == Action.CONTRIBUTION_AMENDED:
        return before + event.integer("masked") - event.integer("unmasked")
    if event.action in (Action.CONTRIBUTION_ADDED, Action.CONTRIBUTION_COMMITTED):
        # The first event, and one by which an upgrade commits to a contribution, have the whole number.
        return event.integer("masked")
    return before


def event_line(event: Event) -> str:
    """The event as JSON with its leaf: evidence."""
    return json.dumps(json.loads(event.text) | {"leaf": event.leaf.hex()}, ensure_ascii=False) + "\n"


def _split(edge: bytes) -> list[bytes]:
    """The peaks of a tree, which are stored in a row."""
    return [edge[begin : begin + HASH_OCTETS] for begin in range(0, len(edge), HASH_OCTETS)]
