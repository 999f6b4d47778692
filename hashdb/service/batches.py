"""Batches: large requests to match, of which a process answers one at a time, so that single ones pass them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from hashdb.errors import MatchingBusy

WAITING = 3
"""Batches that may wait in a process: the other threads stay free for single matches."""
_PATIENCE = 30.0
_RETRY_AFTER = 1


class Batches:
    """Gives one batch its turn after the other."""

    def __init__(self) -> None:
        """Nobody waits yet."""
        self.waiting = 0
        self._counting = Lock()
        self._turn = Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for one's turn and keep it for the block. Raises MatchingBusy where too many wait, or for too long."""
        with self._counting:
            if self.waiting >= WAITING:
                raise MatchingBusy(_RETRY_AFTER)
            self.waiting += 1
        try:
            came = self._turn.acquire(timeout=_PATIENCE)
        finally:
            with self._counting:
                self.waiting -= 1
        if not came:
            raise MatchingBusy(_RETRY_AFTER)
        try:
            yield
        finally:
            self._turn.release()
