"""A scan of every value in NumPy: the plainest exact search, and the measure of the others."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matches import Neighbor


class ScanIndex:
    """Values in columns of 64-bit words, every one compared with every query."""

    def __init__(self, bits: int) -> None:
        """`bits` is the length of every value: a multiple of 64."""
        self._octets = bits // 8
        self._known: dict[int, None] = {}
        self._columns: NDArray[np.uint64] = np.empty((bits // 64, 0), np.uint64)
        self._lock = Lock()

    def add(self, values: Iterable[int]) -> None:
        """Take values in; one that is there already changes nothing."""
        with self._lock:
            fresh = [value for value in dict.fromkeys(values) if value not in self._known]
            self._known.update(dict.fromkeys(fresh))
            self._columns = np.concatenate([self._columns, self._words(fresh)], axis=1)

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all that is stored within `radius` bits of it, nearest first."""
        columns = self._columns
        return [self._scan(columns, value, radius) for value in values]

    def __len__(self) -> int:
        """How many distinct values are stored."""
        return int(self._columns.shape[1])

    def _words(self, values: Sequence[int]) -> NDArray[np.uint64]:
        """Shape (words, values); the first row holds the most significant words."""
        octets = b"".join(value.to_bytes(self._octets) for value in values)
        return np.frombuffer(octets, ">u8").astype(np.uint64).reshape(len(values), self._octets // 8).T

    def _scan(self, columns: NDArray[np.uint64], value: int, radius: int) -> list[Neighbor]:
        # bitwise_count answers uint8, in which 256 differing bits would wrap to 0.
        distances = np.bitwise_count(columns ^ self._words([value])).sum(axis=0, dtype=np.uint16)
        hits = np.flatnonzero(distances <= radius)
        found = [Neighbor(int(distances[hit]), self._value(columns[:, hit])) for hit in hits]
        return sorted(found)

    def _value(self, words: NDArray[np.uint64]) -> int:
        return int.from_bytes(words.astype(">u8").tobytes())
