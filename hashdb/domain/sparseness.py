"""Hashes that tell little: of a small thing on a plain ground, where that is and next to nothing else.

The cosine transform of a small thing at one place is, but for a slow fall, the product of a cosine down and a cosine
across. So the signs of it, which are the bits of phash256, are a product too: every row is the first one or its
complement. Of other pictures the rows have little to do with each other. How far that goes is the largest singular
value of the rows and columns of signs, against the 16 of a product; of random bits it is about a half.

Two such hashes come near each other with nothing in common but the place of something (docs/decisions/0025).
"""

from __future__ import annotations

from functools import lru_cache
from operator import mul
from typing import Final

from hashdb.domain.signals import Algorithm

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
