"""Pairs of different pictures: the least distance from a value of the query to a stored value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.samples import FAR, Views, sparse_penalty
from hashdb.index.vectors import Words

Distances: TypeAlias = NDArray[np.uint16]
_BLOCK = 32
"""Queries (pictures) in one block."""
_AT_ONCE = 8
"""Blocks that are computed at once."""
NEAR_SHARE: Final = 0.02
"""The share of the pairs, the nearest ones, that `Pairs.near` lists. All at up to a quarter of the bits are listed."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The least distance of each ordered pair of different pictures (query, stored).

    `counts[d]` pairs are d bits apart. `near` has a row for each pair at up to `limit` bits: the position of the query,
    the position of the stored picture, and the distance.
    """

    pictures: int
    counts: NDArray[np.int64]
    limit: int
    near: NDArray[np.int64]

    @property
    def total(self) -> int:
        """How many pairs there are."""
        return int(self.counts.sum())

    def within(self, radius: int) -> int:
        """How many pairs a search at this radius returns as matches."""
        return int(self.counts[: max(0, radius + 1)].sum())

    @property
    def nearest(self) -> int | None:
        """The least distance of all pairs."""
        distances = np.flatnonzero(self.counts)
        return int(distances[0]) if len(distances) else None

    def nearest_pairs(self, count: int) -> list[tuple[int, int, int]]:
        """The `count` nearest pairs as (picture, picture, distance), each two pictures once."""
        pairs: dict[tuple[int, int], int] = {}
        for query, stored, distance in self.near[np.argsort(self.near[:, 2], kind="stable")].tolist():
            pairs.setdefault((min(query, stored), max(query, stored)), distance)
        return [(*pair, distance) for pair, distance in list(pairs.items())[:count]]


def compare(
    queries: Sequence[Views], stored: Sequence[Words], algorithm: Algorithm, left_out: Iterable[tuple[int, int]] = ()
) -> tuple[Pairs, Pairs]:
    """The pairs of each picture as the query and each other picture as stored: without transforms, and with them.

    The query of picture i has the values `queries[i]`, first its own; `stored[i]` are its stored values. The pairs
    (query, stored) in `left_out`, and each picture with itself, are not counted. The distance of sparse hashes has
    their `sparse_penalty` added, that of a narrower transform what it is narrower: a pair matches within the radius.
    """
    store = _Store(stored, algorithm)
    tallies = (_Tally(algorithm.bits), _Tally(algorithm.bits))
    skipped = {place: [place] for place in range(len(queries))}
    for query, other in left_out:
        skipped[query].append(other)

    def distances_from(start: int) -> Distances:
        distances = np.stack([store.distances(values) for values in queries[start : start + _BLOCK]])
        for row in range(len(distances)):
            distances[row, skipped[start + row]] = FAR
        return distances

    with ThreadPoolExecutor() as pool:
        # A few blocks at a time: the memory for all distances grows with the square of the number of pictures.
        for first in range(0, len(queries), _AT_ONCE * _BLOCK):
            starts = range(first, min(len(queries), first + _AT_ONCE * _BLOCK), _BLOCK)
            for start, distances in zip(starts, pool.map(distances_from, starts), strict=True):
                for side, tally in enumerate(tallies):
                    tally.add(start, distances[:, :, side])
    without_transforms, with_transforms = (tally.pairs(len(queries)) for tally in tallies)
    return without_transforms, with_transforms


class _Store:
    """The stored values of all pictures, in columns of words."""

    def __init__(self, stored: Sequence[Words], algorithm: Algorithm) -> None:
        counts = np.array([len(values) for values in stored])
        # The pictures that have values, and where the values of each begin.
        self._filled = np.flatnonzero(counts)
        self._starts = (np.cumsum(counts) - counts)[self._filled]
        together = np.concatenate(stored)
        self._columns = np.ascontiguousarray(together.T)
        self._algorithm = algorithm
        self._penalties = sparse_penalty(algorithm, together)
        self._pictures = len(stored)

    def distances(self, queries: Views) -> Distances:
        """The least distance to each picture from the first query, and from any query. Shape (pictures, 2)."""
        least = np.full((self._pictures, 2), FAR, np.uint16)
        if not len(self._filled):
            return least
        penalties = np.maximum(sparse_penalty(self._algorithm, queries.values), queries.narrower)
        for row, (query, penalty) in enumerate(zip(queries.values, penalties, strict=True)):
            apart = np.maximum(self._penalties, penalty)
            for column, word in zip(self._columns, query, strict=True):
                apart += np.bitwise_count(column ^ word)
            nearest = np.minimum.reduceat(apart, self._starts)
            if row == 0:
                least[self._filled, 0] = nearest
            least[self._filled, 1] = np.minimum(least[self._filled, 1], nearest)
        return least


class _Tally:
    """Counts distances, and keeps the rows of the nearest pairs."""

    def __init__(self, bits: int) -> None:
        self._bits = bits
        self._counts = np.zeros(bits + 1, np.int64)
        self._near: list[NDArray[np.int64]] = []
        self._near_limit = -1  # in bits; fixed by the first block

    def add(self, start: int, distances: Distances) -> None:
        """Add the distances of the queries from `start` on.

        The first block fixes the limit for all blocks: twice the share that is kept in the end.
        """
        # FAR, and what is above `bits`, is not counted.
        self._counts += np.bincount(distances.ravel(), minlength=FAR + 1)[: self._bits + 1]
        if self._near_limit < 0:
            self._near_limit = self._limit(2 * NEAR_SHARE)
        query, other = np.nonzero(distances <= self._near_limit)
        self._near.append(np.stack([query + start, other, distances[query, other]], axis=1).astype(np.int64))

    def pairs(self, pictures: int) -> Pairs:
        """The pairs that were added."""
        limit = min(self._near_limit, self._limit(NEAR_SHARE))
        near = np.concatenate(self._near)
        return Pairs(pictures, self._counts, limit, near[near[:, 2] <= limit])

    def _limit(self, share: float) -> int:
        """The distance within which that share of the pairs lies; a quarter of the bits at least."""
        seen = np.cumsum(self._counts)
        return max(self._bits // 4, int(np.searchsorted(seen, share * seen[-1], side="right")))
