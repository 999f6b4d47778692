"""Two items side by side: pairs of hashes, and where one picture is part of the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import pytest
from PIL import Image

from hashdb.domain.matching.comparisons import ORIENTATIONS, nearest_pairs, overlay, own_pairs
from hashdb.domain.signals import Algorithm
from hashdb.domain.signatures import Signature
from hashdb.hashing import Mode, hash_as
from hashdb.hashing.pictures import Limits, Picture, read_picture
from hashdb.hashing.signatures import signatures
from hashdb.hashing.transforms import ORIENTATION_NAMES
from tests.builders import near, signal, signature, sparse
from tests.hashing.samples import PHOTOS, encode_picture

PHOTO, OTHER = (read_picture(photo.read_bytes(), Limits()).colour for photo in PHOTOS[1:9:7])
TURNS = {
    "whole": None,
    "mirror": Image.Transpose.FLIP_LEFT_RIGHT,
    "rotate-90": Image.Transpose.ROTATE_90,
    "transverse": Image.Transpose.TRANSVERSE,
}


@cache
def queried() -> Mapping[str, Sequence[Signature]]:
    """The signatures of the photograph and of all its transforms."""
    return hash_as(encode_picture(PHOTO), [Algorithm.PHASH256], Limits(), Mode.TRANSFORMS).signatures


def listed(picture: Image.Image) -> Sequence[Signature]:
    """The signatures that a contribution of a picture stores."""
    return signatures(Picture(picture))


def test_the_hashes_of_two_items_are_paired_by_algorithm() -> None:
    md5 = signal(1, Algorithm.MD5)
    queried = signal(1), signal(9), sparse(1), md5
    pairs = own_pairs(queried, [near(signal(1), 31), signal(9), near(sparse(1), 30), signal(2, Algorithm.PHASH), md5])
    assert [(pair.queried, pair.bits, pair.radius, pair.agrees) for pair in pairs] == [
        (signal(1), 31, 31, True),
        # As in a match, sparse hashes have a smaller radius.
        (sparse(1), 30, 28, False),
    ]


def test_each_view_is_paired_with_the_nearest_hash_and_its_own_radius() -> None:
    hash = signal(1, Algorithm.PHASH256)
    stored = [signal(2, Algorithm.PHASH256), signal(3), near(hash, 40)]
    views = {
        "whole": [signal(5, Algorithm.PHASH256), signal(3)],
        "mirror": [hash],
        "tile-left": [hash],
        "cut-top": [signal(4, Algorithm.PHASH)],
    }
    pairs = nearest_pairs(views, stored)
    assert [(pair.view, pair.part, pair.bits, pair.radius, pair.agrees) for pair in pairs] == [
        ("whole", 0, 0, 31, True),
        ("mirror", 1, 40, 46, True),
        ("tile-left", 1, 40, 31, False),
        ("whole", 1, 128, 46, False),
    ]


@pytest.mark.parametrize("view", TURNS)
def test_a_cropped_turned_part_is_placed_where_it_was_cropped(view: str) -> None:
    window = (0.1, 0.05, 0.85, 0.9)
    turn = TURNS[view]
    whole = PHOTO if turn is None else PHOTO.transpose(turn)
    left, top, right, bottom = (round(edge * side) for edge, side in zip(window, whole.size * 2, strict=True))
    part = whole.crop((left, top, right, bottom))
    comparison = overlay(queried(), listed(part))
    assert comparison is not None
    assert (comparison.view, comparison.placement.is_first_larger) == (view, True)
    assert comparison.placement.window == pytest.approx(window, abs=0.03)


def test_every_orientation_of_a_query_is_tried() -> None:
    assert ("whole", *ORIENTATION_NAMES) == ORIENTATIONS


def test_different_pictures_have_no_overlay() -> None:
    assert overlay(queried(), listed(OTHER)) is None
    assert overlay({"whole": [signature(1)]}, []) is None
