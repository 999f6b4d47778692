"""Algorithms and signals: a hash, how it was made, and when two hashes are of the same item."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import mul
from typing import Final, Self

SIGNALS_AN_ITEM: Final = 64
"""The most signals of an item."""
SIGNALS_OF_TRANSFORMS: Final = 192
"""The most signals of all transforms of an item; about 80 are usual."""
_HEX = re.compile(r"[0-9a-f]*", re.ASCII)


class Algorithm(StrEnum):
    """The algorithm of a signal. Values of different algorithms are never compared.

    `pdq` and `phash256` have 256 bits; `phash`, `dhash`, `whash` and `ahash` have 64 bits; all are of pictures.
    `simhash256` (256 bits) is of a window of words of a text. `sha256` (256 bits) and `md5` (128 bits) are digests:
    they match only files with the same bytes. `url` (256 bits) is the SHA-256 of a normalised address, and matches
    only it.
    """

    # The name, then `bits`, `radius` and `set_bits`, which are described below.
    PDQ = "pdq", 256, 31, range(120, 137)
    PHASH256 = "phash256", 256, 46, range(120, 137)
    PHASH = "phash", 64, 6, range(24, 41)
    DHASH = "dhash", 64, 4, range(8, 57)
    WHASH = "whash", 64, 4, range(8, 57)
    AHASH = "ahash", 64, 4, range(8, 57)
    SIMHASH256 = "simhash256", 256, 72, range(64, 193)
    SHA256 = "sha256", 256, 0, range(1, 256)
    MD5 = "md5", 128, 0, range(1, 128)
    URL = "url", 256, 0, range(1, 256)

    # A batch looks up a thousand signals, and the hash of an Enum is Python code.
    __hash__ = str.__hash__

    bits: int
    """The length of a value in bits: 64, 128 or 256."""
    radius: int
    """The default radius: up to how many bits two values may differ to be of the same picture."""
    set_bits: range
    """The range of the number of set bits in a usable value.

    PDQ and the phashes compare with a median, so an ordinary picture sets half of the bits. Flat pictures, gradients
    and truncated files do not.
    """
    is_digest: bool
    """Whether it hashes the bytes of a file or of an address: only equal values match, and no index holds them."""
    of_text: bool
    """Whether it is of a window of words: a picture has no such hash."""

    def __new__(cls, value: str, bits: int = 0, radius: int = 0, set_bits: range = range(0)) -> Self:
        """An algorithm with its attributes; one whose radius is 0 is a digest. Raises TypeError for a bare name."""
        # The defaults are for the type checker, which takes `Algorithm("pdq")` for a call of this method.
        if not bits:
            raise TypeError(f"{value} needs its bits, its default radius and its range of set bits")
        member = str.__new__(cls, value)
        member._value_, member.bits, member.radius, member.set_bits = value, bits, radius, set_bits
        member.is_digest, member.of_text = not radius, value == "simhash256"
        return member


_NAMES = {str(a): a for a in Algorithm}
_TEXTS = {a: f"{a}:%0{a.bits // 4}x" for a in Algorithm}
"""The format of the text of a signal, by algorithm: an f-string that looks up the bits takes ten times as long."""
PERCEPTUAL: Final = tuple(algorithm for algorithm in Algorithm if not algorithm.is_digest)
"""The algorithms whose values are compared by distance."""
OF_PICTURES: Final = tuple(algorithm for algorithm in PERCEPTUAL if not algorithm.of_text)
"""The perceptual algorithms that are computed from a picture."""
OF_TEXTS: Final = tuple(algorithm for algorithm in PERCEPTUAL if algorithm.of_text)
"""The perceptual algorithms that are computed from words. Every service accepts them."""
DIGESTS: Final = tuple(algorithm for algorithm in Algorithm if algorithm.is_digest)
"""The digests of a file, the strongest first, then the digest of an address. Every service accepts them."""

MINIMUM_QUALITY = 50
"""The advice of PDQ: a hash with quality 49 or less is unfit for matching."""


@dataclass(frozen=True, slots=True, order=True)
class Signal:
    """A hash: an algorithm and a value of its length.

    >>> Signal.parse("phash:d1c4b2a09f8e7d6c").distance(Signal.parse("phash:d1c4b2a09f8e7d6d"))
    1
    """

    algorithm: Algorithm
    value: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The signal of a text (`algorithm:hex`, lower case); `str()` is the inverse.

        Raises ValueError with a sentence that says what is wrong.
        """
        name, colon, digits = text.partition(":")
        algorithm = _NAMES.get(name)
        if not colon or algorithm is None:
            raise ValueError(f"must be algorithm:hex, with one of the algorithms {', '.join(_NAMES)}")
        expected = algorithm.bits // 4
        if not _HEX.fullmatch(digits):
            raise ValueError(f"{algorithm} needs {expected} hex digits in lower case")
        if len(digits) != expected:
            raise ValueError(f"{algorithm} needs {expected} hex digits, got {len(digits)}")
        return cls(algorithm, int(digits, 16))

    def __str__(self) -> str:
        return _TEXTS[self.algorithm] % self.value

    @classmethod
    def from_bytes(cls, algorithm: Algorithm, octets: bytes) -> Self:
        """The inverse of `to_bytes`."""
        return cls(algorithm, int.from_bytes(octets))

    def to_bytes(self) -> bytes:
        """The value, big-endian: 8, 16 or 32 bytes."""
        return self.value.to_bytes(self.algorithm.bits // 8)

    def distance(self, other: Signal) -> int:
        """The Hamming distance in bits. Raises ValueError for signals of different algorithms."""
        if self.algorithm is not other.algorithm:
            raise ValueError(f"{self.algorithm} and {other.algorithm} cannot be compared")
        return (self.value ^ other.value).bit_count()

    def fault(self) -> str | None:
        """Why this value may not be contributed (it would match far too much), or None."""
        count = self.value.bit_count()
        allowed = self.algorithm.set_bits
        if count in allowed:
            return None
        if self.algorithm.is_digest:
            return f"all bits of this {self.algorithm} are equal, so it is not a digest of content"
        ordinary = "text" if self.algorithm.of_text else "picture"
        return (
            f"{self.algorithm} has {count} of {self.algorithm.bits} bits set; "
            f"an ordinary {ordinary} has {allowed.start} to {allowed.stop - 1}"
        )


def usable_signals(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """The signals that can match reliably: those whose `fault` is None."""
    return tuple(signal for signal in signals if signal.fault() is None)


_THOROUGH_FROM = 3
"""The lowest severity with the profile `thorough`."""


class Profile(StrEnum):
    """How many variants a contribution has; more variants find more alterations and take more of the index.

    `plain`: none. `balanced`: some. `thorough`: the most.
    """

    PLAIN = "plain"
    BALANCED = "balanced"
    THOROUGH = "thorough"

    @classmethod
    def of_severity(cls, severity: int | None) -> Self:
        """The default profile: thorough for severity 3 and 4, balanced for others."""
        return cls("thorough" if severity is not None and severity >= _THOROUGH_FROM else "balanced")


SPARSE_MARGIN: Final = 18
"""The bits by which the default radius is smaller where one of two hashes is sparse."""
SPARSE: Final = 0.6
"""A phash256 is sparse if its largest singular value is at least this share of the largest possible one."""
_SIDE = 16
"""Rows and columns of the bits of a phash256."""
_ROUNDS = 32
"""The most steps of the power iteration."""


def match_radius(algorithm: Algorithm, queried: int, stored: int) -> int:
    """The default radius in bits for two values: smaller where one of them is sparse."""
    if algorithm is Algorithm.PHASH256 and (is_sparse(queried) or is_sparse(stored)):
        return algorithm.radius - SPARSE_MARGIN
    return algorithm.radius


def is_within_match_radius(algorithm: Algorithm, distance: int, queried: int, stored: int) -> bool:
    """Whether values at this distance (bits, within `algorithm.radius`) are within their `match_radius`."""
    # Within the radius of sparse values, it does not matter whether they are: this spares the computation.
    return distance <= algorithm.radius - SPARSE_MARGIN or distance <= match_radius(algorithm, queried, stored)


@lru_cache(65_536)
def is_sparse(value: int, least: float = SPARSE) -> bool:
    """Whether a phash256 value is sparse: its bits, as a matrix of 16 x 16, are nearly a product of a row and a column.

    Bits count as 1 and -1. The largest singular value of such a matrix is 16 if it is exactly a product, and less for
    others. A value is sparse if it is at least `least` times 16.
    """
    eigenvalue_of_sparse = (least * _SIDE) ** 4
    rows = [value >> _SIDE * row & 0xFFFF for row in range(_SIDE)]
    # The square of the largest singular value is the largest eigenvalue of the row products; its square is that of
    # their products. The sum of all fourth powers is an upper bound, which decides half of the hashes at once; the sum
    # of all eighth powers is a closer one, which decides most of the others.
    products = [[_SIDE - 2 * (row ^ other).bit_count() for other in rows] for row in rows]
    if sum([entry * entry for row in products for entry in row]) < eigenvalue_of_sparse:
        return False
    products = [[sum(map(mul, row, column)) for column in products] for row in products]
    if sum([entry * entry for row in products for entry in row]) < eigenvalue_of_sparse**2:
        return False
    # Power iteration approaches the eigenvalue from below; it starts at the row most correlated with the others.
    vector, eigenvalue = max(products, key=lambda row: sum(map(abs, row))), 0.0
    for _ in range(_ROUNDS):
        product = [sum(map(mul, row, vector)) for row in products]
        eigenvalue = sum(map(mul, vector, product)) / sum(map(mul, vector, vector))
        if eigenvalue >= eigenvalue_of_sparse:
            return True
        largest = max(map(abs, product))
        vector = [component / largest for component in product]
    return False
