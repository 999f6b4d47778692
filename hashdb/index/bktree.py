"""BK-trees by pybktree, without a limit of size: the simplest exact engine, which tests compare the others with.

W. A. Burkhard, R. M. Keller: Some approaches to best-match file searching, CACM 16 (4), 1973.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from threading import Lock

import pybktree

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.index import Alive, Engine, Index, LeafOf
from hashdb.index.vectors import pack, split_octets

_SWEEP_SIZE = 16_384
"""The most values that one `merge` checks, in one request to the store."""


class BKTreeIndex(Index):
    """The values of one algorithm in a BK-tree in memory."""

    def __init__(self, bits: int) -> None:
        """An empty index for values of `bits` bits."""
        self.bits = bits
        self._tree = pybktree.BKTree(lambda a, b: (a ^ b).bit_count())
        # The seq as of which each stored value was last added.
        self._seqs: dict[int, int] = {}
        # A removed value keeps its node in the tree, because the node leads to other values.
        self._removed: set[int] = set()
        # pybktree changes the children of a node while others read it: one thread at a time.
        self._lock = Lock()

    def add(self, values: Iterable[int], seq: int = 0) -> None:
        with self._lock:
            for value in values:
                self._add(value, seq)

    def fill(self, parts: Iterable[bytes], seq: int) -> None:
        for part in parts:
            self.add(map(int.from_bytes, split_octets(part, self.bits)), seq)

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [self._find(value, radius) for value in values]

    def remove(self, seqs: Mapping[int, int]) -> None:
        """Remove the values that are keys of `seqs`, except those that were added again after their seq there."""
        with self._lock:
            for value, seq in seqs.items():
                if self._seqs.get(value) == seq:
                    del self._seqs[value]
                    self._removed.add(value)

    def stored(self, start: int) -> dict[int, int]:
        """At most `_SWEEP_SIZE` values from position `start` on, each with the seq of its last addition."""
        with self._lock:
            return dict(islice(self._seqs.items(), start, start + _SWEEP_SIZE))

    def __len__(self) -> int:
        return len(self._seqs)

    @property
    def in_memory(self) -> int:
        return len(self._seqs)

    def _add(self, value: int, seq: int) -> None:
        if value not in self._seqs:
            if value in self._removed:
                self._removed.remove(value)
            else:
                # Equal values would form a chain in the tree.
                self._tree.add(value)
        self._seqs[value] = seq

    def _find(self, value: int, radius: int) -> list[Neighbor]:
        # The lock is released after each value, so that other threads can search in between.
        with self._lock:
            pairs = self._tree.find(value, radius)
            return [Neighbor(distance, stored) for distance, stored in pairs if stored in self._seqs]


class BKTreeEngine(Engine):
    """The engine *bktree*: one BK-tree for each algorithm, in memory. Each process fills its own from the store."""

    indexes: dict[Algorithm, BKTreeIndex]

    def __init__(self, folder: Path | None, radii: Mapping[Algorithm, int]) -> None:
        """Empty indexes for the algorithms of `radii`; folder and radii do not matter, since no file is written."""
        self.indexes = {algorithm: BKTreeIndex(algorithm.bits) for algorithm in radii}
        # The algorithms that `merge` has still to check, each with the position in its values at which to go on.
        self._to_sweep: list[tuple[Algorithm, int]] = []

    def start(self, epoch: str, head: int, leaf_of: LeafOf) -> int:
        """Start with empty indexes; return 0, since every value must come from the store."""
        self.indexes = {algorithm: BKTreeIndex(algorithm.bits) for algorithm in self.indexes}
        return 0

    def merge(self, alive: Alive) -> bool:
        """Check at most `_SWEEP_SIZE` values of one algorithm, and remove those that are not `alive`; return False."""
        self._to_sweep = self._to_sweep or [(algorithm, 0) for algorithm in self.indexes]
        algorithm, start = self._to_sweep.pop()
        index = self.indexes[algorithm]
        # Read the seqs before `alive` is asked: a value that is added again meanwhile stays.
        stored = index.stored(start)
        if stored:
            values = sorted(stored)
            flags = alive(algorithm, pack(values, algorithm.bits)).tolist()
            ended = {value: stored[value] for value, is_alive in zip(values, flags, strict=True) if not is_alive}
            index.remove(ended)
            # There may be more. The removed values are no longer in the index, so the next position is lower.
            if len(stored) == _SWEEP_SIZE:
                self._to_sweep.append((algorithm, start + len(stored) - len(ended)))
        return False
