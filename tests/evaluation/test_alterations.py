"""Alterations do what their names say, always the same, to a picture of any shape."""

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

of_every_alteration = pytest.mark.parametrize("name", ALTERATIONS)


@pytest.fixture(scope="module")
def photo() -> Image.Image:
    with Image.open(PHOTO) as picture:
        return picture.convert("RGB")


def _ramp(width: int = 400, height: int = 300) -> Image.Image:
    """Red grows to the right and green downwards, by a level every two pixels: a pixel tells where it was."""
    across, down = np.meshgrid(np.arange(width) // 2, np.arange(height) // 2)
    return Image.fromarray(np.stack([across, down, np.zeros_like(down)], axis=2).astype(np.uint8))


def _pixel(picture: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = picture.getpixel((x, y))
    assert isinstance(found, tuple)
    return found


@of_every_alteration
def test_an_alteration_is_the_same_every_time(name: str, photo: Image.Image) -> None:
    before = photo.tobytes()
    once = ALTERATIONS[name].upload(photo, "7:3")
    assert once == ALTERATIONS[name].upload(photo, "7:3")
    assert photo.tobytes() == before


@of_every_alteration
@pytest.mark.parametrize("size", [(64, 64), (900, 70), (70, 900)])
def test_a_picture_of_any_shape_can_be_altered(name: str, size: tuple[int, int]) -> None:
    altered = ALTERATIONS[name].apply(Image.new("RGB", size, (90, 120, 60)), 1)
    assert altered.mode == "RGB"
    assert min(altered.size) > 0


@of_every_alteration
def test_an_upload_is_a_picture_that_hashdb_reads(name: str, photo: Image.Image) -> None:
    alteration = ALTERATIONS[name]
    read = read_picture(alteration.upload(photo), Limits()).colour
    assert read.tobytes() == alteration.apply(photo).tobytes()


@of_every_alteration
def test_an_alteration_changes_the_picture(name: str, photo: Image.Image) -> None:
    assert ALTERATIONS[name].apply(photo).tobytes() != photo.tobytes()


def test_another_seed_is_another_outcome(photo: Image.Image) -> None:
    """Which side is cropped, where a sticker goes: all of it comes up in some seed."""
    for name in ("10 % off one side", "sticker", "border 5 %", "noise 10", "collage of two", "caption above"):
        assert len({ALTERATIONS[name].upload(photo, seed) for seed in range(8)}) > 1, name


def test_a_centred_crop_takes_half_of_its_share_at_each_side() -> None:
    cropped = ALTERATIONS["crop 10 %"].draw_on(_ramp())
    assert cropped.size == (360, 270)
    assert _pixel(cropped, 0, 0)[:2] == (20 // 2, 15 // 2)


def test_a_side_is_cropped_at_each_of_the_four_in_turn() -> None:
    found = set()
    for seed in range(20):
        cropped = ALTERATIONS["10 % off one side"].draw_on(_ramp(), seed)
        found.add((cropped.size, _pixel(cropped, 0, 0)[:2]))
    assert found == {
        ((360, 300), (20, 0)),
        ((360, 300), (0, 0)),
        ((400, 270), (0, 15)),
        ((400, 270), (0, 0)),
    }


def test_a_corner_loses_a_tenth_one_way_and_a_twentieth_the_other() -> None:
    sizes = {ALTERATIONS["10 % and 5 % off a corner"].draw_on(_ramp(), seed).size for seed in range(20)}
    assert sizes == {(360, 285), (380, 270)}


def test_a_tilted_and_cropped_picture_holds_nothing_but_picture() -> None:
    for degrees in (1, 2, 3, 5):
        for seed in range(4):
            cropped = np.asarray(ALTERATIONS[f"tilted {degrees}°, cropped"].draw_on(_filled(), seed))
            assert (cropped == 200).all(), degrees


def test_a_tilted_picture_keeps_its_size_and_shows_the_fill() -> None:
    tilted = ALTERATIONS["tilted 3°"].draw_on(_filled())
    assert tilted.size == (400, 300)
    assert _pixel(tilted, 0, 0) in {(0, 0, 0), (255, 255, 255)}


def test_the_largest_rectangle_inside_a_rotated_one() -> None:
    assert largest_inside(400, 300, 0) == (400, 300)
    width, height = largest_inside(100, 100, 45)
    assert (width, height) == pytest.approx((100 / 2**0.5, 100 / 2**0.5))
    slender = largest_inside(1000, 10, 30)
    assert slender == pytest.approx((10, 10 / 3**0.5))


@pytest.mark.parametrize(("name", "sides"), [("letterbox", "vertical"), ("pillarbox", "across")])
def test_bars_are_black_and_leave_the_picture_whole(name: str, sides: str) -> None:
    framed = ALTERATIONS[name].draw_on(_filled())
    more = (framed.width - 400, framed.height - 300)
    assert (more[0] == 0, more[1] > 0) == ((True, True) if sides == "vertical" else (False, False))
    assert (np.asarray(framed) == 200).all(axis=2).sum() == 400 * 300


def test_a_caption_stands_where_it_is_said_and_leaves_the_picture_whole() -> None:
    for name, top in (("caption above", False), ("caption below", True)):
        framed = ALTERATIONS[name].draw_on(_filled())
        kept = np.asarray(framed) if top else np.asarray(framed)[::-1]
        assert (kept[:300] == 200).all()
        assert len(np.unique(kept[300:])) > 2, "there is text on the bar"


def test_a_screenshot_shows_the_whole_picture(photo: Image.Image) -> None:
    screen = ALTERATIONS["screenshot"].draw_on(_filled())
    assert screen.width == 540
    assert screen.height > 2 * screen.width
    assert (np.asarray(screen) == 200).all(axis=2).sum() >= 540 * 405


def test_a_collage_shows_what_is_put_beside() -> None:
    beside = Image.new("RGB", (200, 200), (9, 9, 9))
    board = np.asarray(ALTERATIONS["collage of two"].draw_on(_filled(), beside=beside))
    assert (board == 200).all(axis=2).sum() == (board == 9).all(axis=2).sum() == 400 * 300


def test_only_what_says_so_shows_what_is_put_beside(photo: Image.Image) -> None:
    """A match with the picture beside is right for these, and a false one for all others."""
    small = photo.resize((96, 72))
    for alteration in ALTERATIONS.values():
        black, white = (alteration.draw_on(small, 1, Image.new("RGB", (96, 72), grey)) for grey in ("black", "white"))
        assert (black.tobytes() != white.tobytes()) is alteration.shows_beside, alteration.name


def _filled() -> Image.Image:
    return Image.new("RGB", (400, 300), (200, 200, 200))
