"""Looking up in NumPy: the chunks of values, and the places in tables that a radius asks for."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.index.plan import Chunks, masks
from hashdb.index.words import Words


class Lookups(NamedTuple):
    """Of each look-up of a plan: what is XORed with which chunk's value, and where that chunk's table begins.

    `around` has shape (2, 1, look-ups): in its second half it is the place after, where what is looked up ends.
    """

    mask: NDArray[np.int64]
    chunk: NDArray[np.intp]
    around: NDArray[np.int64]


@lru_cache(maxsize=64)
def lookups(cut: Chunks, radius: int) -> Lookups:
    """The look-ups that a radius asks for."""
    each = [
        (chunk, masks(width, near))
        for chunk, (width, near) in enumerate(zip(cut.widths, cut.radii(radius), strict=True))
        if near >= 0
    ]
    chunk = np.concatenate([np.full(len(mask), number) for number, mask in each])
    mask = np.concatenate([mask for _, mask in each]).astype(np.int64)
    base = np.array(cut.bases)[chunk]
    return Lookups(mask, chunk, np.stack([base, base + 1])[:, None])


def chunk_of(columns: NDArray[np.uint64], shift: int, width: int) -> NDArray[np.uint64]:
    """A chunk of every value; `columns` has shape (words, values), the most significant word first."""
    low, bit = divmod(shift, 64)
    part = columns[-1 - low] >> np.uint64(bit)
    if bit + width > 64:
        part |= columns[-2 - low] << np.uint64(64 - bit)
    kept: NDArray[np.uint64] = part & np.uint64((1 << width) - 1)
    return kept


class _Places(NamedTuple):
    """Of each chunk: the word that holds its lowest bit, the word above, how far to shift each, and what to keep."""

    low: NDArray[np.intp]
    high: NDArray[np.intp]
    right: NDArray[np.uint64]
    left: NDArray[np.uint64]
    kept: NDArray[np.uint64]


@lru_cache(maxsize=64)
def _places(cut: Chunks) -> _Places:
    words = cut.bits // 64
    low = np.array([words - 1 - shift // 64 for shift in cut.shifts])
    bit = np.array([shift % 64 for shift in cut.shifts], np.uint64)
    kept = np.array([(1 << width) - 1 for width in cut.widths], np.uint64)
    # A shift by 64 is not one: a chunk that begins at a word's lowest bit has nothing above.
    high, left = np.maximum(low - 1, 0), np.where(bit == 0, np.uint64(63), np.uint64(64) - bit)
    return _Places(low, high, bit, left, kept)


def chunk_values(asked: Words, cut: Chunks) -> NDArray[np.int64]:
    """Every chunk of each query. Shape (queries, chunks)."""
    at = _places(cut)
    parts = asked.take(at.high, axis=1)
    parts <<= at.left
    parts |= asked.take(at.low, axis=1) >> at.right
    parts &= at.kept
    return parts.view(np.int64)


def ranges(starts: NDArray[np.int64], counts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[np.int64]:
    """The numbers from each start on, as many as it counts, one range after the other; `ends` sums the counts up."""
    first = starts + counts
    first -= ends
    numbers = first.repeat(counts)
    numbers += np.arange(len(numbers))
    return numbers
