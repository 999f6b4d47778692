"""The head reader: reads the head of the log and its last events, which each request does first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hashdb.domain.ledger.events import Head
from hashdb.domain.times import from_microseconds
from hashdb.store.thread_connections import ThreadConnections

_HEAD = "SELECT seq, at, epoch FROM log"
_TAIL = (
    "SELECT 'head', seq, at, CAST(NULL AS bytea), epoch FROM log"
    " UNION ALL SELECT 'leaf', seq, 0, leaf, '' FROM events WHERE seq = ? OR seq = (SELECT seq FROM log)"
    " UNION ALL SELECT DISTINCT 'kind', 0, 0, CAST(NULL AS bytea), subject_kind FROM events WHERE seq > ?"
)
_NOTHING = 2**62
"""A seq past any event."""


class Tail(NamedTuple):
    """In one snapshot: the head of the log, the leaves of it and of an earlier event, and the events in between."""

    head: Head
    leaves: Mapping[int, str]
    kinds: frozenset[str]
    """The kinds of subject of the events past the earlier one."""


class HeadReader:
    """One round trip outside of transactions, 5 times as fast as SQLAlchemy."""

    def __init__(self, connections: ThreadConnections) -> None:
        """Opens nothing yet."""
        self._execute = connections.execute
        self._tail = _TAIL if connections.dialect.name == "sqlite" else _TAIL.replace("?", "%s")

    def read(self) -> Head:
        """The last event that is committed now. Raises StoreBusy, after which the thread opens a new connection."""
        ((seq, at, epoch),) = self._execute(_HEAD)
        return Head(seq, from_microseconds(at), epoch)

    def tail(self, after: int | None) -> Tail:
        """The part of the log past an event (None: only its head and the leaf of the head). Raises StoreBusy."""
        rows = self._execute(self._tail, (after or 0, _NOTHING if after is None else after))
        ((last, at, epoch),) = [(seq, at, epoch) for what, seq, at, _, epoch in rows if what == "head"]
        leaves = {seq: bytes(leaf).hex() for what, seq, _, leaf, _ in rows if what == "leaf"}
        kinds = frozenset([kind for what, _, _, _, kind in rows if what == "kind"])
        return Tail(Head(last, from_microseconds(at), epoch), leaves, kinds)
