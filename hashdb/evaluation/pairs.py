"""Pairs of different pictures: how near any value that one asks for comes to any value that the other stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashdb.evaluation.samples import FAR
from hashdb.index.words import Words

Distances: TypeAlias = NDArray[np.uint16]
_BLOCK = 32
"""Pictures that ask at a time."""
KEPT: Final = 0.02
"""The share of the pairs, the nearest ones, that is kept pair by pair; and all that agree on three bits of four."""


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """The least distance of each ordered pair of different pictures (one asks, the other is stored).

    `counts[d]` pairs are d bits apart. Of the nearest, those at up to `limit` bits, `near` has a row each: the place
    of the one that asks, of the one that is stored, and the distance.
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
        """How many pairs a search at this radius takes for the same picture."""
        return int(self.counts[: max(0, radius + 1)].sum())

    @property
    def nearest(self) -> int | None:
        """The least distance of all pairs."""
        found = np.flatnonzero(self.counts)
        return int(found[0]) if len(found) else None

    def first(self, many: int) -> list[tuple[int, int, int]]:
        """The nearest of the pairs, each of two pictures once: which two, and their distance."""
        found: dict[tuple[int, int], int] = {}
        for one, other, distance in self.near[np.argsort(self.near[:, 2], kind="stable")].tolist():
            found.setdefault((min(one, other), max(one, other)), distance)
        return [(*pair, distance) for pair, distance in list(found.items())[:many]]


def compare(
    asked: Sequence[Words], stored: Sequence[Words], bits: int, left_out: Iterable[tuple[int, int]] = ()
) -> tuple[Pairs, Pairs]:
    """Every picture that asks beside every other one that is stored: without transforms, and with them.

    Picture i asks for the values `asked[i]`, of which the first is its own, and has stored `stored[i]`. The pairs
    (asks, stored) in `left_out`, and every picture beside itself, are not counted.
    """
    store = _Store(stored)
    skipped = np.zeros((len(asked), len(stored)), bool)
    np.fill_diagonal(skipped, True)
    for one, other in left_out:
        skipped[one, other] = True

    def block(start: int) -> tuple[Distances, Distances]:
        rows = slice(start, start + _BLOCK)
        found = np.stack([store.distances(queries) for queries in asked[rows]])
        found[skipped[rows]] = FAR
        return found[:, :, 0], found[:, :, 1]

    with ThreadPoolExecutor() as pool:
        blocks = list(pool.map(block, range(0, len(asked), _BLOCK)))
    alone, transformed = (np.concatenate([part[side] for part in blocks]) for side in (0, 1))
    return _counted(alone, bits), _counted(transformed, bits)


class _Store:
    """The values of all pictures, in columns of words."""

    def __init__(self, stored: Sequence[Words]) -> None:
        counts = np.array([len(values) for values in stored])
        self._filled = np.flatnonzero(counts)
        self._starts = (np.cumsum(counts) - counts)[self._filled]
        self._columns = np.ascontiguousarray(np.concatenate(stored).T)
        self._pictures = len(stored)

    def distances(self, queries: Words) -> Distances:
        """To each picture, from the first query and from any. Shape (pictures, 2)."""
        least = np.full((self._pictures, 2), FAR, np.uint16)
        if not len(self._filled):
            return least
        for row, query in enumerate(queries):
            apart = np.zeros(self._columns.shape[1], np.uint16)
            for column, word in zip(self._columns, query, strict=True):
                apart += np.bitwise_count(column ^ word)
            found = np.minimum.reduceat(apart, self._starts)
            if row == 0:
                least[self._filled, 0] = found
            least[self._filled, 1] = np.minimum(least[self._filled, 1], found)
        return least


def _counted(distances: Distances, bits: int) -> Pairs:
    counts = np.bincount(distances.ravel(), minlength=FAR + 1)[: bits + 1].astype(np.int64)
    limit = max(bits // 4, int(np.searchsorted(np.cumsum(counts), KEPT * counts.sum(), side="right")))
    one, other = np.nonzero(distances <= limit)
    near = np.stack([one, other, distances[one, other]], axis=1).astype(np.int64)
    return Pairs(len(distances), counts, limit, near)
