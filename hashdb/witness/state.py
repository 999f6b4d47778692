"""The SQLite database of a witness: the last checkpoint of each log that it cosigned, and those that it refused."""

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
"""How long a process waits while another one writes."""
_RETRY_SECONDS: Final = 5
"""Seconds after which a client may repeat a request that failed because of the database."""
_MAX_REFUSED: Final = 1_000
"""The most refused checkpoints of a log that are kept for each reason."""
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
    """The last checkpoint of a log that the witness cosigned."""

    checkpoint: Checkpoint
    note: str
    """The signed note of the checkpoint, with the cosignatures of the witness."""
    at: int
    """The time of the cosignatures, in seconds since 1970."""


class Refused(NamedTuple):
    """A checkpoint that the log signed, without a proof that it continues the last cosigned one: evidence."""

    checkpoint: Checkpoint
    reason: str
    note: str
    """The signed note of the checkpoint."""
    cosigned: str
    """The note of the last checkpoint that the witness had cosigned; empty if there was none."""
    at: int
    """When the witness refused it, in seconds since 1970."""


class WitnessState:
    """The database of a witness; any number of threads and processes may use it."""

    def __init__(self, file: Path) -> None:
        """Open the database, which is made if there is none. Raises StoreBusy."""
        self._lock = Lock()
        with _raise_store_busy():
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
        """Hold a transaction for the block, in which nobody else writes. An error in the block rolls it back.

        Raises StoreBusy.
        """
        with self._lock, _raise_store_busy():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def cosigned(self, origin: str) -> Cosigned | None:
        """The last checkpoint of a log that was cosigned; None if there is none. Call it within `writing`."""
        query = "SELECT origin, size, root, note, at FROM logs WHERE origin = ?"
        row = self._connection.execute(query, (origin,)).fetchone()
        return None if row is None else _cosigned(row)

    def store(self, origin_hash: str, cosigned: Cosigned) -> None:
        """Store a checkpoint as the last one of the log with this `origin_hash`. Call it within `writing`."""
        checkpoint = cosigned.checkpoint
        row = (checkpoint.origin, origin_hash, checkpoint.size, checkpoint.root, cosigned.note, cosigned.at)
        self._connection.execute("INSERT OR REPLACE INTO logs VALUES (?, ?, ?, ?, ?, ?)", row)
        # The same checkpoint is among the refused ones if it was submitted with a wrong proof before.
        self._connection.execute("DELETE FROM refused WHERE origin = ? AND size = ? AND root = ?", _key(checkpoint))

    def refuse(self, refused: Refused) -> bool:
        """Keep a refused checkpoint; return whether it is a new one that was kept. Call it within `writing`."""
        checkpoint = refused.checkpoint
        # Counted by reason: anyone can submit many checkpoints of the log with wrong proofs. These must not take the
        # room of two trees of the same size, which only the log can cause.
        query = "SELECT count(*) FROM refused WHERE origin = ? AND reason = ?"
        if self._connection.execute(query, (checkpoint.origin, refused.reason)).fetchone()[0] >= _MAX_REFUSED:
            return False
        row = (*_key(checkpoint), refused.reason, refused.note, refused.cosigned, refused.at)
        return self._connection.execute("INSERT OR IGNORE INTO refused VALUES (?, ?, ?, ?, ?, ?, ?)", row).rowcount > 0

    def last_note(self, origin_hash: str) -> str | None:
        """The note of the last cosigned checkpoint of a log; None if there is none. Raises StoreBusy."""
        with self._lock, _raise_store_busy():
            row = self._connection.execute("SELECT note FROM logs WHERE hash = ?", (origin_hash,)).fetchone()
        return None if row is None else str(row[0])

    def list_all(self) -> tuple[tuple[Cosigned, ...], tuple[Refused, ...]]:
        """The last checkpoint of each log, and every refused checkpoint. Raises StoreBusy."""
        with self._lock, _raise_store_busy():
            logs = self._connection.execute("SELECT origin, size, root, note, at FROM logs ORDER BY origin").fetchall()
            query = "SELECT origin, size, root, reason, note, cosigned, at FROM refused ORDER BY at, origin, size, root"
            refused = self._connection.execute(query).fetchall()
        return tuple(map(_cosigned, logs)), tuple(Refused(Checkpoint(*row[:3]), *row[3:]) for row in refused)


def _cosigned(row: tuple[str, int, bytes, str, int]) -> Cosigned:
    return Cosigned(Checkpoint(*row[:3]), row[3], row[4])


def _key(checkpoint: Checkpoint) -> tuple[str, int, bytes]:
    return checkpoint.origin, checkpoint.size, checkpoint.root


@contextmanager
def _raise_store_busy() -> Iterator[None]:
    """Raise StoreBusy where the block raises an error of SQLite, such as for a full disk."""
    try:
        yield
    except sqlite3.Error as error:
        raise StoreBusy(_RETRY_SECONDS) from error
