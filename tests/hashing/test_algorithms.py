"""The hashes of imagehash, as imagehash itself makes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagehash
import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pictures import Picture, read_picture
from tests.hashing.samples import PHOTOS, drawn

BY_IMAGEHASH: dict[Algorithm, Callable[[Image.Image], imagehash.ImageHash]] = {
    Algorithm.PHASH: imagehash.phash,
    Algorithm.PHASH256: lambda image: imagehash.phash(image, hash_size=16),
    Algorithm.DHASH: imagehash.dhash,
    Algorithm.AHASH: imagehash.average_hash,
    Algorithm.WHASH: imagehash.whash,
}


def test_every_algorithm_but_pdq_is_compared() -> None:
    assert BY_IMAGEHASH.keys() == set(Algorithm) - {Algorithm.PDQ}


@pytest.mark.parametrize("algorithm", BY_IMAGEHASH)
@pytest.mark.parametrize("photo", PHOTOS[:6], ids=lambda photo: photo.name)
def test_photos_hash_as_by_imagehash(photo: Path, algorithm: Algorithm) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    assert str(imagehash_signal(picture, algorithm)) == f"{algorithm}:{BY_IMAGEHASH[algorithm](picture.colour)}"


@pytest.mark.parametrize("algorithm", BY_IMAGEHASH)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (7, 3), (64, 64), (1000, 30), (640, 481)], ids=str)
def test_pictures_of_any_size_hash_as_by_imagehash(size: tuple[int, int], algorithm: Algorithm) -> None:
    image = drawn(*size)
    assert str(imagehash_signal(Picture(image), algorithm)) == f"{algorithm}:{BY_IMAGEHASH[algorithm](image)}"


@pytest.mark.parametrize("algorithm", BY_IMAGEHASH)
def test_nothing_of_imagehash_leaves(algorithm: Algorithm) -> None:
    signal = imagehash_signal(Picture(drawn()), algorithm)
    assert signal == Signal.parse(str(signal))
    assert type(signal.value) is int
