"""The tables of a monitor, in SQLite: what the events of the log say of each contribution, and what was shown of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger import active_set
from hashdb.domain.ledger.active_set import BLOCK_NODES, EMPTY_BLOCK, EMPTY_HASH, HASH_OCTETS
from hashdb.domain.ledger.events import ContributionState
from hashdb.domain.times import format_instant, parse_instant
from hashdb.index.folder import opener
from hashdb.local.tables import transaction

_VERSION = 1
_IDS_AT_ONCE = 500
"""The most ids in the `IN` of one statement."""
_MOST_LISTED = 20
"""The most contributions that a list of those that differ has."""
_LEAVES_AT_ONCE = 50_000
"""Leaves that are set in the tree at a time."""
_TABLES = """
CREATE TABLE state (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE contributions (
    id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, status TEXT, standing TEXT NOT NULL, commitment BLOB, leaf BLOB,
    shown BLOB, masked INTEGER NOT NULL DEFAULT 0, sealed INTEGER NOT NULL DEFAULT 0);
CREATE INDEX contributions_sealed ON contributions (seq) WHERE sealed > masked;
CREATE INDEX contributions_unlike ON contributions (seq) WHERE leaf IS NOT shown;
CREATE INDEX contributions_uncommitted ON contributions (id) WHERE leaf IS NOT NULL AND commitment IS NULL;
CREATE TABLE blocks (level INTEGER NOT NULL, number INTEGER NOT NULL, hashes BLOB NOT NULL,
    PRIMARY KEY (level, number));
CREATE TABLE pending (seq INTEGER NOT NULL, id INTEGER NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY (seq, id))
    WITHOUT ROWID;
"""
"""`leaf` is the contribution's leaf in the active set by the log, `shown` by the feed; NULL where it is not in it.

`masked` is how many of its signals are suppressed by the log, `sealed` by the feed. `pending` has leaves of events that
are not in the tree of `blocks` yet. `state` has numbers, texts and times by name: each class reads and writes its own.
"""
ALL_SIGNALS = -1
"""In the place of a number of suppressed signals: all that the contribution has."""
_ROWS = "SELECT id, seq, status, standing, commitment, masked, sealed FROM contributions"
_WRITTEN = """
INSERT INTO contributions (id, seq, status, standing, commitment, leaf, masked) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET seq = excluded.seq, status = excluded.status, standing = excluded.standing,
    commitment = excluded.commitment, leaf = excluded.leaf, masked = excluded.masked
"""
_SHOWN = """
INSERT INTO contributions (id, seq, standing, shown, sealed) VALUES (?, 0, 'unreviewed', ?, ?)
ON CONFLICT (id) DO UPDATE SET shown = excluded.shown, sealed = excluded.sealed
"""


class Leaf(NamedTuple):
    """The leaf of a contribution since an event: `EMPTY_HASH` if it no longer matches."""

    seq: int
    """The seq of the event."""
    id: int
    """The id of the contribution."""
    leaf: bytes


class Row(NamedTuple):
    """A contribution by the log: the last event that changed what readers see of it (0: none), and its state."""

    id: int
    seq: int
    state: ContributionState
    commitment: bytes | None
    masked: int = 0
    """How many of its signals are suppressed."""
    sealed: int = 0
    """How many the feed shows only the seals of; `ALL_SIGNALS` if it shows the contribution as masked."""

    @property
    def leaf(self) -> bytes | None:
        """Its leaf in the active set; None where it does not match."""
        return active_set.leaf(self.id, self.state.standing, self.commitment) if self.state.matches else None


class MonitorTables:
    """One file, for one process and thread."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it. Raises sqlite3.DatabaseError if it is damaged."""
        with open(path, "ab", opener=opener):
            pass
        self._connection = sqlite3.connect(path, isolation_level=None)
        try:
            self._prepare()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self) -> None:
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -65536"):
            self._connection.execute(f"PRAGMA {setting}")
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        if not version:
            with self.writing():
                for statement in _TABLES.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA user_version = {_VERSION}")
        elif version != _VERSION:
            raise sqlite3.DatabaseError("the file is from another version")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def writing(self) -> AbstractContextManager[None]:
        """A transaction: committed at the end, rolled back on any error."""
        return transaction(self._connection)

    def number(self, key: str) -> int:
        """A number of the state; 0 if it has none."""
        value = self._value(key)
        return value if isinstance(value, int) else 0

    def text(self, key: str) -> str:
        """A text of the state; empty if it has none."""
        value = self._value(key)
        return value if isinstance(value, str) else ""

    def octets(self, key: str) -> bytes:
        """Octets of the state; empty if it has none."""
        value = self._value(key)
        return value if isinstance(value, bytes) else b""

    def time(self, key: str) -> datetime | None:
        """A time of the state; None if it has none."""
        text = self.text(key)
        return parse_instant(text) if text else None

    def put(self, **values: int | str | bytes | datetime) -> None:
        """Set values of the state, all of them or none."""
        stored = {key: format_instant(value) if isinstance(value, datetime) else value for key, value in values.items()}
        statement = f"INSERT OR REPLACE INTO state VALUES {', '.join(['(?, ?)'] * len(stored))}"
        self._connection.execute(statement, list(chain.from_iterable(stored.items())))

    def waited_while_answering(self, since: datetime, now: datetime) -> timedelta:
        """For how long something has waited for the service, without the time before it answered again."""
        return now - max(since, self.time("answers_since") or since)

    def rows(self, ids: Iterable[int]) -> dict[int, Row]:
        """The rows of contributions by id; those that the log does not have are left out."""
        wanted, rows = list(ids), dict[int, Row]()
        for start in range(0, len(wanted), _IDS_AT_ONCE):
            part = wanted[start : start + _IDS_AT_ONCE]
            marks = ", ".join("?" * len(part))
            rows |= self._select(f"{_ROWS} WHERE status IS NOT NULL AND id IN ({marks})", part)
        return rows

    def between(self, after: int, last: int | None) -> dict[int, Row]:
        """The rows with ids above `after`, up to `last` (None: all)."""
        query = f"{_ROWS} WHERE status IS NOT NULL AND id > ? AND id <= ?"
        return self._select(query, [after, last if last is not None else 2**62])

    def store(self, rows: Iterable[Row]) -> None:
        """Store the states of contributions."""
        self._connection.executemany(
            _WRITTEN,
            [
                (row.id, row.seq, row.state.status, row.state.standing, row.commitment, row.leaf, row.masked)
                for row in rows
            ],
        )

    def postpone(self, leaves: Sequence[Leaf]) -> None:
        """Set leaves of events aside until the tree advances to these events."""
        self._connection.executemany("INSERT OR REPLACE INTO pending VALUES (?, ?, ?)", leaves)

    def show(self, leaves: Mapping[int, tuple[bytes | None, int]]) -> None:
        """Store what the feed showed of contributions, by id: the leaf (None: it is gone), and how many seals."""
        self._connection.executemany(_SHOWN, [(id, leaf, sealed) for id, (leaf, sealed) in leaves.items()])

    def forget_shown(self) -> None:
        """Forget all that the feed showed."""
        self._connection.execute("UPDATE contributions SET shown = NULL, sealed = 0 WHERE shown IS NOT NULL")

    def unlike(self, seq: int) -> list[tuple[int, bool, bool]]:
        """The first contributions of which the feed up to `seq` does not show what the log says.

        Each with whether it matches by the log, and by the feed.
        """
        query = """SELECT id, leaf IS NOT NULL, shown IS NOT NULL FROM contributions
            WHERE leaf IS NOT shown AND seq <= ? ORDER BY seq LIMIT ?"""
        return [(id, bool(log), bool(feed)) for id, log, feed in self._connection.execute(query, (seq, _MOST_LISTED))]

    def oversealed(self, seq: int) -> list[int]:
        """The first contributions of which the feed up to `seq` shows more signals as suppressed than the log."""
        query = "SELECT id FROM contributions WHERE sealed > masked AND seq <= ? ORDER BY seq LIMIT ?"
        return [id for (id,) in self._connection.execute(query, (seq, _MOST_LISTED))]

    def uncommitted(self) -> int:
        """How many contributions match and have no commitment."""
        query = "SELECT count(*) FROM contributions WHERE leaf IS NOT NULL AND commitment IS NULL"
        return int(self._connection.execute(query).fetchone()[0])

    def first_pending(self) -> int | None:
        """The first event whose change is not in the tree; None if all are."""
        first = self._connection.execute("SELECT min(seq) FROM pending").fetchone()[0]
        return None if first is None else int(first)

    def is_unrecorded(self) -> bool:
        """Whether the active set differs from the tree after the last event."""
        query = "SELECT id, leaf, max(seq) FROM pending GROUP BY id"
        return any(leaf != self._leaf(id) for id, leaf, _ in self._connection.execute(query))

    def advance_to(self, seq: int) -> tuple[bytes, int]:
        """Advance the tree to event `seq`; return the root of the active set after it, and the number of its leaves."""
        count = self.number("count")
        while True:
            query = "SELECT id, leaf, seq FROM pending WHERE seq <= ? ORDER BY seq, id LIMIT ?"
            pending = self._connection.execute(query, (seq, _LEAVES_AT_ONCE)).fetchall()
            if not pending:
                break
            leaves = {id: leaf for id, leaf, _ in pending}
            count += sum((leaf != EMPTY_HASH) - (self._leaf(id) != EMPTY_HASH) for id, leaf in leaves.items())
            changed, root = active_set.update(self.block, leaves)
            rows = [(*place, hashes) for place, hashes in changed.items()]
            self._connection.executemany("INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)", rows)
            last_id, _, last_seq = pending[-1]
            self._connection.execute("DELETE FROM pending WHERE (seq, id) <= (?, ?)", (last_seq, last_id))
            self.put(root=root, count=count)
        return self.octets("root") or EMPTY_HASH, count

    def block(self, level: int, number: int) -> bytes:
        """The hashes of a block of the tree."""
        query = "SELECT hashes FROM blocks WHERE level = ? AND number = ?"
        row = self._connection.execute(query, (level, number)).fetchone()
        return bytes(row[0]) if row else EMPTY_BLOCK

    def _leaf(self, id: int) -> bytes:
        begin = id % BLOCK_NODES * HASH_OCTETS
        return self.block(0, id // BLOCK_NODES)[begin : begin + HASH_OCTETS]

    def _select(self, query: str, values: Sequence[int]) -> dict[int, Row]:
        return {
            id: Row(id, seq, ContributionState(Status(status), Standing(standing)), commitment, masked, sealed)
            for id, seq, status, standing, commitment, masked, sealed in self._connection.execute(query, values)
        }

    def _value(self, key: str) -> object:
        row = self._connection.execute("SELECT value FROM state WHERE key = ?", (key,)).fetchone()
        return None if row is None else row[0]
