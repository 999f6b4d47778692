"""What a witness keeps: the last checkpoint of each log that it cosigned, and those that it refused; in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple

from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.errors import StoreBusy

_VERSION: Final = 1
_BUSY_SECONDS: Final = 10.0
"""How long a process waits until another has stored."""
_RETRY_SECONDS: Final = 5
_MOST_REFUSED: Final = 1_000
"""The most refused checkpoints that are kept of a log for one reason; the log signed each of them."""
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS logs (
    origin TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE,
    size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL, at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS refused (
    origin TEXT NOT NULL, size INTEGER NOT NULL, root BLOB NOT NULL,
    reason TEXT NOT NULL, note TEXT NOT NULL, cosigned TEXT NOT NULL, at INTEGER NOT NULL,
    PRIMARY KEY (origin, size, root)
) STRICT;
"""


class Cosigned(NamedTuple):
    """The last checkpoint of a log that the witness cosigned, its note with the cosignatures, and when.

    `at` is in seconds since 1970, as in `Refused`.
    """

    checkpoint: Checkpoint
    note: str
    at: int


class Refused(NamedTuple):
    """A signed checkpoint whose tree does not begin with the cosigned one: evidence.

    `note` is that of this checkpoint; `cosigned` the note of the last one that was cosigned, or "" without one.
    """

    checkpoint: Checkpoint
    reason: str
    note: str
    cosigned: str
    at: int


class WitnessState:
    """The database of a witness; any number of threads and processes may use it."""

    def __init__(self, file: Path) -> None:
        """Open the database, which is made if there is none. Raises StoreBusy."""
        self._lock = Lock()
        with _as_busy():
            self._connection = sqlite3.connect(
                file, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._connection.execute("PRAGMA journal_mode=WAL")
                # A cosignature that was given must never be forgotten.
                self._connection.execute("PRAGMA synchronous=FULL")
                self._connection.executescript(_TABLES)
                self._connection.execute(f"PRAGMA user_version={_VERSION}")
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the database."""
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction in which nobody else writes; durable when the block ends, rolled back on an error.

        Raises StoreBusy.
        """
        with self._lock, _as_busy():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def cosigned(self, origin: str) -> Cosigned | None:
        """The last checkpoint of a log, within `writing`; None if it never cosigned one."""
        query = "SELECT origin, size, root, note, at FROM logs WHERE origin = ?"
        row = self._connection.execute(query, (origin,)).fetchone()
        return None if row is None else _cosigned(row)

    def store(self, origin_hash: str, cosigned: Cosigned) -> None:
        """Store the last checkpoint of a log, within `writing`; `origin_hash` is that of its origin."""
        checkpoint = cosigned.checkpoint
        row = (checkpoint.origin, origin_hash, checkpoint.size, checkpoint.root, cosigned.note, cosigned.at)
        self._connection.execute("INSERT OR REPLACE INTO logs VALUES (?, ?, ?, ?, ?, ?)", row)
        # It was refused if somebody submitted it with a wrong proof before.
        self._connection.execute("DELETE FROM refused WHERE origin = ? AND size = ? AND root = ?", _key(checkpoint))

    def refuse(self, refused: Refused) -> bool:
        """Keep a refused checkpoint, within `writing`; return whether it is a new one."""
        checkpoint = refused.checkpoint
        # Anyone can submit checkpoints of the log with wrong proofs: they leave room for two trees of the same size.
        query = "SELECT count(*) FROM refused WHERE origin = ? AND reason = ?"
        if self._connection.execute(query, (checkpoint.origin, refused.reason)).fetchone()[0] >= _MOST_REFUSED:
            return False
        row = (*_key(checkpoint), refused.reason, refused.note, refused.cosigned, refused.at)
        return self._connection.execute("INSERT OR IGNORE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)", row).rowcount > 0

    def last_note(self, origin_hash: str) -> str | None:
        """The note of the last cosigned checkpoint of a log; None if there is none. Raises StoreBusy."""
        with self._lock, _as_busy():
            row = self._connection.execute("SELECT note FROM logs WHERE hash = ?", (origin_hash,)).fetchone()
        return None if row is None else str(row[0])

    def list_all(self) -> tuple[tuple[Cosigned, ...], tuple[Refused, ...]]:
        """The last checkpoint of each log, and every refused checkpoint. Raises StoreBusy."""
        with self._lock, _as_busy():
            logs = self._connection.execute("SELECT origin, size, root, note, at FROM logs ORDER BY origin").fetchall()
            query = "SELECT origin, size, root, reason, note, cosigned, at FROM refused ORDER BY at, origin, size, root"
            refused = self._connection.execute(query).fetchall()
        return tuple(map(_cosigned, logs)), tuple(Refused(Checkpoint(*row[:3]), *row[3:]) for row in refused)


def _cosigned(row: tuple[str, int, bytes, str, int]) -> Cosigned:
    return Cosigned(Checkpoint(*row[:3]), row[3], row[4])


def _key(checkpoint: Checkpoint) -> tuple[str, int, bytes]:
    return checkpoint.origin, checkpoint.size, checkpoint.root


@contextmanager
def _as_busy() -> Iterator[None]:
    """Raise StoreBusy for an error of SQLite in the block, like a full disk."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreBusy(_RETRY_SECONDS) from error
