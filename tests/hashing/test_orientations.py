"""The hashes of a mirrored or turned picture, from the transform of the picture as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pdq import pdq, pdq_coefficients, pdq_signal
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.transforms import NAMES, orientations
from hashdb.hashing.windows import phash256_signal, whole_coefficients
from tests.hashing.samples import PHOTOS

TURNS = {
    "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
    "flip": Image.Transpose.FLIP_TOP_BOTTOM,
    "rotate-180": Image.Transpose.ROTATE_180,
    "transpose": Image.Transpose.TRANSPOSE,
    "rotate-90": Image.Transpose.ROTATE_90,
    "rotate-270": Image.Transpose.ROTATE_270,
    "transverse": Image.Transpose.TRANSVERSE,
}
PHASH256_BITS, PDQ_BITS = 6, 30
"""imagehash samples rows first, and PDQ left of the middle: neither treats all sides alike."""

on_photos = pytest.mark.parametrize("photo", PHOTOS[:8], ids=lambda photo: photo.name)


@on_photos
def test_phash256_of_a_turned_picture_is_what_imagehash_says(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    for name, coefficients in orientations(whole_coefficients(picture)):
        turned = imagehash_signal(Picture(picture.colour.transpose(TURNS[name])), Algorithm.PHASH256)
        assert phash256_signal(coefficients).distance(turned) <= PHASH256_BITS, name


@on_photos
def test_pdq_of_a_turned_picture_is_within_its_radius(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    for name, coefficients in orientations(pdq_coefficients(picture.sampled), lowest=1):
        turned, _ = pdq(Picture(picture.colour.transpose(TURNS[name])))
        assert pdq_signal(coefficients).distance(turned) <= PDQ_BITS, name


@on_photos
def test_mirrored_and_flipped_phash256_is_bit_for_bit(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    for name, coefficients in orientations(whole_coefficients(picture)):
        if name in ("mirror", "flip", "rotate-180"):
            turned = Picture(picture.colour.transpose(TURNS[name]))
            assert phash256_signal(coefficients) == imagehash_signal(turned, Algorithm.PHASH256), name


def test_all_eight_orientations_are_named() -> None:
    assert set(NAMES) == set(TURNS)
