"""The head reader: reads the head of the log and its last events, which each request does first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from sqlalchemy import PoolProxiedConnection

from hashdb.domain.ledger.events import Head
from hashdb.domain.times import from_microseconds
from hashdb.store.thread_connections import ThreadConnections
from hashdb.store.wal_header import WalHeader

_HEAD = "SELECT seq, at, epoch FROM log"
_TAIL = (
    "SELECT 'head', seq, at, CAST(NULL AS bytea), epoch FROM log"
    " UNION ALL SELECT 'leaf', seq, 0, leaf, '' FROM events WHERE seq = ? OR seq = (SELECT seq FROM log)"
    " UNION ALL SELECT DISTINCT 'kind', 0, 0, CAST(NULL AS bytea), subject_kind FROM events WHERE seq > ?"
)
_PAST_ALL = 2**62
"""A seq past any event."""


class Tail(NamedTuple):
    """In one snapshot: the head of the log, the leaves of it and of an earlier event, and the events in between."""

    head: Head
    leaves: Mapping[int, str]
    """The leaves in hex, by seq."""
    kinds: frozenset[str]
    """The kinds of subject of the events past the earlier one."""


class HeadReader:
    """Reads the head without asking the database where that is possible, and otherwise in one round trip.

    Nothing is asked of SQLite while no process has committed anything.
    """

    def __init__(self, connections: ThreadConnections) -> None:
        """Opens nothing yet."""
        self._connections = connections
        self._embedded = connections.dialect.name == "sqlite"
        self._tail = _TAIL if self._embedded else _TAIL.replace("?", "%s")
        self._header = WalHeader(connections)
        self._last: tuple[bytes, Head] | None = None

    def read(self) -> Head:
        """The last event that is committed now. Raises StoreBusy, after which the thread opens a new connection."""
        if not self._embedded:
            return self._connections.use(_read_postgresql)
        # The header is read before the head: after a commit in between, the next call reads the head again.
        header, last = self._header.read(), self._last
        if header and last is not None and header == last[0]:
            return last[1]
        ((seq, at, epoch),) = self._connections.execute(_HEAD)
        head = Head(seq, from_microseconds(at), epoch)
        self._last = header, head
        return head

    def close(self) -> None:
        """Forget what was read."""
        self._last = None
        self._header.close()

    def tail(self, after: int | None) -> Tail:
        """The part of the log past an event (None: only its head and the leaf of the head). Raises StoreBusy."""
        rows = self._connections.execute(self._tail, (after or 0, _PAST_ALL if after is None else after))
        ((last, at, epoch),) = [(seq, at, epoch) for row_kind, seq, at, _, epoch in rows if row_kind == "head"]
        leaves = {seq: bytes(leaf).hex() for row_kind, seq, _, leaf, _ in rows if row_kind == "leaf"}
        kinds = frozenset([kind for row_kind, _, _, _, kind in rows if row_kind == "kind"])
        return Tail(Head(last, from_microseconds(at), epoch), leaves, kinds)


def _read_postgresql(connection: PoolProxiedConnection) -> Head:
    driver: Any = connection.dbapi_connection
    result = driver.execute_prepared(_HEAD.encode())
    seq, at, epoch = (result.get_value(0, column) for column in range(3))
    return Head(int(seq), from_microseconds(int(at)), epoch.decode())
