"""Where the panels of a picture are, and that their hashes find what they show."""

from __future__ import annotations

from functools import cache

import pytest
from PIL import Image, ImageFilter, ImageOps

from hashdb.domain.signals import SIGNALS_OF_TRANSFORMS, Algorithm, Signal
from hashdb.hashing import hash_picture, hash_transforms
from hashdb.hashing.panels import MOST, find_panels, reduce_for_panels
from hashdb.hashing.pictures import Picture
from hashdb.hashing.windows import Box
from tests.hashing.samples import PHOTOS, draw_picture, encode_picture

SIZE = (480, 360)
NARROW = 31
"""Bits within which panels are asked."""


@cache
def _photo(number: int, width: int, height: int) -> Image.Image:
    return ImageOps.fit(Image.open(PHOTOS[number]).convert("RGB"), (width, height))


def _with(ground: Image.Image, picture: Image.Image, left: int, top: int) -> Image.Image:
    board = ground.copy()
    board.paste(picture, (left, top))
    return board


def _collage() -> Image.Image:
    board = Image.new("RGB", SIZE)
    for place in range(4):
        board.paste(_photo(place + 1, 240, 180), (place % 2 * 240, place // 2 * 180))
    return board


INSET = Box(290, 40, 450, 160)
FRAMED = Box(100, 100, 300, 250)
PICTURES = {
    "collage": (_collage(), Box(240, 0, 480, 180)),
    "inset": (_with(_photo(2, *SIZE), _photo(7, 160, 120), *INSET[:2]), INSET),
    "on its blur": (
        _with(_photo(7, 270, 480).filter(ImageFilter.GaussianBlur(12)), _photo(7, 270, 180), 0, 150),
        Box(0, 150, 270, 330),
    ),
    "in a thin frame": (
        _with(Image.new("RGB", SIZE, "silver"), ImageOps.expand(_photo(7, 200, 150), 3, "black"), 97, 97),
        FRAMED,
    ),
}
"""Pictures, and where a panel is."""


@pytest.mark.parametrize("name", PICTURES)
def test_a_panel_is_found_to_the_pixel(name: str) -> None:
    picture, panel = PICTURES[name]
    found = find_panels(reduce_for_panels(Picture(picture)))
    assert panel in found
    assert len(set(found)) == len(found) <= MOST


def test_many_photographs_have_no_panel() -> None:
    counts = [len(find_panels(reduce_for_panels(Picture(_photo(number, *SIZE))))) for number in range(len(PHOTOS))]
    assert counts.count(0) > len(counts) / 3


@pytest.mark.parametrize("size", [(1, 1), (47, 300), (48, 48), (2000, 60)], ids=str)
@pytest.mark.parametrize("is_flat", [False, True])
def test_pictures_of_any_size_are_looked_at(size: tuple[int, int], is_flat: bool) -> None:
    grey = reduce_for_panels(Picture(Image.new("RGB", size) if is_flat else draw_picture(*size)))
    height, width = grey.shape
    for left, top, right, bottom in find_panels(grey):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def _nearest(found: dict[str, tuple[Signal, ...]], original: Signal, prefix: str) -> int:
    return min(
        signal.distance(original)
        for name, signals in found.items()
        for signal in signals
        if name.startswith(prefix) and signal.algorithm is original.algorithm
    )


@pytest.mark.parametrize("algorithm", [Algorithm.PDQ, Algorithm.PHASH256])
def test_what_a_panel_shows_is_found(algorithm: Algorithm) -> None:
    (original,) = hash_picture(encode_picture(_photo(7, 640, 480)), [algorithm]).signals
    asked = dict(hash_transforms(encode_picture(PICTURES["inset"][0]), [algorithm]).transforms)
    assert _nearest(asked, original, "panel-") <= NARROW
    mirrored = dict(hash_transforms(encode_picture(ImageOps.mirror(PICTURES["inset"][0])), [algorithm]).transforms)
    if algorithm is Algorithm.PHASH256:
        assert _nearest(mirrored, original, "panel-1-mirror") <= NARROW


def test_the_signals_of_all_transforms_fit_into_a_query() -> None:
    for picture, _ in PICTURES.values():
        asked = hash_transforms(encode_picture(picture), [Algorithm.PDQ, Algorithm.PHASH256]).transforms
        assert sum(len(signals) for _, signals in asked) <= SIGNALS_OF_TRANSFORMS
