"""Algorithm and Signal: a perceptual hash and how it was made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

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

    @property
    def bits(self) -> int:
        """Length of a value in bits, 64 or 256."""
        return _BITS[self]

    @property
    def radius(self) -> int:
        """The default radius: how many differing bits still count as the same picture."""
        return _RADII[self]

    @property
    def set_bits(self) -> range:
        """The numbers of set bits that a usable value may have.

        PDQ and the phashes compare with a median, so an ordinary picture sets half of its bits; flat, gradient and
        truncated ones do not.
        """
        return _SET_BITS[self]


_BITS = {a: 256 if a in (Algorithm.PDQ, Algorithm.PHASH256) else 64 for a in Algorithm}
_RADII = {
    Algorithm.PDQ: 31,
    Algorithm.PHASH256: 46,
    Algorithm.PHASH: 6,
    Algorithm.DHASH: 4,
    Algorithm.WHASH: 4,
    Algorithm.AHASH: 4,
}
_SET_BITS = {
    Algorithm.PDQ: range(120, 137),
    Algorithm.PHASH256: range(120, 137),
    Algorithm.PHASH: range(24, 41),
    Algorithm.DHASH: range(8, 57),
    Algorithm.WHASH: range(8, 57),
    Algorithm.AHASH: range(8, 57),
}
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
