"""Retired: the values of what was before a reviewer in an index of their own, as they are few."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.sparseness import counts
from hashdb.index.tiered import ARRAY, TieredIndex
from hashdb.index.words import from_octets

Near = Mapping[Signal, Sequence[Signal]]
"""What is near each signal; those near which there is nothing are left out."""


class Retired:
    """Of a process, as of a number of the log: none on which a case was opened until then is missing."""

    def __init__(self, radii: Mapping[Algorithm, int]) -> None:
        """For these algorithms, within these radii; empty."""
        self._indexes = {algorithm: TieredIndex(algorithm.bits, radius) for algorithm, radius in radii.items()}

    def take_in(self, found: Mapping[Algorithm, Sequence[bytes]]) -> None:
        """Add values; those of other algorithms are left out."""
        for algorithm, values in found.items():
            index = self._indexes.get(algorithm)
            if index is None:
                continue
            if len(values) < ARRAY:
                index.add(map(int.from_bytes, values))
            else:
                index.load(from_octets(b"".join(values), algorithm.bits), 0)

    def near(self, signals: Iterable[Signal]) -> Near:
        """What lies within the radius of each of the signals."""
        asked: dict[Algorithm, dict[int, None]] = defaultdict(dict)
        filled = {algorithm for algorithm, index in self._indexes.items() if len(index)}
        for one in signals if filled else ():
            if one.algorithm in filled:
                asked[one.algorithm][one.value] = None
        found: dict[Signal, Sequence[Signal]] = {}
        for algorithm, values in asked.items():
            index = self._indexes[algorithm]
            for value, neighbors in zip(values, index.search(list(values), index.radius), strict=True):
                near = [one.value for one in neighbors if counts(algorithm, one.distance, value, one.value)]
                if near:
                    found[Signal(algorithm, value)] = [Signal(algorithm, one) for one in near]
        return found
