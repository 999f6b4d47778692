"""phash256 of a part of a picture, computed from the reduced picture, is close to that of the cropped part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Limits
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.pictures import REDUCED, Picture, read_picture
from hashdb.hashing.windows import (
    WHOLE,
    Window,
    coefficients,
    crop,
    phash256_signal,
    rotate,
    whole_coefficients,
)
from tests.hashing.samples import PHOTOS, draw_picture

MAX_DISTANCE = 12


def _photo(path: Path) -> Picture:
    return read_picture(path.read_bytes(), Limits())


@pytest.mark.parametrize("photo", PHOTOS, ids=lambda photo: photo.name)
def test_the_whole_picture_has_the_same_hash_as_in_imagehash(photo: Path) -> None:
    picture = _photo(photo)
    assert phash256_signal(whole_coefficients(picture)) == imagehash_signal(picture, Algorithm.PHASH256)


@pytest.mark.parametrize("window", [WHOLE, Window(0.1, 0.1, 0.9, 0.9), Window(0.25, 0, 1, 0.75)], ids=str)
@pytest.mark.parametrize("photo", PHOTOS[:6], ids=lambda photo: photo.name)
def test_a_part_has_nearly_the_hash_of_the_cropped_picture(photo: Path, window: Window) -> None:
    picture = _photo(photo)
    width, height = picture.colour.size
    box = (round(window.left * width), round(window.top * height), round(window.right * width))
    cropped = picture.colour.crop((*box, round(window.bottom * height)))
    signal = phash256_signal(coefficients(picture.reduced, window))
    assert signal.distance(imagehash_signal(Picture(cropped), Algorithm.PHASH256)) <= MAX_DISTANCE


@pytest.mark.parametrize("size", [(1000, 500), (320, 320), (40, 30), (2000, 3)], ids=str)
def test_a_reduced_picture_keeps_its_proportions(size: tuple[int, int]) -> None:
    height, width = Picture(draw_picture(*size)).reduced.shape
    assert max(width, height) == min(REDUCED, max(size))
    assert abs(width / size[0] - height / size[1]) * min(size) <= 1


def test_the_window_of_a_rotated_picture_has_no_empty_corners() -> None:
    white = np.full((240, 320), 255, np.float32)
    pixels, window = rotate(white, 5)
    height, width = pixels.shape
    left, right = round(window.left * width), round(window.right * width)
    top, bottom = round(window.top * height), round(window.bottom * height)
    assert pixels.min() == 0
    assert pixels[top + 1 : bottom - 1, left + 1 : right - 1].min() > 250
    assert (right - left) * (bottom - top) > 0.7 * pixels.size


def test_a_narrow_picture_is_rotated_without_cropping() -> None:
    assert rotate(np.zeros((10, 320), np.float32), 5)[1] == WHOLE


def test_the_size_of_a_cropped_part_is_limited() -> None:
    assert crop(Image.new("RGB", (4000, 3000)), Window(0, 0, 1, 0.5)).size == (1024, 384)
    assert crop(Image.new("RGB", (400, 300)), Window(0.5, 0, 1, 1)).size == (200, 300)
