"""The tables of a member's copy, in SQLite: the contributions of the feed, up to a seq."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from threading import RLock
from typing import Any, Final, NamedTuple

from hashdb.domain.frames import MOST_SHOTS_OF_SIGNAL, Unit
from hashdb.domain.ledger.events import Head
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.matching.matches import OVERRULING, Holder, StoredItem
from hashdb.domain.rules import Rules
from hashdb.domain.seeds import Seed
from hashdb.domain.sharing.feed import CopiedContribution, FeedStep, Gone
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.domain.signatures import Kind, Signature
from hashdb.domain.times import from_microseconds, to_microseconds
from hashdb.index.folder import opener
from hashdb.local.rows import contribution_row, gone_row, holder_from_row
from hashdb.wire.accounts import MeOut

_VERSION = 5
"""The version of the tables. If a copy has another one, the next sync builds a new copy."""
_OF_0_1_0 = 1
"""The version of copies that hashdb 0.1.0 made. Until the next sync they are read as they are: they have no frames,
signatures and commitments."""
FRAMES_PLACE: Final = SIGNALS_AN_ITEM
"""The place of signals of frames; those of the item itself have lower ones, in order."""
_VALUES_A_STATEMENT = 500
"""The most values in the `IN` of one statement."""
_BUSY_SECONDS = 30.0
"""How long a write waits for the writes of other connections."""
_INHERITED: list[sqlite3.Connection] = []
"""The connections that were open when this process was forked: they stay open, and are not used."""
_TABLES = """
CREATE TABLE state (
    epoch TEXT NOT NULL, cursor INTEGER NOT NULL, at INTEGER NOT NULL, me TEXT NOT NULL, approval TEXT);
CREATE TABLE contributions (
    id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, member INTEGER NOT NULL, labels TEXT NOT NULL, severity INTEGER,
    standing TEXT NOT NULL, context TEXT NOT NULL, removed_at INTEGER, received_at INTEGER NOT NULL,
    expires_at INTEGER, duration REAL, pages INTEGER, words INTEGER,
    salt BLOB, commitment BLOB, undisclosed BLOB);
CREATE INDEX contributions_seq ON contributions (seq);
CREATE TABLE signals (
    algorithm TEXT NOT NULL, value BLOB NOT NULL, contribution INTEGER NOT NULL, place INTEGER NOT NULL,
    PRIMARY KEY (algorithm, value, contribution)) WITHOUT ROWID;
CREATE INDEX signals_contribution ON signals (contribution);
CREATE TABLE shots (
    contribution INTEGER NOT NULL, algorithm TEXT NOT NULL, value BLOB NOT NULL, start REAL NOT NULL,
    end REAL NOT NULL, unit TEXT NOT NULL, PRIMARY KEY (contribution, algorithm, value, start)) WITHOUT ROWID;
CREATE TABLE signatures (
    contribution INTEGER NOT NULL, place INTEGER NOT NULL, kind TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (contribution, place)) WITHOUT ROWID;
CREATE TABLE gone (
    contribution INTEGER PRIMARY KEY, seq INTEGER NOT NULL, reason TEXT NOT NULL, standing TEXT, commitment BLOB);
CREATE INDEX gone_seq ON gone (seq);
"""
"""Times are in microseconds since 1970. The row of `state` says up to which seq the copy is complete (`cursor`), when
it was last up to date (`at`), what the service answered about the member and its rules (`me`), and the proof that the
root of the active set that organisations signed is that of the copy (`approval`)."""
_CHANGED = """
SELECT c.seq, c.id, (SELECT count(*) FROM signals s WHERE s.contribution = c.id) FROM contributions c
WHERE c.seq > ? ORDER BY c.seq LIMIT ?
"""
# How much of the contribution c has the value of its signal s: see `shares`.
_SHARE = f"""
CASE WHEN s.place < {FRAMES_PLACE} OR (c.duration IS NULL AND s.algorithm <> 'simhash256') THEN 1.0 ELSE coalesce(
    (SELECT sum(h.end - h.start + (h.unit <> 'words')) FROM shots h
     WHERE h.contribution = s.contribution AND h.algorithm = s.algorithm AND h.value = s.value)
    / nullif(CASE s.algorithm WHEN 'simhash256' THEN c.words ELSE c.duration END, 0), 1.0) END
"""
KEYS: Final = {"contributions": "id", **dict.fromkeys(("signals", "shots", "signatures", "gone"), "contribution")}
"""The tables, and their columns with the id of a contribution."""
_INSERT = f"INSERT INTO contributions VALUES ({', '.join('?' * 16)})"
_HOLDERS = """
SELECT s.value, c.id, c.member, c.labels, c.severity, c.standing, c.context, c.removed_at, c.received_at, {extent}
FROM signals s JOIN contributions c ON c.id = s.contribution
WHERE s.algorithm = ? AND (c.expires_at IS NULL OR c.expires_at > ?) AND s.value IN {{}}
"""
_EXTENTS = {_OF_0_1_0: "NULL, NULL, NULL", _VERSION: "c.duration, c.pages, c.words"}
_TIMES = f"""
SELECT start, end FROM shots WHERE contribution = ? AND algorithm = ? AND value = ?
ORDER BY start LIMIT {MOST_SHOTS_OF_SIGNAL}
"""
_ITEM_SIGNALS = f"""
SELECT contribution, algorithm, value FROM signals WHERE contribution IN {{}} AND place < {FRAMES_PLACE}
ORDER BY contribution, place
"""
_ITEM_SIGNALS_OF_0_1_0 = "SELECT contribution, algorithm, value FROM signals WHERE contribution IN {}"
_SIGNATURES = "SELECT contribution, kind, value FROM signatures WHERE contribution IN {} ORDER BY contribution, place"
_SHOTS = """
SELECT start, end, unit, algorithm, value FROM shots WHERE contribution = ? ORDER BY unit, start, algorithm, value
"""
_ALGORITHMS = "SELECT DISTINCT contribution, algorithm FROM signals WHERE algorithm IN (?, ?) AND contribution IN {}"


@dataclass(frozen=True, slots=True)
class CopyState:
    """The log and the seq up to which a copy is complete, when it was last up to date, and the rules and seeds."""

    epoch: str
    seq: int
    at: datetime
    rules: Rules
    seeds: tuple[Seed, ...]
    me: MeOut
    """The member and the key of the sync, and what the service accepts."""


class Changed(NamedTuple):
    """A contribution that the event `seq` changed last, and how many values it has."""

    seq: int
    id: int
    value_count: int


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction that writes: committed at the end, rolled back on any error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # SQLite itself rolls back where the disk is full or broken.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class CopyTables:
    """One file; safe to use from several threads, and after a fork."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it. Raises sqlite3.DatabaseError if it is damaged."""
        self.path, self._lock, self._version = path, RLock(), 0
        if not path.exists():
            # SQLite gives the files beside it the same mode. Closing a file that exists would release the locks that
            # other connections of this process hold: another process would take itself for the last one.
            with open(path, "ab", opener=opener):
                pass
        self._open()

    def _open(self) -> None:
        self._process = os.getpid()
        # The lock lets one thread at a time use the connection.
        self._connection = sqlite3.connect(
            self.path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            for setting in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -262144"):
                self._connection.execute(f"PRAGMA {setting}")
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @property
    def sound(self) -> bool:
        """Whether the tables exist and can be read."""
        return self.version in _EXTENTS

    @property
    def current(self) -> bool:
        """Whether the tables exist and have this version."""
        return self.version == _VERSION

    @property
    def version(self) -> int:
        """The version of the tables; 0: there are none yet."""
        if not self._version:
            with self.reading() as connection:
                (version,) = connection.execute("PRAGMA user_version").fetchone()
                self._version = int(version)
        return self._version

    def create(self, epoch: str, me: MeOut, now: datetime) -> None:
        """Create the tables of a new copy."""
        with self.writing() as connection:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            row = (epoch, 0, to_microseconds(now), me.json_text())
            connection.execute("INSERT INTO state VALUES (?, ?, ?, ?, NULL)", row)
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def state(self) -> CopyState:
        """The state of the copy."""
        with self.reading() as connection:
            epoch, seq, at, me = connection.execute("SELECT epoch, cursor, at, me FROM state").fetchone()
        service = MeOut.model_validate_json(me)
        return CopyState(epoch, seq, from_microseconds(at), service.rules(), service.seeds, service)

    def head(self) -> Head:
        """The seq up to which the copy is complete, and when it was last up to date."""
        with self.reading() as connection:
            seq, at, epoch = connection.execute("SELECT cursor, at, epoch FROM state").fetchone()
        return Head(seq, from_microseconds(at), epoch)

    def store_rules(self, me: MeOut) -> None:
        """Store the current rules and seeds of the service."""
        with self.writing() as connection:
            connection.execute("UPDATE state SET me = ?", (me.json_text(),))

    def store(self, steps: Sequence[FeedStep], seq: int, head_at: datetime | None) -> None:
        """Store changes in one transaction: all up to `seq`, which was the head at `head_at` (None: it was not)."""
        latest = {step.what.contribution if isinstance(step.what, Gone) else step.what.id: step for step in steps}
        with self.writing() as connection:
            (highest_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM contributions").fetchone()
            may_have_rows = [(id,) for id in latest if id <= highest_id]
            for table, key in KEYS.items():
                ids = [(id,) for id in latest] if table == "gone" else may_have_rows
                connection.executemany(f"DELETE FROM {table} WHERE {key} = ?", ids)
            gone = [gone_row(step, step.what) for step in latest.values() if isinstance(step.what, Gone)]
            connection.executemany("INSERT INTO gone VALUES (?, ?, ?, ?, ?)", gone)
            changed = [(step.seq, step.what) for step in latest.values() if isinstance(step.what, CopiedContribution)]
            connection.executemany(_INSERT, [contribution_row(changed_at, copied) for changed_at, copied in changed])
            signals = [
                (algorithm, octets, copied.id, place)
                for _, copied in changed
                for place, (algorithm, octets) in enumerate(copied.signals)
            ]
            shots = [
                (copied.id, algorithm, octets, shot.start, shot.end, shot.unit)
                for _, copied in changed
                for shot in copied.shots
                for algorithm, octets in shot.signals
            ]
            connection.executemany("INSERT OR IGNORE INTO shots VALUES (?, ?, ?, ?, ?, ?)", shots)
            signals += [(algorithm, octets, id, FRAMES_PLACE) for id, algorithm, octets, *_ in shots]
            connection.executemany("INSERT OR IGNORE INTO signals VALUES (?, ?, ?, ?)", sorted(signals))
            signatures = [
                (copied.id, place, kind, octets)
                for _, copied in changed
                for place, (kind, octets) in enumerate(copied.signatures)
            ]
            connection.executemany("INSERT INTO signatures VALUES (?, ?, ?, ?)", signatures)
            at = None if head_at is None else to_microseconds(head_at)
            connection.execute("UPDATE state SET cursor = ?, at = coalesce(?, at), approval = NULL", (seq, at))

    def approval(self) -> str | None:
        """The text of the approval of the copy as it is; None without one, and in a copy of version 0.1.0."""
        with self.reading() as connection:
            if not self.current:
                return None
            (text,) = connection.execute("SELECT approval FROM state").fetchone()
            return None if text is None else str(text)

    def approve(self, text: str, at: datetime) -> None:
        """Store the text of the approval of the copy as it is; `at` is when the copy was last up to date."""
        with self.writing() as connection:
            connection.execute("UPDATE state SET approval = ?, at = ?", (text, to_microseconds(at)))

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that the block reads is of one moment."""
        with self.reading() as connection:
            connection.execute("BEGIN")
            try:
                yield
            finally:
                connection.execute("COMMIT")

    def count(self) -> int:
        """How many contributions there are."""
        with self.reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM contributions").fetchone()
            return int(count)

    def members(self, ids: Collection[int]) -> dict[int, int]:
        """The member of each of these contributions (ids), by contribution."""
        with self.reading() as connection:
            return dict(execute_in(connection, "SELECT id, member FROM contributions WHERE id IN {}", ids))

    def all_values(self, algorithm: Algorithm) -> bytes:
        """Every distinct value of an algorithm, sorted, big-endian, joined."""
        query = "SELECT DISTINCT value FROM signals WHERE algorithm = ? ORDER BY value"
        with self.reading() as connection:
            return b"".join(value for (value,) in connection.execute(query, (str(algorithm),)))

    def added_values(self, after: int) -> dict[Algorithm, list[bytes]]:
        """The values of the contributions that changed after a seq."""
        query = "SELECT algorithm, value FROM contributions c JOIN signals s ON s.contribution = c.id WHERE c.seq > ?"
        values: dict[Algorithm, list[bytes]] = defaultdict(list)
        with self.reading() as connection:
            for algorithm, value in connection.execute(query, (after,)):
                values[Algorithm(algorithm)].append(value)
        return values

    def shares(self, after: int, upto: int) -> dict[Algorithm, dict[bytes, float]]:
        """The values of the contributions that changed after a seq, up to another one, each with the share it covers.

        The share, 0 to 1, is the part of a video's seconds, or of a text's words, whose shots have the value; the
        largest, if several contributions have it. Hashes of pictures and pages, and all in a copy of 0.1.0, cover 1.
        """
        share = _SHARE if self.current else "1.0"
        query = (
            f"SELECT s.algorithm, s.value, {share} FROM contributions c JOIN signals s ON s.contribution = c.id "
            "WHERE c.seq > ? AND c.seq <= ?"
        )
        shares: dict[Algorithm, dict[bytes, float]] = defaultdict(dict)
        with self.reading() as connection:
            for name, value, covered in connection.execute(query, (after, upto)):
                of_algorithm = shares[Algorithm(name)]
                of_algorithm[value] = max(covered, of_algorithm.get(value, 0.0))
        return shares

    def changed(self, after: int, limit: int) -> list[Changed]:
        """The first contributions that changed after a seq, in the order of their seqs."""
        with self.reading() as connection:
            return [Changed(*row) for row in connection.execute(_CHANGED, (after, limit))]

    def count_changed(self, after: int) -> int:
        """How many contributions changed after a seq."""
        with self.reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM contributions WHERE seq > ?", (after,)).fetchone()
            return int(count)

    def changed_ids(self, after: int, upto: int) -> list[int]:
        """The contributions that changed after a seq, up to another one."""
        query = "SELECT id FROM contributions WHERE seq > ? AND seq <= ?"
        with self.reading() as connection:
            return [id for (id,) in connection.execute(query, (after, upto))]

    def gone_after(self, after: int) -> Set[int]:
        """The contributions that are gone by a change after a seq."""
        with self.reading() as connection:
            rows = connection.execute("SELECT contribution FROM gone WHERE seq > ?", (after,)) if self.current else ()
            return frozenset(id for (id,) in rows)

    def gone(self, ids: Collection[int]) -> dict[int, str]:
        """The reason why each of these contributions is gone; without those that are not, or have no known reason."""
        query = "SELECT contribution, reason FROM gone WHERE contribution IN {}"
        with self.reading() as connection:
            return dict(execute_in(connection, query, ids)) if self.current else {}

    def expiring(self, ids: Collection[int]) -> dict[int, datetime | None]:
        """When each of these contributions expires (None: never), of those that are not gone."""
        with self.reading() as connection:
            rows = execute_in(connection, "SELECT id, expires_at FROM contributions WHERE id IN {}", ids)
            return {id: None if at is None else from_microseconds(at) for id, at in rows}

    def holders(self, wanted: Collection[Signal], now: datetime) -> list[Holder]:
        """The contributions that hold any of the signals: a holder for each contribution and signal, unordered."""
        holders: list[Holder] = []
        by_algorithm: dict[Algorithm, list[bytes]] = defaultdict(list)
        for signal in wanted:
            by_algorithm[signal.algorithm].append(signal.to_bytes())
        statement = _HOLDERS.format(extent=_EXTENTS[self.version])
        with self.reading() as connection:
            for algorithm, values in by_algorithm.items():
                rows = execute_in(connection, statement, values, str(algorithm), to_microseconds(now))
                holders += [holder_from_row(algorithm, row) for row in rows]
        return holders

    def times(self, signals_by_id: Mapping[int, Collection[Signal]]) -> dict[tuple[int, Signal], tuple[ShotTimes, ...]]:
        """Where the first shots of contributions that have these signals begin and end, by contribution and signal."""
        times: dict[tuple[int, Signal], tuple[ShotTimes, ...]] = {}
        with self.reading() as connection:
            for id, signals in signals_by_id.items():
                for signal in signals:
                    rows = connection.execute(_TIMES, (id, str(signal.algorithm), signal.to_bytes()))
                    times[id, signal] = tuple(ShotTimes(start, end) for start, end in rows)
        return times

    def shots(self, id: int) -> list[ListedShot]:
        """The shots of a contribution, in ascending order; pages come before words."""
        with self.reading() as connection:
            rows = connection.execute(_SHOTS, (id,)).fetchall()
        return [
            ListedShot(start, end, [Signal.from_bytes(Algorithm(name), value) for *_, name, value in group], Unit(unit))
            for (start, end, unit), group in groupby(rows, key=lambda row: row[:3])
        ]

    def overruling_algorithms(self, ids: Collection[int]) -> dict[int, frozenset[Algorithm]]:
        """The algorithms that overrule phash and of which the contributions have signals, by contribution."""
        algorithms_by_id: dict[int, set[Algorithm]] = defaultdict(set)
        with self.reading() as connection:
            for id, algorithm in execute_in(connection, _ALGORITHMS, ids, *sorted(map(str, OVERRULING))):
                algorithms_by_id[id].add(Algorithm(algorithm))
        return {id: frozenset(algorithms) for id, algorithms in algorithms_by_id.items()}

    def stored(self, ids: Collection[int]) -> dict[int, StoredItem]:
        """The stored signals and signatures of contributions, by id. A copy of 0.1.0 has only signals, unordered."""
        signals: dict[int, list[Signal]] = defaultdict(list)
        signatures: dict[int, list[Signature]] = defaultdict(list)
        ordered = sorted(ids)
        with self.reading() as connection:
            statement = _ITEM_SIGNALS if self.current else _ITEM_SIGNALS_OF_0_1_0
            for id, name, value in execute_in(connection, statement, ordered):
                signals[id].append(Signal.from_bytes(Algorithm(name), value))
            for id, name, value in execute_in(connection, _SIGNATURES, ordered) if self.current else ():
                signatures[id].append(Signature(Kind(name), value))
        return {id: StoredItem(tuple(signals[id]), tuple(signatures[id])) for id in ordered}

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, which no other thread uses meanwhile."""
        if self._process != os.getpid():
            # A connection must not be used after a fork: the parent's stays open, and its lock is replaced.
            _INHERITED.append(self._connection)
            self._lock = RLock()
            self._open()
        with self._lock:
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """The connection, in one transaction for all that the block stores."""
        with self.reading() as connection, nullcontext() if connection.in_transaction else transaction(connection):
            yield connection


def execute_in(
    connection: sqlite3.Connection, statement: str, values: Iterable[object], *others: object
) -> Iterator[Any]:
    """The rows of a statement with `IN {}`, executed for some of the values at a time.

    `others` are the parameters that the statement has before `IN`.
    """
    all_values = list(values)
    for start in range(0, len(all_values), _VALUES_A_STATEMENT):
        chunk = all_values[start : start + _VALUES_A_STATEMENT]
        yield from connection.execute(statement.format(f"({', '.join('?' * len(chunk))})"), (*others, *chunk))
