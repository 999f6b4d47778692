"""A picture that is tilted on a plain background, or photographed from the side, is laid straight."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hashdb.domain.signals import Algorithm, Signal
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import hash_picture, hash_transforms
from hashdb.hashing.corners import straighten
from hashdb.hashing.pictures import Picture
from tests.hashing.samples import PHOTOS, draw_picture, encode_picture

RADIUS = Algorithm.PHASH256.radius


def _photo(number: int) -> Image.Image:
    return Image.open(PHOTOS[number]).convert("RGB").resize((480, 360))


def _nearest(upload: bytes, original: Signal) -> int:
    views = hash_transforms(upload, [original.algorithm]).transforms
    return min(
        signal.distance(original) for name, signals in views.items() if name.startswith("flat") for signal in signals
    )


@pytest.mark.parametrize("name", ["tilted 10°, whole", "tilted 20°, whole", "tilted 45°, whole"])
@pytest.mark.parametrize("number", [4, 7, 10])
def test_a_tilted_picture_is_found(number: int, name: str) -> None:
    photo = _photo(number)
    (original,) = hash_picture(encode_picture(photo), [Algorithm.PHASH256]).signals
    assert _nearest(ALTERATIONS[name].encode(photo, 1), original) <= RADIUS


def test_a_picture_photographed_from_the_side_is_straightened() -> None:
    photo = _photo(7)
    perspective = (1.5, 0.06, -100, 0.08, 1.5, -90, 0.0003, 0.0002)
    oblique = photo.transform(
        (480, 360), Image.Transform.PERSPECTIVE, perspective, Image.Resampling.BICUBIC, fillcolor="silver"
    )
    straight = straighten(Picture(oblique).reduced)
    assert straight is not None
    height, width = straight.shape
    whole = np.asarray(photo.convert("L").resize((width, height)), np.float32)
    assert np.corrcoef(straight.ravel(), whole.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (320, 240)], ids=str)
def test_a_picture_without_a_background_is_not_straightened(size: tuple[int, int]) -> None:
    assert straighten(Picture(draw_picture(*size)).reduced) is None
    assert straighten(Picture(Image.new("RGB", size, "teal")).reduced) is None
