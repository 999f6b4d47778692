"""The hashes of a mirrored or rotated picture are computed from the coefficients of the original."""

from __future__ import annotations

from pathlib import Path

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pdq import pdq, pdq_coefficients, pdq_signal
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.transforms import ORIENTATION_NAMES, orientations
from hashdb.hashing.windows import phash256_signal, whole_coefficients
from tests.hashing.samples import ORIENTATIONS, PHOTOS

PHASH256_DISTANCE, PDQ_DISTANCE = 6, 30
"""The most bits that may differ. imagehash samples rows first, and PDQ left of the middle: neither is symmetric."""

on_photos = pytest.mark.parametrize("photo", PHOTOS[:8], ids=lambda photo: photo.name)


@on_photos
def test_phash256_of_a_rotated_picture_is_close_to_imagehash(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    for name, coefficients in orientations(whole_coefficients(picture)):
        rotated = imagehash_signal(Picture(picture.colour.transpose(ORIENTATIONS[name])), Algorithm.PHASH256)
        assert phash256_signal(coefficients).distance(rotated) <= PHASH256_DISTANCE, name


@on_photos
def test_pdq_of_a_rotated_picture_is_close_to_pdq_of_its_pixels(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    for name, coefficients in orientations(pdq_coefficients(picture.sampled), lowest=1):
        rotated, _ = pdq(Picture(picture.colour.transpose(ORIENTATIONS[name])))
        assert pdq_signal(coefficients).distance(rotated) <= PDQ_DISTANCE, name


@on_photos
def test_phash256_of_a_mirrored_or_flipped_picture_equals_imagehash(photo: Path) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    for name, coefficients in orientations(whole_coefficients(picture)):
        if name in ("mirror", "flip", "rotate-180"):
            rotated = Picture(picture.colour.transpose(ORIENTATIONS[name]))
            assert phash256_signal(coefficients) == imagehash_signal(rotated, Algorithm.PHASH256), name


def test_every_orientation_has_a_name() -> None:
    assert set(ORIENTATION_NAMES) == set(ORIENTATIONS)
