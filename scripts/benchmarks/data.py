"""The stored values, the queries and the correct results, all generated from a seed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hashdb.index.vectors import Words, distinct, unpack

SEED = 20_240
_NEAR = 10
"""One value in this number is a near-duplicate of another."""


def stored_values(count: int, bits: int) -> Words:
    """`count` distinct random values in random order; one in ten is near another. Shape (count, words)."""
    rng = np.random.default_rng([SEED, bits, count])
    words = rng.integers(0, 2**64, (count, bits // 64), np.uint64, endpoint=False)
    near = count // _NEAR
    words[:near] = words[rng.integers(near, count, near)] ^ flip_masks(rng, rng.integers(1, bits // 4, near), bits)
    different = distinct(words)
    return different[rng.permutation(len(different))]


def queries(words: Words, count: int, radius: int) -> Words:
    """`count` queries in random order: half are within the radius of a stored value, half are random."""
    bits = words.shape[1] * 64
    rng = np.random.default_rng([SEED, bits, len(words), radius])
    values = rng.integers(0, 2**64, (count, words.shape[1]), np.uint64, endpoint=False)
    half = count // 2
    changes = rng.integers(0, radius + 1, half)
    values[:half] = words[rng.integers(0, len(words), half)] ^ flip_masks(rng, changes, bits)
    return values[rng.permutation(count)]


def flip_masks(rng: np.random.Generator, changes: NDArray[np.int64], bits: int) -> Words:
    """Masks that flip at most `changes` bits of each value, by XOR."""
    mask = np.zeros((len(changes), bits // 64), np.uint64)
    for step in range(int(changes.max(initial=0))):
        rows = np.flatnonzero(changes > step)
        place = rng.integers(0, bits, len(rows))
        mask[rows, place // 64] ^= np.uint64(1) << (place % 64).astype(np.uint64)
    return mask


def balanced_values(rng: np.random.Generator, count: int, bits: int) -> list[int]:
    """Values with half of their bits set, like perceptual hashes."""
    places = np.argsort(rng.random((count, bits), np.float32), axis=1)
    return [int.from_bytes(row.tobytes()) for row in np.packbits(places < bits // 2, axis=1)]


def matching_values(words: Words, query: Words, radius: int) -> list[int]:
    """The stored values within the radius of a query, sorted. Compares every value, without the code of an engine."""
    distances = np.zeros(len(words), np.uint16)
    for word in range(words.shape[1]):
        distances += np.bitwise_count(words[:, word] ^ query[word])
    return sorted(unpack(words[distances <= radius]))
