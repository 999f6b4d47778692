"""Cuts of a cropped query equal parts that a contribution stores, so that a crop is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from hashdb.domain.matching.matches import transform_radius
from hashdb.domain.signals import Algorithm, Profile, Signal
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import Limits, hash_transforms
from hashdb.hashing.cuts import cuts
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.variants import variants
from tests.hashing.samples import PHOTOS, draw_picture

MATCHING_CUTS = {
    "to a square": {"shape"},
    "to 40 % of the area": {"cut-all"},
    "25 % off one side": {"cut-left", "cut-top", "cut-right", "cut-bottom"},
    "black box over 20 %": {"tile-left", "tile-top", "tile-right", "tile-bottom"},
    "tilted 10°, cropped": {"turn-left", "turn-right"},
}


def _matching_views(transforms: list[tuple[str, tuple[Signal, ...]]], stored: list[Signal]) -> set[str]:
    """The names of the views that are within their radius of a stored signal."""
    return {
        name
        for name, signals in transforms
        for signal in signals
        if min(map(signal.distance, stored)) <= transform_radius(name, signal.algorithm)
    }


@pytest.mark.parametrize("name", MATCHING_CUTS)
@pytest.mark.parametrize("photo", PHOTOS[:3], ids=lambda photo: photo.name)
def test_a_cropped_picture_is_found(photo: Path, name: str) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    copy = read_picture(ALTERATIONS[name].encode(picture.colour, 3), Limits())
    assert _matching_views(list(cuts(copy)), list(variants(picture, Profile.BALANCED))) & MATCHING_CUTS[name]


def test_cuts_match_no_other_picture() -> None:
    stored = [
        signal
        for photo in PHOTOS[:3]
        for signal in variants(read_picture(photo.read_bytes(), Limits()), Profile.THOROUGH)
    ]
    for photo in PHOTOS[3:6]:
        assert not _matching_views(list(cuts(read_picture(photo.read_bytes(), Limits()))), stored)


def test_a_query_has_cuts_only_if_phash256_is_requested() -> None:
    octets = PHOTOS[0].read_bytes()
    names = {name for name, _ in cuts(read_picture(octets, Limits()))}
    assert names <= hash_transforms(octets, [Algorithm.PHASH256]).transforms.keys()
    assert names.isdisjoint(hash_transforms(octets, [Algorithm.PDQ]).transforms)


def test_a_part_without_detail_is_not_queried() -> None:
    image = Image.new("RGB", (400, 300), "white")
    image.paste(draw_picture(200, 300), (0, 0))
    names = {name for name, _ in cuts(Picture(image))}
    assert "tile-left" in names
    assert "tile-right" not in names


@pytest.mark.parametrize("size", [(1, 1), (4, 300), (5, 5), (1000, 6), (6, 1000)], ids=str)
def test_cuts_of_pictures_of_any_size_are_valid(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "white")
    assert list(cuts(Picture(image))) == []
    ImageDraw.Draw(image).line((0, 0, *size), "black")
    assert all(signal.fault() is None for _, signals in cuts(Picture(image)) for signal in signals)
