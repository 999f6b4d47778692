"""PDQ equals the published vectors and the library pdqhash, which is the reference implementation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing import Limits, hash_file
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture, read_picture
from tests.hashing.samples import NO_REFERENCE, PHOTOS, REFERENCE, draw_picture

PHOTO_VECTORS = json.loads((Path(__file__).parents[1] / "data" / "pdq_vectors.json").read_text())
VECTORS = json.loads((REFERENCE / "vectors.json").read_text()) if REFERENCE.exists() else {}
SIZES = [(500, 375), (375, 500), (64, 64), (65, 63), (127, 129), (129, 257), (900, 40), (33, 1200), (1024, 768)]


def _hash_with_pdqhash(image: Image.Image) -> tuple[Signal, int]:
    pdqhash = pytest.importorskip("pdqhash", reason="pdqhash, the oracle of PDQ, is not installed")
    bits, quality = pdqhash.compute(np.asarray(image))
    return Signal.from_bytes(Algorithm.PDQ, np.packbits(bits).tobytes()), quality


@pytest.mark.parametrize("name", VECTORS or [pytest.param("", marks=pytest.mark.skip(NO_REFERENCE))])
def test_a_reference_picture_has_its_published_hash_and_quality(name: str) -> None:
    hashed = hash_file(REFERENCE / name, [Algorithm.PDQ], Limits())
    assert (str(hashed.signals[0]), hashed.quality) == (f"pdq:{VECTORS[name]['pdq']}", VECTORS[name]["quality"])


@pytest.mark.parametrize("name", PHOTO_VECTORS)
def test_a_photo_of_the_package_has_its_recorded_pdqhash_result(name: str) -> None:
    hashed = hash_file(PHOTOS[0].with_name(name), [Algorithm.PDQ], Limits())
    assert (str(hashed.signals[0]), hashed.quality) == (
        f"pdq:{PHOTO_VECTORS[name]['pdq']}",
        PHOTO_VECTORS[name]["quality"],
    )


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
def test_photos_have_the_same_hashes_as_in_pdqhash(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    assert pdq(picture) == _hash_with_pdqhash(picture.colour)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("seed", range(5))
def test_pictures_of_any_size_have_the_same_hashes_as_in_pdqhash(size: tuple[int, int], seed: int) -> None:
    image = draw_picture(*size, seed)
    assert pdq(Picture(image)) == _hash_with_pdqhash(image)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_noise_has_the_same_hashes_as_in_pdqhash(size: tuple[int, int]) -> None:
    width, height = size
    image = Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8))
    assert pdq(Picture(image)) == _hash_with_pdqhash(image)


@pytest.mark.parametrize("size", [(1, 1), (4, 300), (300, 4)], ids=str)
def test_a_picture_too_small_to_hash_has_quality_0(size: tuple[int, int]) -> None:
    image = draw_picture(*size)
    assert pdq(Picture(image)) == (Signal(Algorithm.PDQ, 0), 0) == _hash_with_pdqhash(image)


@pytest.mark.parametrize("colour", ["black", "white", "teal"])
def test_a_flat_picture_has_quality_0(colour: str) -> None:
    assert pdq(Picture(Image.new("RGB", (400, 300), colour)))[1] == 0


@pytest.mark.parametrize("photo", PHOTOS[:6], ids=lambda photo: photo.name)
def test_half_of_the_bits_of_a_photo_are_set(photo: Path) -> None:
    signal, _ = pdq(read_picture(photo.read_bytes(), Limits()))
    assert signal.value.bit_count() == 128
