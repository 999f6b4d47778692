"""Transforms undo likely alterations, so that a query finds the original picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import Limits, hash_picture, hash_transforms
from hashdb.hashing.pictures import Picture, read_picture
from hashdb.hashing.transforms import look_inside, transforms
from tests.hashing.samples import PHOTOS, draw_picture, encode_picture

UNDOING_TRANSFORMS = {
    "mirrored": "mirror",
    "flipped": "flip",
    "turned 90°": "rotate-270",
    "turned 180°": "rotate-180",
    "turned 270°": "rotate-90",
    "border 5 %": "border",
    "letterbox": "border",
    "pillarbox": "border",
    "caption above": "caption",
    "caption below": "caption",
    "inverted": "invert",
}
"""For each alteration, the transform that finds the original."""


def _transforms(
    picture: Picture, algorithms: Sequence[Algorithm] = OF_PICTURES
) -> list[tuple[str, tuple[Signal, ...]]]:
    return list(transforms(picture, algorithms, look_inside(picture)))


def _nearest(signals: tuple[Signal, ...], original: Signal) -> int:
    return min(signal.distance(original) for signal in signals if signal.algorithm is original.algorithm)


@pytest.mark.parametrize("algorithm", [Algorithm.PDQ, Algorithm.PHASH256])
@pytest.mark.parametrize("name", UNDOING_TRANSFORMS)
@pytest.mark.parametrize("photo", PHOTOS[1:9:3], ids=lambda photo: photo.name)
def test_a_transform_undoes_the_alteration(photo: Path, name: str, algorithm: Algorithm) -> None:
    picture = read_picture(photo.read_bytes(), Limits())
    (original,) = hash_picture(photo.read_bytes(), [algorithm]).signals
    query = hash_transforms(ALTERATIONS[name].encode(picture.colour, 1), [algorithm])
    assert original.distance(query.signals[0]) > algorithm.radius
    assert _nearest(query.transforms[UNDOING_TRANSFORMS[name]], original) <= algorithm.radius


def test_a_mirrored_picture_with_a_caption_is_found() -> None:
    photo = read_picture(PHOTOS[1].read_bytes(), Limits()).colour
    mirrored = ALTERATIONS["mirrored"].draw_on(photo)
    (original,) = hash_picture(PHOTOS[1].read_bytes(), [Algorithm.PHASH256]).signals
    query = hash_transforms(ALTERATIONS["caption above"].encode(mirrored, 1), [Algorithm.PHASH256])
    assert _nearest(query.transforms["caption-mirror"], original) <= Algorithm.PHASH256.radius


def test_transforms_do_not_change_the_first_signals_of_a_picture() -> None:
    octets = encode_picture(draw_picture())
    plain, query = hash_picture(octets, OF_PICTURES), hash_transforms(octets, OF_PICTURES)
    assert (plain.signals, plain.quality) == (query.signals, query.quality)
    assert plain.transforms == {}


def test_only_256_bit_algorithms_have_transforms() -> None:
    algorithms = {signal.algorithm for _, signals in _transforms(Picture(draw_picture())) for signal in signals}
    assert algorithms == {Algorithm.PDQ, Algorithm.PHASH256}
    assert _transforms(Picture(draw_picture()), [Algorithm.PHASH]) == []


@pytest.mark.parametrize("size", [(5, 5), (1000, 6), (64, 64)], ids=str)
def test_pictures_of_any_size_have_transforms_with_distinct_names(size: tuple[int, int]) -> None:
    names = [name for name, _ in _transforms(Picture(draw_picture(*size)))]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    "image",
    [draw_picture(1, 1), draw_picture(4, 300), Image.new("RGB", (300, 200), "grey")],
    ids=lambda image: str(image.size),
)
def test_a_flat_or_tiny_picture_has_no_transforms(image: Image.Image) -> None:
    assert hash_transforms(encode_picture(image), OF_PICTURES).transforms == {}
