"""Turns: what can only be done one (or a few) at a time, shared fairly by who waits for it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Lock


class Turns:
    """Gives turns to the threads that wait: to one key after the other, and within a key in order of arrival."""

    def __init__(self, at_once: int = 1) -> None:
        """Nobody waits yet; `at_once` threads may have a turn at the same time."""
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
        """Wait for a turn of this key, and keep it for the block."""
        mine = Event()
        with self._lock:
            self._waiting.setdefault(key, deque()).append(mine)
            self._give()
        mine.wait()
        try:
            yield
        finally:
            with self._lock:
                self._free += 1
                self._give()

    def _give(self) -> None:
        """Give what turns are free; not to the key that had the last one, where another key waits."""
        while self._free and self._waiting:
            key = next((key for key in self._waiting if key != self._last), self._last)
            others = self._waiting.pop(key)
            others.popleft().set()
            if others:
                # Behind the other keys.
                self._waiting[key] = others
            self._free, self._last = self._free - 1, key
