"""How many connections each worker of a server has open, in memory that all of them share."""

from __future__ import annotations

from mmap import mmap
from typing import Any

_NO_WORKER = -1
"""In the place of a count: there is no worker, or it accepts no connections."""


class Balance:
    """The workers that accept connections from one socket, each of which leaves a new one to those with fewer.

    Without it chance decides: of two workers and eight connections, one often has six.
    The counts are a hint: after a short time, a worker accepts a connection even if others have fewer.
    """

    def __init__(self, workers: int) -> None:
        """With places for `workers`, and for as many that replace them while they end."""
        places = 2 * workers
        # Numbers of 4 bytes, in memory that is shared with the processes that are forked after this. Each is -1 now.
        self._counts = memoryview(mmap(-1, 4 * places)).cast("i")
        self._counts[:] = memoryview(b"\xff" * 4 * places).cast("i")
        self._free = list(range(places))

    def assign(self, worker: Any) -> None:
        """Give a worker that is about to be forked this object, and a place in the counts. In the master process."""
        worker.balance = self
        worker.place = self._free.pop() if self._free else None

    def release(self, worker: Any) -> None:
        """Take back the place of a worker that has ended. In the master process."""
        if worker.place is not None:
            self._counts[worker.place] = _NO_WORKER
            self._free.append(worker.place)

    def count(self, place: int | None, connections: int) -> None:
        """Note how many connections the worker at a place has open."""
        if place is not None:
            self._counts[place] = connections

    def leave(self, place: int | None) -> None:
        """Note that the worker at a place accepts no more connections."""
        self.count(place, _NO_WORKER)

    def is_ahead(self, connections: int) -> bool:
        """Whether another worker has at least two connections fewer. A difference of one is often chance."""
        return any(0 <= count < connections - 1 for count in self._counts)
