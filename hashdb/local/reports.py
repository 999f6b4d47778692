"""The reports of look-back: stored in one transaction with the cursor, and returned until they are acknowledged."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from contextlib import closing, contextmanager
from datetime import date, datetime
from pathlib import Path
from typing import Any

from hashdb.domain.matching.lookback import (
    REPORTS_A_REQUEST,
    Cursor,
    FoundMatch,
    LookBackReport,
    ReportKind,
    ReportsState,
    TakenBack,
)
from hashdb.domain.times import from_microseconds, to_microseconds
from hashdb.errors import StoreBusy, reject_field
from hashdb.index.folder import opener
from hashdb.local.remembered import retention_from_environment
from hashdb.local.syncing import system_clock
from hashdb.local.tables import execute_in, transaction
from hashdb.wire.matching import MatchOut

REPORTS_FILE = "reports.sqlite"
_BUSY_SECONDS = 30.0
_POLL = 0.05
"""Seconds between two looks at the file while a reader waits: another process may write it."""
_RETRY_SECONDS = 5
_TABLES = """
CREATE TABLE IF NOT EXISTS state (
    name TEXT NOT NULL, epoch TEXT, seq INTEGER NOT NULL, acknowledged INTEGER NOT NULL);
INSERT INTO state SELECT lower(hex(randomblob(9))), NULL, 0, 0 WHERE NOT EXISTS (SELECT 1 FROM state);
CREATE TABLE IF NOT EXISTS reports (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, upload TEXT NOT NULL, uploaded_at INTEGER NOT NULL,
    found_at INTEGER NOT NULL, match TEXT NOT NULL, reason TEXT);
CREATE INDEX IF NOT EXISTS reports_upload ON reports (upload);
CREATE TABLE IF NOT EXISTS matches (
    contribution INTEGER NOT NULL, upload TEXT NOT NULL, uploaded_at INTEGER NOT NULL, found_at INTEGER NOT NULL,
    match TEXT NOT NULL, expires_at INTEGER, PRIMARY KEY (contribution, upload)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS matches_upload ON matches (upload);
CREATE INDEX IF NOT EXISTS matches_expires ON matches (expires_at) WHERE expires_at IS NOT NULL;
"""
"""`matches` has what stands: it was reported and not taken back. `name` of `state` is random: it names this file."""
_REPORT = "INSERT INTO reports (kind, upload, uploaded_at, found_at, match, reason) VALUES (?, ?, ?, ?, ?, ?)"
_STANDS = "SELECT uploaded_at, match FROM matches WHERE contribution = ? AND upload = ?"
_MATCH = """
INSERT INTO matches VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (contribution, upload) DO UPDATE SET expires_at = excluded.expires_at
"""
_AFTER = """
SELECT number, kind, upload, uploaded_at, found_at, match, reason FROM reports WHERE number > ? ORDER BY number LIMIT ?
"""


class Reports:
    """The reports in a folder; safe to use from many threads and processes at once.

    A match, a pair of an upload and a contribution, *stands* from when it was reported until it is taken back.
    Every method raises StoreBusy while the file cannot be written, as on a full disk, or is locked for long.
    """

    def __init__(self, folder: Path, clock: Callable[[], datetime] = system_clock) -> None:
        """Creates the file if it is missing. Raises sqlite3.DatabaseError if it is damaged."""
        self.folder, self.now, self._pruned_on = folder, clock, date.min
        self._path = folder / REPORTS_FILE
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._path.exists():
            # SQLite gives the files beside it the same mode. Closing a file that exists would release SQLite's locks.
            with open(self._path, "ab", opener=opener):
                pass
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            (self.name,) = connection.execute("SELECT name FROM state").fetchone()

    def cursor(self) -> Cursor | None:
        """The seq up to which look-back is done, and its log; None if look-back has not begun."""
        with self._connected() as connection:
            epoch, seq = connection.execute("SELECT epoch, seq FROM state").fetchone()
        return None if epoch is None else Cursor(epoch, seq)

    def standing(self, contributions: Collection[int]) -> list[tuple[str, int]]:
        """The pairs that stand of these contributions: the id of the upload, and the contribution."""
        with self._connected() as connection:
            query = "SELECT upload, contribution FROM matches WHERE contribution IN {}"
            return list(execute_in(connection, query, contributions))

    def contributions(self) -> Set[int]:
        """All contributions of which a pair stands."""
        return self._ids("SELECT DISTINCT contribution FROM matches")

    def expired(self, now: datetime) -> Set[int]:
        """The contributions of which a pair stands, and that were to expire at `now` or before."""
        query = "SELECT DISTINCT contribution FROM matches WHERE expires_at <= ?"
        return self._ids(query, to_microseconds(now))

    def record(self, cursor: Cursor, found: Sequence[FoundMatch], taken_back: Sequence[TakenBack]) -> int:
        """Store the cursor and a report of each new pair, in one transaction; return how many reports were added.

        What stands is not reported again, and what does not stand is not taken back.
        """
        now, count = to_microseconds(self.now()), 0
        with self._writing() as connection:
            for upload, contribution, reason in taken_back:
                key = (contribution, upload)
                if row := connection.execute(_STANDS, key).fetchone():
                    uploaded, text = row
                    connection.execute(_REPORT, (ReportKind.TAKEN_BACK, upload, uploaded, now, text, reason))
                    connection.execute("DELETE FROM matches WHERE contribution = ? AND upload = ?", key)
                    count += 1
            for upload, uploaded_at, match, expires_at in found:
                key = (match.contribution, upload)
                at, until = to_microseconds(uploaded_at), expires_at and to_microseconds(expires_at)
                text = MatchOut.from_domain(match).json_text()
                if connection.execute(_STANDS, key).fetchone() is None:
                    connection.execute(_REPORT, (ReportKind.MATCHED, upload, at, now, text, None))
                    count += 1
                connection.execute(_MATCH, (*key, at, now, text, until))
            connection.execute("UPDATE state SET epoch = ?, seq = ?", cursor)
            if self._pruned_on != self.now().date():
                self._prune(connection)
        return count

    def after(
        self, number: int | None = None, limit: int = REPORTS_A_REQUEST, wait: float = 0
    ) -> tuple[LookBackReport, ...]:
        """At most `limit` reports with numbers after `number`, in order (None: those that are not acknowledged).

        If there is none, wait up to `wait` seconds for one. Raises InvalidInput if no report had this number.
        """
        until = time.monotonic() + wait
        with self._connected() as connection:
            last, acknowledged = _numbers(connection)
            reject_field("after", _number_fault(number or 0, last))
            start = acknowledged if number is None else number
            while True:
                if rows := connection.execute(_AFTER, (start, limit)).fetchall():
                    return tuple(map(_report_from_row, rows))
                if (left := until - time.monotonic()) <= 0:
                    return ()
                time.sleep(min(_POLL, left))

    def acknowledge(self, number: int) -> None:
        """Return no report up to this number again. Raises InvalidInput if there is no such number yet."""
        with self._writing() as connection:
            last, _ = _numbers(connection)
            reject_field("number", _number_fault(number, last))
            connection.execute("UPDATE state SET acknowledged = max(acknowledged, ?)", (number,))

    def state(self) -> ReportsState:
        """The cursor, and how many reports there are."""
        with self._connected() as connection:
            last, acknowledged = _numbers(connection)
            query = "SELECT count(*) FROM reports WHERE number > ?"
            (waiting,) = connection.execute(query, (acknowledged,)).fetchone()
        return ReportsState(self.cursor(), last, acknowledged, waiting)

    def forget(self, uploads: Collection[str]) -> None:
        """Delete everything about the uploads with these ids; what was reported of them is never taken back."""
        with self._writing() as connection:
            for table in ("reports", "matches"):
                list(execute_in(connection, f"DELETE FROM {table} WHERE upload IN {{}}", uploads))

    def _prune(self, connection: sqlite3.Connection) -> None:
        """Delete what is older than the retention of uploads, and about uploads older than it; once a day."""
        before = to_microseconds(self.now() - retention_from_environment())
        old = "found_at < ? AND uploaded_at < ?"
        connection.execute(f"DELETE FROM matches WHERE {old}", (before, before))
        acknowledged = "number <= (SELECT acknowledged FROM state)"
        connection.execute(f"DELETE FROM reports WHERE {old} AND {acknowledged}", (before, before))
        self._pruned_on = self.now().date()

    def _ids(self, query: str, *parameters: int) -> frozenset[int]:
        with self._connected() as connection:
            return frozenset(id for (id,) in connection.execute(query, parameters))

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        # A connection for each use: threads share none, and a fork inherits none.
        try:
            with closing(sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)) as connection:
                # What is deleted about an upload is overwritten.
                for setting in ("synchronous = FULL", "secure_delete = ON"):
                    connection.execute(f"PRAGMA {setting}")
                yield connection
        except sqlite3.OperationalError:
            raise StoreBusy(_RETRY_SECONDS) from None

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._connected() as connection, transaction(connection):
            yield connection


def _numbers(connection: sqlite3.Connection) -> tuple[int, int]:
    """The number of the last report, also if it is deleted, and the number up to which reports are acknowledged."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'reports'").fetchone()
    (acknowledged,) = connection.execute("SELECT acknowledged FROM state").fetchone()
    return (0 if row is None else row[0]), acknowledged


def _number_fault(number: int, last: int) -> str | None:
    return None if 0 <= number <= last else f"must be the number of a report; the last one is {last}"


def _report_from_row(row: Any) -> LookBackReport:
    number, kind, upload, uploaded_at, found_at, match, reason = row
    return LookBackReport(
        number,
        ReportKind(kind),
        upload,
        from_microseconds(uploaded_at),
        from_microseconds(found_at),
        MatchOut.model_validate_json(match).to_domain(),
        reason,
    )
