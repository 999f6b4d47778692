"""Plans of multi-index hashing: how values are split into chunks, and which chunk values a radius needs.

M. Norouzi, A. Punjani, D. J. Fleet: Fast search in Hamming space with multi-index hashing, CVPR 2012. With
r = m·a + b, two values within r bits agree within a bits on one of b + 1 chunks, or within a − 1 on another one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

WIDEST_CHUNK = 24
"""The most bits of a chunk: the 2²⁴ offsets of its table take 64 MiB."""
SCANNED = 16_384
"""With fewer values, a scan is faster than the tables."""
_BYTES_A_VALUE = {64: 64.0, 256: 124.0}
"""The most bytes of memory for a value and its entries in the tables, by the bits of the value."""
_LOOKUP = 12.0
"""Nanoseconds of a look-up in a table."""
_CANDIDATE, _SCANNED_VALUE = {64: 0.8, 256: 9.0}, {64: 0.3, 256: 0.6}
"""Nanoseconds of verifying a candidate, and of scanning a value, by the bits of the value."""


@dataclass(frozen=True)
class Chunks:
    """A split of `bits` bits into adjacent chunks, the most significant first."""

    bits: int
    widths: tuple[int, ...]

    @property
    def shifts(self) -> tuple[int, ...]:
        """The position of the lowest bit of each chunk, counted from the lowest bit of the value."""
        shifts, shift = [], self.bits
        for width in self.widths:
            shift -= width
            shifts.append(shift)
        return tuple(shifts)

    @cached_property
    def shifts_and_masks(self) -> tuple[tuple[int, int], ...]:
        """The shift and the bit mask of each chunk."""
        return tuple(zip(self.shifts, ((1 << width) - 1 for width in self.widths), strict=True))

    @property
    def bases(self) -> tuple[int, ...]:
        """Where in the offsets each chunk's table of 2^width + 1 begins, and at the end how many offsets there are."""
        bases = [0]
        for width in self.widths:
            bases.append(bases[-1] + (1 << width) + 1)
        return tuple(bases)

    def radii(self, radius: int) -> tuple[int, ...]:
        """The radius in bits for each chunk, so that a search finds all within `radius` bits; −1: not looked up."""
        if not self.widths:
            return ()
        quotient, remainder = divmod(radius, len(self.widths))
        return tuple(quotient if chunk <= remainder else quotient - 1 for chunk in range(len(self.widths)))

    def expected_per_query(self, count: int, radius: int) -> tuple[int, float]:
        """The look-ups and the expected candidates of a query among `count` evenly spread values."""
        sizes = list(map(ball_size, self.widths, self.radii(radius)))
        return sum(sizes), sum(size * count / 2**width for size, width in zip(sizes, self.widths, strict=True))


def ball_size(width: int, radius: int) -> int:
    """The number of values of `width` bits within `radius` bits of one value."""
    return sum(comb(width, distance) for distance in range(min(radius, width) + 1))


def choose_chunks(count: int, bits: int, radius: int) -> Chunks:
    """The split with the lowest expected cost for `count` values at `radius`; no chunks means to scan."""
    if count < SCANNED:
        return Chunks(bits, ())
    best, least = Chunks(bits, ()), scanning_cost(count, bits)
    for parts in range(-(-bits // WIDEST_CHUNK), bits // 8 + 1):
        chunks = Chunks(bits, _even(bits, parts))
        # Of 64 bits, the entries are the values, and no other copy of them is stored.
        value_size = 8 * parts if bits == 64 else bits / 8 + 4 * parts
        if value_size + 4 * chunks.bases[-1] / count > _BYTES_A_VALUE[bits]:
            continue
        if (cost := probing_cost(chunks, count, radius)) < least:
            best, least = chunks, cost
    return best


def probing_cost(chunks: Chunks, count: int, radius: int) -> float:
    """The expected nanoseconds of one query by the tables in the kernel, for evenly spread values."""
    lookup_count, candidates = chunks.expected_per_query(count, radius)
    return lookup_count * _LOOKUP + candidates * _CANDIDATE[chunks.bits]


def scanning_cost(count: int, bits: int) -> float:
    """The nanoseconds of comparing every value with one query in the kernel."""
    return count * _SCANNED_VALUE[bits]


def worth_probing(chunks: Chunks, count: int, radius: int) -> bool:
    """Whether a search by the tables is expected to be faster than a scan."""
    return bool(chunks.widths) and probing_cost(chunks, count, radius) < scanning_cost(count, chunks.bits)


def worth_verifying(candidates: int, count: int, bits: int) -> bool:
    """Whether verifying `candidates` values is faster than a scan of `count` values."""
    return candidates * _CANDIDATE[bits] < scanning_cost(count, bits)


@lru_cache(maxsize=64)
def flips(width: int, radius: int) -> NDArray[np.uint32]:
    """What to XOR a chunk of `width` bits with, to get every value within `radius` bits of it, sorted.

    >>> flips(3, 1)
    array([0, 1, 2, 4], dtype=uint32)
    """
    numbers = [
        sum(1 << bit for bit in flipped)
        for distance in range(radius + 1)
        for flipped in combinations(range(width), distance)
    ]
    return np.array(sorted(numbers), np.uint32)


def _even(bits: int, parts: int) -> tuple[int, ...]:
    """The widths of so many chunks that differ by one bit at most."""
    width, wider = divmod(bits, parts)
    return (width + 1,) * wider + (width,) * (parts - wider)
