"""The panels of a picture are found, and their hashes match the pictures that they show."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
from PIL import Image, ImageFilter, ImageOps

from hashdb.domain.signals import SIGNALS_OF_TRANSFORMS, Algorithm, Signal
from hashdb.hashing import hash_picture, hash_transforms
from hashdb.hashing.panels import MAX_PANELS, find_panels, reduce_for_panels
from hashdb.hashing.pictures import Picture
from hashdb.hashing.windows import Box
from tests.hashing.samples import PHOTOS, draw_picture, encode_picture

SIZE = (480, 360)
PANEL_RADIUS = 31
"""The radius in which the signals of panels are searched."""


@cache
def _photo(number: int, width: int, height: int) -> Image.Image:
    return ImageOps.fit(Image.open(PHOTOS[number]).convert("RGB"), (width, height))


def _pasted(background: Image.Image, picture: Image.Image, left: int, top: int) -> Image.Image:
    board = background.copy()
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
    "inset": (_pasted(_photo(2, *SIZE), _photo(7, 160, 120), *INSET[:2]), INSET),
    "on its blur": (
        _pasted(_photo(7, 270, 480).filter(ImageFilter.GaussianBlur(12)), _photo(7, 270, 180), 0, 150),
        Box(0, 150, 270, 330),
    ),
    "in a thin frame": (
        _pasted(Image.new("RGB", SIZE, "silver"), ImageOps.expand(_photo(7, 200, 150), 3, "black"), 97, 97),
        FRAMED,
    ),
}
"""Pictures, each with the place of one of its panels."""


@pytest.mark.parametrize("name", PICTURES)
def test_a_panel_is_found_at_its_exact_place(name: str) -> None:
    picture, panel = PICTURES[name]
    panels = find_panels(reduce_for_panels(Picture(picture)))
    assert panel in panels
    assert len(set(panels)) == len(panels) <= MAX_PANELS


def test_more_than_a_third_of_the_photographs_have_no_panel() -> None:
    counts = [len(find_panels(reduce_for_panels(Picture(_photo(number, *SIZE))))) for number in range(len(PHOTOS))]
    assert counts.count(0) > len(counts) / 3


@pytest.mark.parametrize("size", [(1, 1), (47, 300), (48, 48), (2000, 60)], ids=str)
@pytest.mark.parametrize("is_flat", [False, True])
def test_panels_of_pictures_of_any_size_are_inside_the_picture(size: tuple[int, int], is_flat: bool) -> None:
    grey = reduce_for_panels(Picture(Image.new("RGB", size) if is_flat else draw_picture(*size)))
    height, width = grey.shape
    for left, top, right, bottom in find_panels(grey):
        assert 0 <= left < right <= width
        assert 0 <= top < bottom <= height


def _nearest(transforms: Mapping[str, tuple[Signal, ...]], original: Signal, prefix: str) -> int:
    return min(
        signal.distance(original)
        for name, signals in transforms.items()
        for signal in signals
        if name.startswith(prefix) and signal.algorithm is original.algorithm
    )


@pytest.mark.parametrize("algorithm", [Algorithm.PDQ, Algorithm.PHASH256])
def test_the_picture_in_a_panel_is_found(algorithm: Algorithm) -> None:
    (original,) = hash_picture(encode_picture(_photo(7, 640, 480)), [algorithm]).signals
    transforms = hash_transforms(encode_picture(PICTURES["inset"][0]), [algorithm]).transforms
    assert _nearest(transforms, original, "panel-") <= PANEL_RADIUS
    mirrored = hash_transforms(encode_picture(ImageOps.mirror(PICTURES["inset"][0])), [algorithm]).transforms
    if algorithm is Algorithm.PHASH256:
        assert _nearest(mirrored, original, "panel-1-mirror") <= PANEL_RADIUS


def test_the_signals_of_all_transforms_fit_into_a_query() -> None:
    for picture, _ in PICTURES.values():
        transforms = hash_transforms(encode_picture(picture), [Algorithm.PDQ, Algorithm.PHASH256]).transforms
        assert sum(map(len, transforms.values())) <= SIGNALS_OF_TRANSFORMS
