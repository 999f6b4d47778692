"""BK-trees by pybktree, without a limit of size: the simplest exact engine, and the oracle of the others.

W. A. Burkhard, R. M. Keller: Some approaches to best-match file searching, CACM 16 (4), 1973.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from threading import Lock

import pybktree

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.index import Alive, Leaf, Manifest, Snapshot
from hashdb.index.vectors import pack

_SWEPT = 16_384
"""Values whose end is looked up at a time: the store answers for so many in one request."""


class BKTreeIndex:
    """One algorithm's values in a BK-tree, all in memory."""

    def __init__(self, bits: int) -> None:
        """For values of `bits` bits; empty."""
        self.bits = bits
        self._tree = pybktree.BKTree(_distance)
        # Each stored value and the number of the log as of which it was last added.
        self._known: dict[int, int] = {}
        # A removed value leaves its node behind, which still leads to other values.
        self._removed: set[int] = set()
        # pybktree changes a node's children while it is read: one thread at a time.
        self._lock = Lock()

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        """Take in the values of the events up to number `seq`; a value that is stored already is stored once."""
        with self._lock:
            for value in values:
                self._add(value, seq)

    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        """Take in all values of the store, of the events up to number `seq`."""
        size = self.bits // 8
        for part in parts:
            self.add((int.from_bytes(part[at : at + size]) for at in range(0, len(part), size)), seq)

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all stored values within `radius` bits of it, nearest first."""
        return [self._near(value, radius) for value in values]

    def remove(self, values: Mapping[int, int]) -> None:
        """Remove values, but for those that were added after the number of the log given for them."""
        with self._lock:
            for value, seq in values.items():
                if self._known.get(value) == seq:
                    del self._known[value]
                    self._removed.add(value)

    def stored(self, start: int) -> dict[int, int]:
        """Some thousand values from the `start`-th on, each with the number of the log as of which it was added."""
        with self._lock:
            return dict(islice(self._known.items(), start, start + _SWEPT))

    def __len__(self) -> int:
        """How many values are stored."""
        return len(self._known)

    @property
    def in_memory(self) -> int:
        """How many values are stored: all are in memory."""
        return len(self._known)

    def _add(self, value: int, seq: int) -> None:
        if value not in self._known:
            if value in self._removed:
                self._removed.remove(value)
            else:
                # Equal values would chain in the tree.
                self._tree.add(value)
        self._known[value] = seq

    def _near(self, value: int, radius: int) -> list[Neighbor]:
        # The lock is given back after each value, so that other threads come in between.
        with self._lock:
            return [Neighbor(*pair) for pair in self._tree.find(value, radius) if pair[1] in self._known]


class BKTreeEngine:
    """A BK-tree an algorithm in this process's memory; each process fills its own from the store."""

    doubted = failing = on_disk = shared = moved = False
    sweeps = True
    unflushed = last_seq = 0

    def __init__(self, folder: Path | None, radii: Mapping[Algorithm, int]) -> None:
        """For these algorithms. No file is written and every radius is searched alike."""
        self.indexes = {algorithm: BKTreeIndex(algorithm.bits) for algorithm in radii}
        self._unswept: list[tuple[Algorithm, int]] = []

    def start(self, epoch: str, head: int, leaf: Leaf) -> int:
        """Begin with empty indexes; return 0: every value must come from the store."""
        self.indexes = {algorithm: BKTreeIndex(algorithm.bits) for algorithm in self.indexes}
        return 0

    def refresh(self, head: int, leaf: Leaf) -> bool:
        """Return True: no other process changes these trees."""
        return True

    def snapshot(self) -> Snapshot:
        """Nothing: no value waits to be written."""
        return Snapshot(Manifest(""), {})

    def flush(self, seq: int, leaf: str, snapshot: Snapshot) -> None:
        """Write nothing."""

    def merge(self, alive: Alive) -> bool:
        """Look some thousand values up and remove those that are not `alive`; return False."""
        self._unswept = self._unswept or [(algorithm, 0) for algorithm in self.indexes]
        algorithm, start = self._unswept.pop()
        index = self.indexes[algorithm]
        # Before they are looked up: a value that is added again from here on stays.
        stored = index.stored(start)
        if stored:
            values = sorted(stored)
            lasting = alive(algorithm, pack(values, algorithm.bits)).tolist()
            ended = {value: stored[value] for value, lasts in zip(values, lasting, strict=True) if not lasts}
            index.remove(ended)
            if len(stored) == _SWEPT:
                self._unswept.append((algorithm, start + len(stored) - len(ended)))
        return False

    def sound(self, *, thoroughly: bool) -> bool:
        """Return True: memory is not checked."""
        return True

    def throw_away(self) -> None:
        """Do nothing: there is nothing outside of this process."""

    def fail(self, error: OSError) -> None:
        """Do nothing: nothing is written."""

    @contextmanager
    def writing(self) -> Iterator[bool]:
        """Always: no other process writes to this memory."""
        yield True


def _distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()
