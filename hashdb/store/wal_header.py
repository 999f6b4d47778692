"""The header of SQLite's WAL index: each commit of any process changes it, and reading it takes one system call.

SQLite itself learns from these bytes whether the database has changed (https://sqlite.org/walformat.html).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Lock

from hashdb.store.thread_connections import ThreadConnection, ThreadConnections

_BYTES = 96
"""The size of the header, of which the file has two copies in a row."""
_NO_FILE = -1
"""In the place of a file descriptor, if none can be found."""


class WalHeader:
    """Reads the header by SQLite's own file descriptor.

    A descriptor of our own would be dangerous: closing it would release all locks of this process on the file.
    """

    def __init__(self, connections: ThreadConnections) -> None:
        """Opens nothing yet."""
        self._connections, self._lock = connections, Lock()
        self._file: int | None = None
        self._connection: ThreadConnection | None = None

    def read(self) -> bytes:
        """The header; empty if it cannot be read, as on other systems than Linux. Raises StoreBusy."""
        file = self._file
        if file is None:
            file = self._open()
        try:
            return b"" if file == _NO_FILE else os.pread(file, _BYTES, 0)
        except OSError:
            return b""

    def close(self) -> None:
        """Forget the descriptor; its connection is closed with those of the threads."""
        self._file = self._connection = None

    def _open(self) -> int:
        with self._lock:
            if self._file is None:
                # While this connection is open, SQLite keeps the file and the descriptor.
                self._connection = self._connections.connect("SELECT count(*) FROM sqlite_schema")
                self._file = next(_descriptors(f"{self._connections.engine.url.database}-shm"), _NO_FILE)
            return self._file


def _descriptors(path: str) -> Iterator[int]:
    """The open file descriptors of this process for a file."""
    with suppress(OSError):
        status = os.stat(path)
        for link in Path("/proc/self/fd").iterdir():
            with suppress(OSError):
                if os.path.samestat(os.stat(link), status):
                    yield int(link.name)
