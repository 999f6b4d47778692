"""The live tier: a BK-tree by pybktree.

W. A. Burkhard, R. M. Keller: Some approaches to best-match file searching, CACM 16 (4), 1973.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

import pybktree

from hashdb.domain.matches import Neighbor


class BKTreeIndex:
    """Values found by the triangle inequality; a value can be searched for as soon as it was added."""

    def __init__(self) -> None:
        """Starts empty."""
        self._tree = pybktree.BKTree(_distance)
        self._known: set[int] = set()
        # pybktree changes a node's children while it is read: one thread at a time.
        self._lock = Lock()

    def add(self, values: Iterable[int]) -> None:
        """Take values in; equal ones would chain in the tree, so each goes in once."""
        with self._lock:
            for value in values:
                if value not in self._known:
                    self._known.add(value)
                    self._tree.add(value)

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all that is stored within `radius` bits of it, nearest first."""
        return [self._near(value, radius) for value in values]

    def __len__(self) -> int:
        """How many distinct values are stored."""
        return len(self._known)

    def _near(self, value: int, radius: int) -> list[Neighbor]:
        # For one value at a time, so that others come in between.
        with self._lock:
            found = self._tree.find(value, radius)
        return [Neighbor(*pair) for pair in found]


def _distance(a: int, b: int) -> int:
    return (a ^ b).bit_count()
