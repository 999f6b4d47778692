"""phash in NumPy, beside SciPy's cosine transform and imagehash, also where the coefficients are rounding noise."""

from __future__ import annotations

from collections.abc import Callable

import imagehash
import numpy as np
import pytest
import scipy.fftpack
from numpy.typing import NDArray
from PIL import Image

from hashdb.hashing.phash import low_frequencies, phash_bits

Grey = NDArray[np.uint8]
MADE: dict[str, Callable[[Grey], Grey]] = {
    "noise": lambda noise: noise,
    "plain": lambda noise: np.full_like(noise, noise[0, 0]),
    "striped across": lambda noise: np.repeat(noise[:1], len(noise), axis=0),
    "striped down": lambda noise: np.repeat(noise[:, :1], len(noise), axis=1),
    "symmetric": lambda noise: noise // 2 + noise[::-1] // 2,
    "black and white": lambda noise: (noise > 127).astype(np.uint8) * 255,
    "two halves": lambda noise: np.where(np.arange(len(noise)) < noise[0, 0] % len(noise), noise[:1].T, noise[0, 1]),
}


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("kind", MADE)
def test_coefficients_and_bits_are_those_of_scipy_and_imagehash(kind: str, size: int) -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        grey = MADE[kind](rng.integers(0, 256, (size, size), np.uint8)).astype(np.uint8)
        kept = size // 4
        expected = scipy.fftpack.dct(grey.astype(np.float64), axis=1)[:, :kept]
        assert np.array_equal(low_frequencies(grey.astype(np.float64)), expected)
        assert np.array_equal(phash_bits(grey), imagehash.phash(Image.fromarray(grey), hash_size=kept).hash)
