"""Exact Hamming range search over bare values of one length; knows no rows and no members."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from hashdb.domain.matches import Neighbor


class Index(Protocol):
    """A growing set of values, all of one number of bits, safe to search while another thread adds."""

    def add(self, values: Iterable[int]) -> None:
        """Take values in; one that is there already changes nothing."""

    def search(self, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, all that is stored within `radius` bits of it: recall 1.0, each once, nearest first."""

    def __len__(self) -> int:
        """How many distinct values are stored."""
