"""Values as arrays of 64-bit words, and back."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

_Number = TypeVar("_Number", np.uint32, np.uint64)
_LARGE = 16 * 1024 * 1024

Words: TypeAlias = NDArray[np.uint64]
"""Shape (values, bits / 64); the most significant word first."""
Lane: TypeAlias = NDArray[np.uint64]
"""A part of every value that is compared at once. Shape (values, 2), or (values, 1) where values have 64 bits."""
Entries: TypeAlias = NDArray[Any]
"""What the tables lead to, chunk after chunk, in a chunk's order: rows as uint32, or values of 64 bits as uint64."""


def room(shape: tuple[int, ...], type: type[_Number]) -> NDArray[_Number]:
    """An array to be filled; of a large one the pages are given back while other threads run, as NumPy's are not."""
    size = prod(shape) * np.dtype(type).itemsize
    if size < _LARGE:
        return np.empty(shape, type)
    pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, type).reshape(shape)


@cache
def keep_memory() -> None:
    """Have what NumPy takes for a search kept for the next one, and not given back to the system in between.

    glibc's malloc does so of arrays as large as the largest that was freed before, of which a process that opens files
    and searches has none: then each search takes its pages anew, and a batch a third longer.
    """
    np.empty(_LARGE - 4096, np.uint8)


def copied(part: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Some columns as an array of their own, row by row."""
    own = room(part.shape, np.uint64)
    own[:] = part
    return own


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


def among(words: Words, others: Words) -> NDArray[np.bool_]:
    """Which of some values, distinct and sorted, are among others. Shape (values,)."""
    first, found = np.ascontiguousarray(words[:, 0]), np.zeros(len(words), bool)
    places = np.searchsorted(first, others[:, 0])
    inside = np.flatnonzero(places < len(words))
    places = places.take(inside)
    same = (words.take(places, axis=0) == others.take(inside, axis=0)).all(axis=1)
    found[places.compress(same)] = True
    # Where several begin with the same word, the first of them was compared with.
    tied = np.flatnonzero(first[1:] == first[:-1]) + 1
    if len(tied):
        known = set(to_octets(others))
        found[tied] = [one in known for one in to_octets(words.take(tied, axis=0))]
    return found


def distinct(words: Words) -> Words:
    """The distinct values, sorted."""
    arranged = room(words.shape, np.uint64)
    # Whole rows are taken several times faster than they are indexed.
    words.take(np.argsort(copied(words[:, 0])), axis=0, out=arranged, mode="clip")
    first = copied(arranged[:, 0])
    same = first[1:] == first[:-1]
    if not same.any():
        return arranged
    # Where first words are equal, equal values need not be neighbours: sort those rows by every word.
    tied = np.zeros(len(arranged), bool)
    tied[1:] = same
    tied[:-1] |= same
    rows, after = np.flatnonzero(tied), np.flatnonzero(same) + 1
    group = arranged.take(rows, axis=0)
    arranged[rows] = group.take(np.lexsort(group.T[::-1]), axis=0)
    fresh = np.ones(len(arranged), bool)
    fresh[after] = (arranged.take(after, axis=0) != arranged.take(after - 1, axis=0)).any(axis=1)
    return arranged if fresh.all() else arranged.compress(fresh, axis=0)
