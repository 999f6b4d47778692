"""Places: how many threads of a process one key, and all keys, may hold with requests that take long."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

from hashdb.domain.members import Actor
from hashdb.errors import TooManyAtOnce

EACH = 5
"""Places that one key may hold in a process: other keys have the rest."""
ALL = 7
"""Places in a process, one fewer than `hashdb serve` has threads: what is quick always finds one."""
_RETRY_AFTER = 1


class _Here(local):
    """Of a thread: how many blocks of `place` it is in."""

    depth = 0


class Places:
    """The places of a process. A thread holds one at most, however many blocks it is in."""

    def __init__(self, each: int = EACH, all_keys: int = ALL) -> None:
        """Nobody holds one yet."""
        self._each, self._all = each, all_keys
        self._lock = Lock()
        self._here = _Here()
        self._held: Counter[str] = Counter()

    @contextmanager
    def place(self, actor: Actor) -> Iterator[None]:
        """Hold a place for the block. Raises TooManyAtOnce where the actor has its share, or no place is left."""
        self.enter(actor)
        try:
            yield
        finally:
            self.leave(actor)

    def enter(self, actor: Actor) -> None:
        """Take a place until `leave` is called in this thread. Raises TooManyAtOnce."""
        if not self._here.depth:
            with self._lock:
                if self._held[actor.name] >= self._each or self._held.total() >= self._all:
                    raise TooManyAtOnce(f"{self._each} large requests of a key, {self._all} in all", _RETRY_AFTER)
                self._held[actor.name] += 1
        self._here.depth += 1

    def leave(self, actor: Actor) -> None:
        """Give back what `enter` took."""
        self._here.depth -= 1
        if not self._here.depth:
            with self._lock:
                self._held[actor.name] -= 1
                if not self._held[actor.name]:
                    del self._held[actor.name]
