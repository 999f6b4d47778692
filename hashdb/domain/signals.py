"""Algorithm and Signal: a perceptual hash and how it was made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import mul
from typing import Final, Self

_HEX = re.compile(r"[0-9a-f]*", re.ASCII)


class Algorithm(StrEnum):
    """How a signal was made. Values of different algorithms are never compared."""

    PDQ = "pdq"
    PHASH256 = "phash256"
    PHASH = "phash"
    DHASH = "dhash"
    WHASH = "whash"
    AHASH = "ahash"

    # The hash of an Enum is Python code, and signals are looked up a thousand times for a batch.
    __hash__ = str.__hash__

    bits: int
    """Length of a value in bits, 64 or 256."""
    radius: int
    """The default radius: how many differing bits still count as the same picture."""
    set_bits: range
    """The numbers of set bits that a usable value may have.

    PDQ and the phashes compare with a median, so an ordinary picture sets half of its bits; flat, gradient and
    truncated ones do not.
    """


for _algorithm, _bits, _radius, _set_bits in (
    (Algorithm.PDQ, 256, 31, range(120, 137)),
    (Algorithm.PHASH256, 256, 46, range(120, 137)),
    (Algorithm.PHASH, 64, 6, range(24, 41)),
    (Algorithm.DHASH, 64, 4, range(8, 57)),
    (Algorithm.WHASH, 64, 4, range(8, 57)),
    (Algorithm.AHASH, 64, 4, range(8, 57)),
):
    _algorithm.bits, _algorithm.radius, _algorithm.set_bits = _bits, _radius, _set_bits
_NAMES = {str(a): a for a in Algorithm}

MINIMUM_QUALITY = 50
"""PDQ's own advice: a hash of quality 49 or less is not fit for matching."""


@dataclass(frozen=True, slots=True, order=True)
class Signal:
    """A perceptual hash: an algorithm and a value of its length.

    >>> Signal.parse("phash:d1c4b2a09f8e7d6c").distance(Signal.parse("phash:d1c4b2a09f8e7d6d"))
    1
    """

    algorithm: Algorithm
    value: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The signal that `text` (`algorithm:hex`, lower case) spells; `str()` is the inverse.

        Raises ValueError with a sentence that says what is wrong.
        """
        name, colon, digits = text.partition(":")
        algorithm = _NAMES.get(name)
        if not colon or algorithm is None:
            raise ValueError(f"a signal is algorithm:hex, with an algorithm of {', '.join(_NAMES)}")
        expected = algorithm.bits // 4
        if not _HEX.fullmatch(digits):
            raise ValueError(f"{algorithm} takes {expected} hex digits in lower case")
        if len(digits) != expected:
            raise ValueError(f"{algorithm} takes {expected} hex digits, got {len(digits)}")
        return cls(algorithm, int(digits, 16))

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.value:0{self.algorithm.bits // 4}x}"

    @classmethod
    def from_bytes(cls, algorithm: Algorithm, octets: bytes) -> Self:
        """The inverse of `to_bytes`."""
        return cls(algorithm, int.from_bytes(octets))

    def to_bytes(self) -> bytes:
        """The value, big-endian: 8 or 32 bytes."""
        return self.value.to_bytes(self.algorithm.bits // 8)

    def distance(self, other: Signal) -> int:
        """Hamming distance in bits. Raises ValueError for signals of different algorithms."""
        if self.algorithm is not other.algorithm:
            raise ValueError(f"{self.algorithm} and {other.algorithm} cannot be compared")
        return (self.value ^ other.value).bit_count()

    def fault(self) -> str | None:
        """Why this value may not be contributed (it would match far too much), or None."""
        count = self.value.bit_count()
        allowed = self.algorithm.set_bits
        if count in allowed:
            return None
        return (
            f"{self.algorithm} with {count} of {self.algorithm.bits} bits set is not of an ordinary picture "
            f"({allowed.start} to {allowed.stop - 1} are accepted)"
        )


_GRAVE = 3


class Profile(StrEnum):
    """How much of what may be done to a picture its contribution foresees; more of it takes more of the index."""

    PLAIN = "plain"
    BALANCED = "balanced"
    THOROUGH = "thorough"

    @classmethod
    def of_severity(cls, severity: int | None) -> Self:
        """What is taken where none is named: thorough for severity 3 and 4, balanced for the rest."""
        return cls("thorough" if severity is not None and severity >= _GRAVE else "balanced")


FURTHER: Final = 18
"""Bits by which two hashes must be nearer than else where either is sparse."""
SPARSE: Final = 0.6
"""The largest singular value, against that of a product, from which on a hash is sparse."""
_SIDE = 16
_SPARSE = (SPARSE * _SIDE) ** 4
_ROUNDS = 32


def reach(algorithm: Algorithm, asked: int, stored: int) -> int:
    """Within how many bits of each other two values are of the same picture, where no radius is named."""
    if algorithm is Algorithm.PHASH256 and (is_sparse(asked) or is_sparse(stored)):
        return algorithm.radius - FURTHER
    return algorithm.radius


def counts(algorithm: Algorithm, distance: int, asked: int, stored: int) -> bool:
    """Whether values that are so many bits apart, within the default radius, are of the same picture."""
    # What is nearer than that is, whatever the two tell: nothing has to be worked out.
    return distance <= algorithm.radius - FURTHER or distance <= reach(algorithm, asked, stored)


@lru_cache(65_536)
def is_sparse(value: int) -> bool:
    """Whether a value of phash256 is near to a product of rows and columns."""
    rows = [value >> _SIDE * row & 0xFFFF for row in range(_SIDE)]
    # The square of the largest singular value is the largest eigenvalue of the products of rows, and its square that of
    # their products. The fourth powers of all together are no less: most hashes are done with here.
    products = _squared([[_SIDE - 2 * (one ^ other).bit_count() for other in rows] for one in rows])
    if sum(one * one for row in products for one in row) < _SPARSE**2:
        return False
    # By iteration, which comes from below, and begins with the row that has most to do with the others.
    at, found = max(products, key=lambda row: sum(map(abs, row))), 0.0
    for _ in range(_ROUNDS):
        turned = [sum(map(mul, row, at)) for row in products]
        found = sum(map(mul, at, turned)) / sum(map(mul, at, at))
        if found >= _SPARSE:
            return True
        largest = max(map(abs, turned))
        at = [one / largest for one in turned]
    return False


def _squared(rows: list[list[int]]) -> list[list[int]]:
    """A symmetric matrix by itself."""
    return [[sum(map(mul, one, other)) for other in rows] for one in rows]
