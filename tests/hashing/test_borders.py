"""Borders, bars and captions are found. A picture without them is left unchanged."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageOps

from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing.borders import find_borders
from hashdb.hashing.pictures import Picture
from hashdb.hashing.windows import Window
from tests.hashing.samples import PHOTOS, draw_picture

TOLERANCE = 0.02
COLOURS = ["white", "black", "#808080", "#c81e2d"]

on_photos = pytest.mark.parametrize("photo", PHOTOS[:8], ids=lambda photo: photo.name)


def _windows_in(image: Image.Image) -> list[Window]:
    return [window for _, window in find_borders(Picture(image).reduced)]


def _is_near(window: Window, expected: Window) -> bool:
    return max(abs(a - b) for a, b in zip(window, expected, strict=True)) <= TOLERANCE


@pytest.mark.parametrize("colour", COLOURS)
def test_a_border_is_found(colour: str) -> None:
    windows = _windows_in(ImageOps.expand(draw_picture(400, 300), 30, colour))
    inside = Window(30 / 460, 30 / 360, 430 / 460, 330 / 360)
    assert any(_is_near(window, inside) for window in windows)


@pytest.mark.parametrize("colour", COLOURS)
def test_bars_above_and_below_are_found(colour: str) -> None:
    windows = _windows_in(ImageOps.expand(draw_picture(400, 300), (0, 60), colour))
    assert any(_is_near(window, Window(0, 60 / 420, 1, 360 / 420)) for window in windows)


@pytest.mark.parametrize("colour", COLOURS)
def test_bars_at_the_sides_are_found(colour: str) -> None:
    windows = _windows_in(ImageOps.expand(draw_picture(400, 300), (60, 0), colour))
    assert any(_is_near(window, Window(60 / 520, 0, 460 / 520, 1)) for window in windows)


@pytest.mark.parametrize("name", ["caption above", "caption below", "meme (caption, half size, JPEG 40)"])
@pytest.mark.parametrize("seed", range(4))
def test_a_caption_is_found(name: str, seed: int) -> None:
    picture = draw_picture(480, 360, seed=seed)
    altered = ALTERATIONS[name].draw_on(picture, seed)
    share = 1 - picture.height / (altered.height * picture.width / altered.width)
    inside = Window(0, 0, 1, 1 - share) if "below" in name else Window(0, share, 1, 1)
    windows = _windows_in(ALTERATIONS[name].apply(picture, seed))
    assert any(_is_near(window, inside) for window in windows)


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_in_a_screenshot_is_found(seed: int) -> None:
    windows = _windows_in(ALTERATIONS["screenshot"].apply(draw_picture(480, 270, seed=seed), seed))
    assert any(0.2 < window.bottom - window.top < 0.3 and window.right - window.left > 0.98 for window in windows)


def test_a_border_with_jpeg_noise_is_found() -> None:
    windows = _windows_in(ALTERATIONS["border, watermark, JPEG 50"].apply(draw_picture(480, 360), 3))
    assert windows


def test_most_photos_have_no_border() -> None:
    unchanged = sum(not _windows_in(Image.open(photo).convert("RGB")) for photo in PHOTOS)
    assert unchanged >= len(PHOTOS) * 0.6


@pytest.mark.parametrize("colour", COLOURS)
def test_a_flat_picture_has_no_border(colour: str) -> None:
    assert _windows_in(Image.new("RGB", (300, 200), colour)) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 2), (5, 5)], ids=str)
def test_pictures_of_any_size_can_be_searched(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    _windows_in(Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)))


def test_an_object_on_a_plain_background_is_not_cut() -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).ellipse((150, 100, 250, 200), "black")
    for window in _windows_in(image):
        assert window.left <= 150 / 400 + TOLERANCE
        assert window.right >= 250 / 400 - TOLERANCE
