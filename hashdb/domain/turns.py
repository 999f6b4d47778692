"""Turns: work that only one thread (or a few) may do at a time, shared fairly among those that wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock


class Turns:
    """Grants turns to waiting threads: to the keys in rotation, and within a key in order of arrival."""

    def __init__(self, at_once: int = 1) -> None:
        """No thread waits; `at_once` threads may have a turn at the same time."""
        self._lock = Lock()
        self._free = at_once
        self._waiting: dict[str, deque[Event]] = {}
        self._last = ""

    @property
    def waiting(self) -> int:
        """How many threads wait for a turn."""
        with self._lock:
            return sum(map(len, self._waiting.values()))

    @contextmanager
    def turn(self, key: str) -> Iterator[None]:
        """Wait for a turn of this key, and hold it for the block."""
        granted = Event()
        with self._lock:
            self._waiting.setdefault(key, deque()).append(granted)
            self._grant()
        granted.wait()
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                self._grant()

    def _grant(self) -> None:
        """Grant the free turns; not to the key that had the last one while another key waits."""
        while self._free and self._waiting:
            key = next((key for key in self._waiting if key != self._last), self._last)
            queue = self._waiting.pop(key)
            queue.popleft().set()
            if queue:
                # The key goes behind the others.
                self._waiting[key] = queue
            self._free, self._last = self._free - 1, key
