"""The perceptual hashes equal those that the library imagehash computes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pytest
import scipy.fftpack
from numpy.typing import NDArray
from PIL import Image

from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal, low_frequencies, phash_bits
from hashdb.hashing.pictures import Picture, read_picture
from tests.hashing.samples import PHOTOS, draw_picture

IMAGEHASH_FUNCTIONS: dict[Algorithm, Callable[[Image.Image], imagehash.ImageHash]] = {
    Algorithm.PHASH: imagehash.phash,
    Algorithm.PHASH256: lambda image: imagehash.phash(image, hash_size=16),
    Algorithm.DHASH: imagehash.dhash,
    Algorithm.AHASH: imagehash.average_hash,
    Algorithm.WHASH: imagehash.whash,
}


def test_every_picture_algorithm_except_pdq_is_compared_with_imagehash() -> None:
    assert IMAGEHASH_FUNCTIONS.keys() == set(OF_PICTURES) - {Algorithm.PDQ}


@pytest.mark.parametrize("algorithm", IMAGEHASH_FUNCTIONS)
@pytest.mark.parametrize("photo", PHOTOS[:6], ids=lambda photo: photo.name)
def test_photos_have_the_same_hashes_as_in_imagehash(photo: Path, algorithm: Algorithm) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    assert str(imagehash_signal(picture, algorithm)) == f"{algorithm}:{IMAGEHASH_FUNCTIONS[algorithm](picture.colour)}"


@pytest.mark.parametrize("algorithm", IMAGEHASH_FUNCTIONS)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 3), (64, 64), (1000, 30), (640, 481)], ids=str)
def test_pictures_of_any_size_have_the_same_hashes_as_in_imagehash(size: tuple[int, int], algorithm: Algorithm) -> None:
    image = draw_picture(*size)
    assert str(imagehash_signal(Picture(image), algorithm)) == f"{algorithm}:{IMAGEHASH_FUNCTIONS[algorithm](image)}"


@pytest.mark.parametrize("algorithm", IMAGEHASH_FUNCTIONS)
def test_the_value_of_a_signal_is_a_plain_int(algorithm: Algorithm) -> None:
    signal = imagehash_signal(Picture(draw_picture()), algorithm)
    assert signal == Signal.parse(str(signal))
    assert type(signal.value) is int


Grey = NDArray[np.uint8]
GREYS: dict[str, Callable[[Grey], Grey]] = {
    "noise": lambda noise: noise,
    "plain": lambda noise: np.full_like(noise, noise[0, 0]),
    "striped across": lambda noise: np.repeat(noise[:1], len(noise), axis=0),
    "striped down": lambda noise: np.repeat(noise[:, :1], len(noise), axis=1),
    "symmetric": lambda noise: noise // 2 + noise[::-1] // 2,
    "black and white": lambda noise: (noise > 127).astype(np.uint8) * 255,
    "two halves": lambda noise: np.where(np.arange(len(noise)) < noise[0, 0] % len(noise), noise[:1].T, noise[0, 1]),
}


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("kind", GREYS)
def test_phash_coefficients_equal_scipy_and_phash_bits_equal_imagehash(kind: str, size: int) -> None:
    rng = np.random.default_rng(7)
    for _ in range(50):
        grey = GREYS[kind](rng.integers(0, 256, (size, size), np.uint8)).astype(np.uint8)
        kept = size // 4
        expected = scipy.fftpack.dct(grey.astype(np.float64), axis=1)[:, :kept]
        assert np.array_equal(low_frequencies(grey.astype(np.float64)), expected)
        assert np.array_equal(phash_bits(grey), imagehash.phash(Image.fromarray(grey), hash_size=kept).hash)
