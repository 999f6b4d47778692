"""Borders, bars and captions are found; a picture without them is left as it is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing.borders import find_borders
from hashdb.hashing.pictures import Picture
from hashdb.hashing.windows import Window
from tests.hashing.samples import PHOTOS, draw_picture

CLOSE = 0.02
COLOURS = ["white", "black", "#808080", "#c81e2d"]

on_photos = pytest.mark.parametrize("photo", PHOTOS[:8], ids=lambda photo: photo.name)


def _found(image: Image.Image) -> list[Window]:
    return [window for _, window in find_borders(Picture(image).reduced)]


def _near(one: Window, other: Window) -> bool:
    return max(abs(a - b) for a, b in zip(one, other, strict=True)) <= CLOSE


@pytest.mark.parametrize("colour", COLOURS)
def test_a_border_is_found(colour: str) -> None:
    found = _found(ImageOps.expand(draw_picture(400, 300), 30, colour))
    inside = Window(30 / 460, 30 / 360, 430 / 460, 330 / 360)
    assert any(_near(window, inside) for window in found)


@pytest.mark.parametrize("colour", COLOURS)
def test_bars_above_and_below_are_found(colour: str) -> None:
    found = _found(ImageOps.expand(draw_picture(400, 300), (0, 60), colour))
    assert any(_near(window, Window(0, 60 / 420, 1, 360 / 420)) for window in found)


@pytest.mark.parametrize("colour", COLOURS)
def test_bars_at_the_sides_are_found(colour: str) -> None:
    found = _found(ImageOps.expand(draw_picture(400, 300), (60, 0), colour))
    assert any(_near(window, Window(60 / 520, 0, 460 / 520, 1)) for window in found)


@pytest.mark.parametrize("name", ["caption above", "caption below", "meme (caption, half size, JPEG 40)"])
@pytest.mark.parametrize("seed", range(4))
def test_a_caption_is_found(name: str, seed: int) -> None:
    picture = draw_picture(480, 360, seed=seed)
    altered = ALTERATIONS[name].draw_on(picture, seed)
    share = 1 - picture.height / (altered.height * picture.width / altered.width)
    inside = Window(0, 0, 1, 1 - share) if "below" in name else Window(0, share, 1, 1)
    found = _found(ALTERATIONS[name].apply(picture, seed))
    assert any(_near(window, inside) for window in found)


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_in_a_screenshot_is_found(seed: int) -> None:
    found = _found(ALTERATIONS["screenshot"].apply(draw_picture(480, 270, seed=seed), seed))
    assert any(0.2 < window.bottom - window.top < 0.3 and window.right - window.left > 0.98 for window in found)


def test_a_border_with_noise_of_jpeg_is_found() -> None:
    found = _found(ALTERATIONS["border, watermark, JPEG 50"].apply(draw_picture(480, 360), 3))
    assert found


def test_most_photos_are_left_as_they_are() -> None:
    left = sum(not _found(Image.open(photo).convert("RGB")) for photo in PHOTOS)
    assert left >= len(PHOTOS) * 0.6


@pytest.mark.parametrize("colour", COLOURS)
def test_there_is_nothing_in_a_flat_picture(colour: str) -> None:
    assert _found(Image.new("RGB", (300, 200), colour)) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 2), (5, 5)], ids=str)
def test_pictures_of_any_size_can_be_looked_at(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    _found(Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)))


def test_an_object_before_a_plain_ground_stays_in_one_piece() -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).ellipse((150, 100, 250, 200), "black")
    for window in _found(image):
        assert window.left <= 150 / 400 + CLOSE
        assert window.right >= 250 / 400 - CLOSE
