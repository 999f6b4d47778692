"""Plans of multi-index hashing: how values are cut into chunks, and which chunk values a radius asks for.

M. Norouzi, A. Punjani, D. J. Fleet: Fast search in Hamming space with multi-index hashing, CVPR 2012. With
r = m·a + b, two values within r bits agree within a bits on one of b + 1 chunks, or within a − 1 on another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

WIDEST = 24
"""Bits of a chunk at most: a table of 2²⁴ places takes 64 MiB."""
SCANNED = 16_384
"""Fewer values than this are scanned faster than they are looked up."""
_BYTES_A_VALUE = {64: 40.0, 256: 124.0}
_PROBE, _CANDIDATE, _SCANNED_VALUE = 12.0, 9.0, 0.6
"""Nanoseconds of one look-up in a table, of one candidate, and of one value that is scanned."""


@dataclass(frozen=True, slots=True)
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


def ball(width: int, radius: int) -> int:
    """How many values of `width` bits lie within `radius` bits of one."""
    return sum(comb(width, distance) for distance in range(min(radius, width) + 1))


def choose(count: int, bits: int, radius: int) -> Chunks:
    """The cut that is expected to be the fastest for `count` values at `radius`; no chunks: scan."""
    if count < SCANNED:
        return Chunks(bits, ())
    best, least = Chunks(bits, ()), count * _SCANNED_VALUE
    for many in range(-(-bits // WIDEST), bits // 8 + 1):
        cut = Chunks(bits, _even(bits, many))
        if bits / 8 + 4 * many + 4 * cut.bases[-1] / count > _BYTES_A_VALUE[bits]:
            continue
        if (cost := _cost(cut, count, radius)) < least:
            best, least = cut, cost
    return best


def worth_probing(cut: Chunks, count: int, radius: int) -> bool:
    """Whether looking up is expected to beat a scan."""
    return bool(cut.widths) and _cost(cut, count, radius) < count * _SCANNED_VALUE


def worth_verifying(candidates: int, count: int) -> bool:
    """Whether that many candidates, once counted, still beat a scan."""
    return candidates * _CANDIDATE < count * _SCANNED_VALUE


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


def _cost(cut: Chunks, count: int, radius: int) -> float:
    """Nanoseconds of one query, for values spread evenly."""
    near: Sequence[tuple[int, int]] = list(zip(cut.widths, cut.radii(radius), strict=True))
    probes = sum(ball(width, a) for width, a in near)
    candidates = sum(ball(width, a) * count / 2**width for width, a in near)
    return float(probes * _PROBE + candidates * _CANDIDATE)
