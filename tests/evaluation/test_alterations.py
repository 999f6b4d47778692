"""Alterations change a picture of any shape as their names say, and always in the same way."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hashdb
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.edits import largest_inside
from hashdb.hashing import Limits
from hashdb.hashing.pictures import read_picture

PHOTO = Path(hashdb.__file__).parent / "photos" / "roman-colosseum.jpg"

every_alteration = pytest.mark.parametrize("name", ALTERATIONS)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    with Image.open(PHOTO) as picture:
        return picture.convert("RGB")


def _ramp(width: int = 400, height: int = 300) -> Image.Image:
    """Red grows to the right and green downwards, one level every two pixels. The colour of a pixel is its place."""
    across, down = np.meshgrid(np.arange(width) // 2, np.arange(height) // 2)
    return Image.fromarray(np.stack([across, down, np.zeros_like(down)], axis=2).astype(np.uint8))


def _pixel(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    pixel = picture.getpixel((x, y))
    assert isinstance(pixel, tuple)
    return pixel


@every_alteration
def test_an_alteration_with_one_seed_gives_the_same_picture_every_time(name: str, photo: Image.Image) -> None:
    before = photo.tobytes()
    once = ALTERATIONS[name].encode(photo, "7:3")
    assert once == ALTERATIONS[name].encode(photo, "7:3")
    assert photo.tobytes() == before


@every_alteration
@pytest.mark.parametrize("size", [(64, 64), (900, 70), (70, 900)])
def test_a_picture_of_any_shape_can_be_altered(name: str, size: tuple[int, int]) -> None:
    altered = ALTERATIONS[name].apply(Image.new("RGB", size, (90, 120, 60)), 1)
    assert altered.mode == "RGB"
    assert min(altered.size) > 0


@every_alteration
def test_an_upload_is_a_picture_that_hashdb_can_read(name: str, photo: Image.Image) -> None:
    alteration = ALTERATIONS[name]
    read = read_picture(alteration.encode(photo), Limits()).colour
    assert read.tobytes() == alteration.apply(photo).tobytes()


@every_alteration
def test_an_alteration_changes_the_picture(name: str, photo: Image.Image) -> None:
    assert ALTERATIONS[name].apply(photo).tobytes() != photo.tobytes()


def test_different_seeds_give_different_pictures(photo: Image.Image) -> None:
    """The side of a crop and the place of a sticker, for example, depend on the seed."""
    for name in ("10 % off one side", "sticker", "border 5 %", "noise 10", "collage of two", "caption above"):
        assert len({ALTERATIONS[name].encode(photo, seed) for seed in range(8)}) > 1, name


def test_a_centred_crop_removes_half_of_its_share_at_each_side() -> None:
    cropped = ALTERATIONS["crop 10 %"].draw_on(_ramp())
    assert cropped.size == (360, 270)
    assert _pixel(cropped, 0, 0)[:2] == (20 // 2, 15 // 2)


def test_a_crop_of_one_side_uses_all_four_sides() -> None:
    outcomes = set()
    for seed in range(20):
        cropped = ALTERATIONS["10 % off one side"].draw_on(_ramp(), seed)
        outcomes.add((cropped.size, _pixel(cropped, 0, 0)[:2]))
    assert outcomes == {
        ((360, 300), (20, 0)),
        ((360, 300), (0, 0)),
        ((400, 270), (0, 15)),
        ((400, 270), (0, 0)),
    }


def test_a_crop_of_a_corner_removes_10_percent_and_5_percent() -> None:
    sizes = {ALTERATIONS["10 % and 5 % off a corner"].draw_on(_ramp(), seed).size for seed in range(20)}
    assert sizes == {(360, 285), (380, 270)}


def test_a_tilted_and_cropped_picture_shows_no_fill() -> None:
    for degrees in (1, 2, 3, 5):
        for seed in range(4):
            cropped = np.asarray(ALTERATIONS[f"tilted {degrees}°, cropped"].draw_on(_filled(), seed))
            assert (cropped == 200).all(), degrees


def test_a_tilted_picture_keeps_its_size_and_shows_the_fill() -> None:
    tilted = ALTERATIONS["tilted 3°"].draw_on(_filled())
    assert tilted.size == (400, 300)
    assert _pixel(tilted, 0, 0) in {(0, 0, 0), (255, 255, 255)}


def test_largest_inside_returns_the_largest_rectangle_in_a_rotated_one() -> None:
    assert largest_inside(400, 300, 0) == (400, 300)
    width, height = largest_inside(100, 100, 45)
    assert (width, height) == pytest.approx((100 / 2**0.5, 100 / 2**0.5))
    slender = largest_inside(1000, 10, 30)
    assert slender == pytest.approx((10, 10 / 3**0.5))


@pytest.mark.parametrize(("name", "sides"), [("letterbox", "vertical"), ("pillarbox", "across")])
def test_bars_are_black_and_do_not_cover_the_picture(name: str, sides: str) -> None:
    framed = ALTERATIONS[name].draw_on(_filled())
    more = (framed.width - 400, framed.height - 300)
    assert (more[0] == 0, more[1] > 0) == ((True, True) if sides == "vertical" else (False, False))
    assert (np.asarray(framed) == 200).all(axis=2).sum() == 400 * 300


def test_a_caption_is_above_or_below_and_does_not_cover_the_picture() -> None:
    for name, top in (("caption above", False), ("caption below", True)):
        framed = ALTERATIONS[name].draw_on(_filled())
        picture = np.asarray(framed) if top else np.asarray(framed)[::-1]
        assert (picture[:300] == 200).all()
        assert len(np.unique(picture[300:])) > 2, "there is text on the bar"


def test_a_screenshot_shows_the_whole_picture(photo: Image.Image) -> None:
    screen = ALTERATIONS["screenshot"].draw_on(_filled())
    assert screen.width == 540
    assert screen.height > 2 * screen.width
    assert (np.asarray(screen) == 200).all(axis=2).sum() >= 540 * 405


def test_a_collage_shows_the_picture_beside() -> None:
    beside = Image.new("RGB", (200, 200), (9, 9, 9))
    board = np.asarray(ALTERATIONS["collage of two"].draw_on(_filled(), beside=beside))
    assert (board == 200).all(axis=2).sum() == (board == 9).all(axis=2).sum() == 400 * 300


def test_only_alterations_marked_so_show_the_picture_beside(photo: Image.Image) -> None:
    """For these a match with the picture beside is right. For all others it is a false match."""
    small = photo.resize((96, 72))
    for alteration in ALTERATIONS.values():
        black, white = (alteration.draw_on(small, 1, Image.new("RGB", (96, 72), grey)) for grey in ("black", "white"))
        assert (black.tobytes() != white.tobytes()) is alteration.shows_beside, alteration.name


def _filled() -> Image.Image:
    return Image.new("RGB", (400, 300), (200, 200, 200))
