"""The values that are stored, the queries, and the right answers, all by numbers drawn from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashdb.index.vectors import Words, distinct, unpack

SEED = 20_240
_NEAR = 10
"""One in so many values is a near duplicate of another."""


def stored(count: int, bits: int) -> Words:
    """`count` distinct values in no order: random bits, one in ten some bits from another. Shape (count, words)."""
    rng = np.random.default_rng([SEED, bits, count])
    words = rng.integers(0, 2**64, (count, bits // 64), np.uint64, endpoint=False)
    near = count // _NEAR
    words[:near] = words[rng.integers(near, count, near)] ^ flips(rng, rng.integers(1, bits // 4, near), bits)
    different = distinct(words)
    return different[rng.permutation(len(different))]


def queries(words: Words, count: int, radius: int) -> Words:
    """Half of them within the radius of a stored value, half strangers, mixed."""
    bits = words.shape[1] * 64
    rng = np.random.default_rng([SEED, bits, len(words), radius])
    asked = rng.integers(0, 2**64, (count, words.shape[1]), np.uint64, endpoint=False)
    half = count // 2
    changes = rng.integers(0, radius + 1, half)
    asked[:half] = words[rng.integers(0, len(words), half)] ^ flips(rng, changes, bits)
    return asked[rng.permutation(count)]


def flips(rng: np.random.Generator, changes: NDArray[np.int64], bits: int) -> Words:
    """What to XOR values with to change at most so many bits of each."""
    mask = np.zeros((len(changes), bits // 64), np.uint64)
    for step in range(int(changes.max(initial=0))):
        rows = np.flatnonzero(changes > step)
        place = rng.integers(0, bits, len(rows))
        mask[rows, place // 64] ^= np.uint64(1) << (place % 64).astype(np.uint64)
    return mask


def balanced(rng: np.random.Generator, count: int, bits: int) -> list[int]:
    """Values of so many bits of which half are set, as those of perceptual hashes are."""
    places = np.argsort(rng.random((count, bits), np.float32), axis=1)
    return [int.from_bytes(row.tobytes()) for row in np.packbits(places < bits // 2, axis=1)]


def truth(words: Words, query: Words, radius: int) -> list[int]:
    """The stored values within the radius of one query, sorted: every one compared, nothing shared with an engine."""
    distances = np.zeros(len(words), np.uint16)
    for word in range(words.shape[1]):
        distances += np.bitwise_count(words[:, word] ^ query[word])
    return sorted(unpack(words[distances <= radius]))
