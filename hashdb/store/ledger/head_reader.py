"""The head reader: reads the head of the log and its last events, which each request does first."""

from __future__ import annotations

from collections.abc import Mapping
from threading import local
from typing import Any, NamedTuple
from weakref import WeakSet

from sqlalchemy import Engine, PoolProxiedConnection

from hashdb.domain.ledger.events import Head
from hashdb.domain.times import from_microseconds
from hashdb.errors import StoreBusy
from hashdb.store.connections import RETRY_AFTER, use_short_queries

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


class _ThreadConnection:
    """A connection of a thread, closed when nothing refers to this any more: at the latest when the thread ends."""

    def __init__(self, connection: PoolProxiedConnection) -> None:
        self.connection = connection

    def close(self) -> None:
        self.connection.close()

    def __del__(self) -> None:
        self.close()


class HeadReader:
    """Keeps one connection for each thread, outside of transactions: one round trip, 5 times as fast as SQLAlchemy."""

    def __init__(self, engine: Engine) -> None:
        """Opens nothing yet."""
        self._engine, self._driver = engine, engine.dialect.loaded_dbapi
        self._tail = _TAIL if engine.dialect.name == "sqlite" else _TAIL.replace("?", "%s")
        self._local = local()
        self._all: WeakSet[_ThreadConnection] = WeakSet()

    def read(self) -> Head:
        """The last event that is committed now. Raises StoreBusy, after which the thread opens a new connection."""
        ((seq, at, epoch),) = self._query(_HEAD)
        return Head(seq, from_microseconds(at), epoch)

    def tail(self, after: int | None) -> Tail:
        """The part of the log past an event (None: only its head and the leaf of the head). Raises StoreBusy."""
        rows = self._query(self._tail, (after or 0, _NOTHING if after is None else after))
        ((last, at, epoch),) = [(seq, at, epoch) for what, seq, at, _, epoch in rows if what == "head"]
        leaves = {seq: bytes(leaf).hex() for what, seq, _, leaf, _ in rows if what == "leaf"}
        kinds = frozenset([kind for what, _, _, _, kind in rows if what == "kind"])
        return Tail(Head(last, from_microseconds(at), epoch), leaves, kinds)

    def _query(self, query: str, values: tuple[int, ...] = ()) -> list[Any]:
        known: _ThreadConnection | None = getattr(self._local, "held", None)
        try:
            held = known or self._connect()
            # Until the rows are there: a connection that fails is not used again.
            self._local.held = None
            cursor = held.connection.cursor()
            cursor.execute(query, values)
            rows: list[Any] = list(cursor.fetchall())
            cursor.close()
        except self._driver.Error as error:
            # The server may have ended it since this thread last used it, which may be long ago.
            if known and self._engine.dialect.is_disconnect(error, known.connection.dbapi_connection, None):
                return self._query(query, values)
            raise StoreBusy(RETRY_AFTER) from error
        self._local.held = held
        return rows

    def close(self) -> None:
        """Close the connections of every thread."""
        for held in list(self._all):
            held.close()
        self._local = local()

    def _connect(self) -> _ThreadConnection:
        connection = self._engine.raw_connection()
        if self._engine.dialect.name == "postgresql":
            use_short_queries(connection)
        # Never back to the pool, whose users expect a connection in a transaction.
        connection.detach()
        held = _ThreadConnection(connection)
        self._all.add(held)
        return held
