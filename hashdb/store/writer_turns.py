"""Turns of writers to SQLite: processes that write one database take turns, so that none waits long.

SQLite lets one transaction write at a time. A second writer polls, with growing pauses of up to 0.1 s, and one that
writes again and again keeps the others out for seconds. The turns only add fairness: SQLite's own lock still decides.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, get_ident

from hashdb.errors import StoreBusy
from hashdb.store.connections import RETRY_AFTER

_PAUSE = 0.0005
"""Seconds between two attempts to take a lock of another process: a fraction of a commit."""
WRITER, NEXT = 0, 1
"""The bytes of the file that the writer locks, and the process that writes next."""


class WriterTurns:
    """Turns of the threads of this process, and of all processes that use the same file."""

    def __init__(self, path: Path, busy_seconds: float) -> None:
        """Open nothing yet. The first turn creates the file, which stays empty."""
        self._path, self._busy_seconds = path, busy_seconds
        self._thread = Lock()
        self._holder: int | None = None
        self._file: int | None = None

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for a turn, and hold it for the block. Raises StoreBusy after `busy_seconds`.

        A thread that has a turn keeps it. Where the file cannot be opened, only the threads of this process take turns.
        """
        if self._holder == get_ident():
            yield
            return
        until = time.monotonic() + self._busy_seconds
        if not self._thread.acquire(timeout=self._busy_seconds):
            raise StoreBusy(RETRY_AFTER)
        try:
            if self._file is None:
                with suppress(OSError):
                    self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Only the process that has NEXT tries to take WRITER: no other process overtakes it.
            self._lock(NEXT, until)
            try:
                self._lock(WRITER, until)
            finally:
                self._unlock(NEXT)
            self._holder = get_ident()
            try:
                yield
            finally:
                self._holder = None
                self._unlock(WRITER)
        finally:
            self._thread.release()

    def close(self) -> None:
        """Close the file."""
        with self._thread:
            if self._file is not None:
                os.close(self._file)
                self._file = None

    def _lock(self, byte: int, until: float) -> None:
        while self._file is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, byte)
                return
            except BlockingIOError:
                if time.monotonic() >= until:
                    raise StoreBusy(RETRY_AFTER) from None
                time.sleep(_PAUSE)

    def _unlock(self, byte: int) -> None:
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, byte)
