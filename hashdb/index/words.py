"""Values as arrays of 64-bit words, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]
"""Shape (values, bits / 64); the most significant word first."""


def pack(values: Sequence[int], bits: int) -> Words:
    """The words of values of `bits` bits. Raises OverflowError for a value that is longer, or negative."""
    octets = b"".join(value.to_bytes(bits // 8) for value in values)
    return np.frombuffer(octets, ">u8").astype(np.uint64).reshape(len(values), bits // 64)


def from_octets(octets: bytes, bits: int) -> Words:
    """The words of values that stand one after the other, big-endian."""
    return np.frombuffer(octets, ">u8").astype(np.uint64).reshape(-1, bits // 64)


def to_octets(words: Words) -> list[bytes]:
    """Each value, big-endian."""
    octets, size = words.astype(">u8").tobytes(), words.shape[1] * 8
    return [octets[start : start + size] for start in range(0, len(octets), size)]


def unpack(words: Words) -> list[int]:
    """The inverse of `pack`."""
    return [int.from_bytes(octets) for octets in to_octets(words)]


def distinct(words: Words) -> Words:
    """The distinct values, sorted by their first word."""
    arranged = words[np.argsort(words[:, 0])]
    first = np.ascontiguousarray(arranged[:, 0])
    after = np.flatnonzero(first[1:] == first[:-1]) + 1
    if not len(after):
        return arranged
    # Where first words are equal, equal values need not be neighbours: sort those rows by every word.
    tied = np.union1d(after, after - 1)
    arranged[tied] = arranged[tied][np.lexsort(arranged[tied].T[::-1])]
    fresh = np.ones(len(arranged), bool)
    fresh[after] = (arranged[after] != arranged[after - 1]).any(axis=1)
    return arranged[fresh]
