"""Plans of multi-index hashing: how values are cut into chunks, and which chunk values a radius asks for.

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

WIDEST = 24
"""Bits of a chunk at most: a table of 2²⁴ places takes 64 MiB."""
SCANNED = 16_384
"""Fewer values than this are scanned faster than they are looked up."""
_BYTES_A_VALUE = {64: 64.0, 256: 124.0}
_PROBE, _CANDIDATE, _SCANNED_VALUE = 12.0, {64: 0.8, 256: 9.0}, {64: 0.3, 256: 0.6}
"""Nanoseconds of one look-up in a table, of one candidate, and of one value that is scanned."""


@dataclass(frozen=True)
class Chunks:
    """A cut of `bits` bits into neighbouring chunks, most significant first."""

    bits: int
    widths: tuple[int, ...]

    @property
    def shifts(self) -> tuple[int, ...]:
        """Where each chunk's lowest bit is, counted from the value's lowest."""
        places, place = [], self.bits
        for width in self.widths:
            place -= width
            places.append(place)
        return tuple(places)

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Of each chunk its lowest bit, and what keeps so many bits as it has."""
        return tuple(zip(self.shifts, ((1 << width) - 1 for width in self.widths), strict=True))

    @property
    def bases(self) -> tuple[int, ...]:
        """Where each chunk's table of 2^width + 1 places begins, and at the end how many there are in all."""
        places = [0]
        for width in self.widths:
            places.append(places[-1] + (1 << width) + 1)
        return tuple(places)

    def radii(self, radius: int) -> tuple[int, ...]:
        """How far each chunk is searched for a radius, −1 for not at all."""
        if not self.widths:
            return ()
        a, b = divmod(radius, len(self.widths))
        return tuple(a if chunk <= b else a - 1 for chunk in range(len(self.widths)))

    def probes(self, radius: int) -> int:
        """How many chunk values a radius asks for."""
        return sum(ball(width, near) for width, near in zip(self.widths, self.radii(radius), strict=True))

    def expected(self, count: int, radius: int) -> tuple[int, float]:
        """How many look-ups one query takes, and how many candidates it meets among `count` evenly spread values."""
        balls = [(ball(width, near), width) for width, near in zip(self.widths, self.radii(radius), strict=True)]
        return sum(many for many, _ in balls), sum(many * count / 2**width for many, width in balls)


def ball(width: int, radius: int) -> int:
    """How many values of `width` bits lie within `radius` bits of one."""
    return sum(comb(width, distance) for distance in range(min(radius, width) + 1))


def choose(count: int, bits: int, radius: int) -> Chunks:
    """The cut that is expected to be the fastest for `count` values at `radius`; no chunks: scan."""
    if count < SCANNED:
        return Chunks(bits, ())
    best, least = Chunks(bits, ()), scanning(count, bits)
    for many in range(-(-bits // WIDEST), bits // 8 + 1):
        cut = Chunks(bits, _even(bits, many))
        if (8 * many if bits == 64 else bits / 8 + 4 * many) + 4 * cut.bases[-1] / count > _BYTES_A_VALUE[bits]:
            continue
        if (cost := probing(cut, count, radius)) < least:
            best, least = cut, cost
    return best


def probing(cut: Chunks, count: int, radius: int) -> float:
    """Nanoseconds of looking one query up in the kernel, for values spread evenly."""
    probes, candidates = cut.expected(count, radius)
    return probes * _PROBE + candidates * _CANDIDATE[cut.bits]


def scanning(count: int, bits: int) -> float:
    """Nanoseconds of comparing every value with one query in the kernel."""
    return count * _SCANNED_VALUE[bits]


def worth_probing(cut: Chunks, count: int, radius: int) -> bool:
    """Whether looking up is expected to beat a scan."""
    return bool(cut.widths) and probing(cut, count, radius) < scanning(count, cut.bits)


def worth_verifying(candidates: int, count: int, bits: int) -> bool:
    """Whether that many candidates, once counted, still beat a scan."""
    return candidates * _CANDIDATE[bits] < scanning(count, bits)


@lru_cache(maxsize=64)
def masks(width: int, radius: int) -> NDArray[np.uint32]:
    """What to XOR a chunk's value with to get every value within `radius` bits of it, nearest first."""
    found = [
        sum(1 << bit for bit in chosen) for many in range(radius + 1) for chosen in combinations(range(width), many)
    ]
    return np.array(found, np.uint32)


def _even(bits: int, many: int) -> tuple[int, ...]:
    width, wider = divmod(bits, many)
    return (width + 1,) * wider + (width,) * (many - wider)
