"""The tables of a member's copy, in SQLite: what the feed told, and up to where."""

from __future__ import annotations

import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import RLock
from typing import Any

from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Head
from hashdb.domain.matching.matches import OVERRULING, About, Holder
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.feed import Copied, FeedStep, Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import from_microseconds, to_microseconds
from hashdb.index.folder import opener
from hashdb.wire.accounts import MeOut

_VERSION = 1
"""Of the tables: a copy with others is made anew."""
_MANY = 500
_BUSY_SECONDS = 30.0
_OF_PARENTS: list[sqlite3.Connection] = []
_TABLES = """
CREATE TABLE state (
    epoch TEXT NOT NULL, cursor INTEGER NOT NULL, at INTEGER NOT NULL, me TEXT NOT NULL);
CREATE TABLE contributions (
    id INTEGER PRIMARY KEY, seq INTEGER NOT NULL, member INTEGER NOT NULL, labels TEXT NOT NULL, severity INTEGER,
    standing TEXT NOT NULL, context TEXT NOT NULL, removed_at INTEGER, received_at INTEGER NOT NULL,
    expires_at INTEGER);
CREATE INDEX contributions_seq ON contributions (seq);
CREATE TABLE signals (
    algorithm TEXT NOT NULL, value BLOB NOT NULL, contribution INTEGER NOT NULL,
    PRIMARY KEY (algorithm, value, contribution)) WITHOUT ROWID;
CREATE INDEX signals_contribution ON signals (contribution);
"""
_WRITTEN = "INSERT INTO contributions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_HOLDERS = """
SELECT s.value, c.id, c.member, c.labels, c.severity, c.standing, c.context, c.removed_at, c.received_at
FROM signals s JOIN contributions c ON c.id = s.contribution
WHERE s.algorithm = ? AND (c.expires_at IS NULL OR c.expires_at > ?) AND s.value IN
"""
_HAVING = "SELECT DISTINCT contribution, algorithm FROM signals WHERE algorithm IN (?, ?) AND contribution IN"


@dataclass(frozen=True, slots=True)
class CopyState:
    """Up to which event of which log a copy has everything, as of when, and the rules of that service."""

    epoch: str
    seq: int
    at: datetime
    rules: Rules


class Tables:
    """One file; safe to use from several threads, and after a fork."""

    def __init__(self, path: Path) -> None:
        """Opens the file, made where there is none. Raises sqlite3.DatabaseError where it is damaged."""
        self._path, self._lock = path, RLock()
        # SQLite gives the files beside it the same mode.
        with open(path, "ab", opener=opener):
            pass
        self._open()

    def _open(self) -> None:
        self._process = os.getpid()
        # The lock lets one thread at a time use the connection.
        self._connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        for setting in ("journal_mode = WAL", "synchronous = NORMAL", "cache_size = -262144"):
            self._connection.execute(f"PRAGMA {setting}")

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @property
    def sound(self) -> bool:
        """Whether the tables are there, and of this version."""
        with self._reading() as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            return bool(version == _VERSION)

    def make(self, epoch: str, me: MeOut, now: datetime) -> None:
        """Make the tables of a copy that begins."""
        with self._writing() as connection:
            for statement in _TABLES.split(";"):
                connection.execute(statement)
            row = (epoch, 0, to_microseconds(now), me.json_text())
            connection.execute("INSERT INTO state VALUES (?, ?, ?, ?)", row)
            connection.execute(f"PRAGMA user_version = {_VERSION}")

    def state(self) -> CopyState:
        """Up to where the copy has everything."""
        with self._reading() as connection:
            epoch, seq, at, me = connection.execute("SELECT epoch, cursor, at, me FROM state").fetchone()
        return CopyState(epoch, seq, from_microseconds(at), MeOut.model_validate_json(me).rules())

    def head(self) -> Head:
        """The last event of the log that the copy has, and when it last had them all."""
        with self._reading() as connection:
            seq, at, epoch = connection.execute("SELECT cursor, at, epoch FROM state").fetchone()
        return Head(seq, from_microseconds(at), epoch)

    def tell(self, me: MeOut) -> None:
        """Note what the service takes now."""
        with self._writing() as connection:
            connection.execute("UPDATE state SET me = ?", (me.json_text(),))

    def take(self, steps: Sequence[FeedStep], seq: int, head_at: datetime | None) -> None:
        """Store some changes, the seq up to which they are all, and when that was the head: all of it or nothing."""
        last = {step.what.contribution if isinstance(step.what, Gone) else step.what.id: step for step in steps}
        with self._writing() as connection:
            (newest,) = connection.execute("SELECT coalesce(max(id), 0) FROM contributions").fetchone()
            old = [(id,) for id in last if id <= newest]
            connection.executemany("DELETE FROM signals WHERE contribution = ?", old)
            connection.executemany("DELETE FROM contributions WHERE id = ?", old)
            kept = [(step.seq, step.what) for step in last.values() if isinstance(step.what, Copied)]
            connection.executemany(_WRITTEN, [_row(number, one) for number, one in kept])
            held = [(algorithm, octets, one.id) for _, one in kept for algorithm, octets in one.signals]
            connection.executemany("INSERT OR IGNORE INTO signals VALUES (?, ?, ?)", sorted(held))
            at = None if head_at is None else to_microseconds(head_at)
            connection.execute("UPDATE state SET cursor = ?, at = coalesce(?, at)", (seq, at))

    def count(self) -> int:
        """How many contributions there are."""
        with self._reading() as connection:
            (count,) = connection.execute("SELECT count(*) FROM contributions").fetchone()
            return int(count)

    def every(self, algorithm: Algorithm) -> bytes:
        """Every distinct value of an algorithm, sorted, big-endian, one after the other."""
        asked = "SELECT DISTINCT value FROM signals WHERE algorithm = ? ORDER BY value"
        with self._reading() as connection:
            return b"".join(value for (value,) in connection.execute(asked, (str(algorithm),)))

    def added(self, after: int) -> dict[Algorithm, list[bytes]]:
        """The values of the contributions that changed after a number."""
        asked = (
            "SELECT s.algorithm, s.value FROM contributions c JOIN signals s ON s.contribution = c.id WHERE c.seq > ?"
        )
        found: dict[Algorithm, list[bytes]] = defaultdict(list)
        with self._reading() as connection:
            for algorithm, value in connection.execute(asked, (after,)):
                found[Algorithm(algorithm)].append(value)
        return found

    def holders(self, found: Collection[Signal], now: datetime) -> list[Holder]:
        """Who holds any of the signals: one holder a contribution and signal, in no order."""
        holders: list[Holder] = []
        octets: dict[Algorithm, list[bytes]] = defaultdict(list)
        for signal in found:
            octets[signal.algorithm].append(signal.to_bytes())
        with self._reading() as connection:
            for algorithm, values in octets.items():
                for start in range(0, len(values), _MANY):
                    some = values[start : start + _MANY]
                    asked = (str(algorithm), to_microseconds(now), *some)
                    places = ", ".join("?" * len(some))
                    rows = connection.execute(f"{_HOLDERS} ({places})", asked)
                    holders += [_holder(algorithm, row) for row in rows]
        return holders

    def having(self, ids: Collection[int]) -> dict[int, frozenset[Algorithm]]:
        """The algorithms that overrule phash of which the contributions have signals."""
        found: dict[int, set[Algorithm]] = defaultdict(set)
        wanted, asked = sorted(map(str, OVERRULING)), list(ids)
        with self._reading() as connection:
            for start in range(0, len(asked), _MANY):
                some = asked[start : start + _MANY]
                places = ", ".join("?" * len(some))
                rows = connection.execute(f"{_HAVING} ({places})", (*wanted, *some))
                for id, algorithm in rows:
                    found[id].add(Algorithm(algorithm))
        return {id: frozenset(algorithms) for id, algorithms in found.items()}

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if self._process != os.getpid():
            # A connection does not cross a fork: the parent's is left as it is, and so is its lock.
            _OF_PARENTS.append(self._connection)
            self._lock = RLock()
            self._open()
        with self._lock:
            yield self._connection

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise


def _row(seq: int, one: Copied) -> tuple[object, ...]:
    removed, expires = one.removed_at, one.expires_at
    return (
        one.id,
        seq,
        one.member,
        " ".join(one.labels),
        one.severity,
        one.standing,
        " ".join(one.context),
        None if removed is None else to_microseconds(removed),
        to_microseconds(one.received_at),
        None if expires is None else to_microseconds(expires),
    )


def _holder(algorithm: Algorithm, row: Any) -> Holder:
    value, id, member, labels, severity, standing, context, removed, received = row
    return Holder(
        signal=Signal.from_bytes(algorithm, value),
        contribution=id,
        member=member,
        severity=severity,
        standing=Standing(standing),
        about=About(
            tuple(labels.split()),
            tuple(context.split()),
            None if removed is None else from_microseconds(removed),
            from_microseconds(received),
        ),
    )
