"""Videos inside a part of another video: where they are, and the hashes of what they show."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from PIL import Image, ImageFilter

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Hashed
from hashdb.hashing.algorithms import imagehash_signal
from hashdb.hashing.insets import find_insets, with_insets
from hashdb.hashing.pdq import pdq
from hashdb.hashing.pictures import Picture
from hashdb.hashing.videos import HashedFrame
from tests.hashing.samples import PHOTOS

FRAMES = 8
"""Of a stretch: two seconds with four frames a second."""


@cache
def _photo(number: int) -> Image.Image:
    return Image.open(PHOTOS[number]).convert("RGB").resize((800, 600))


def pan(number: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Frames that move over a photograph."""
    for step in range(FRAMES):
        left, top = 40 + 9 * step, 60 + 5 * step
        yield _photo(number).crop((left, top, left + 640, top + 360)).resize(size)


def inside(place: tuple[int, int, int, int]) -> list[Image.Image]:
    """Frames of 320 x 180, with another video at this place (left, top, right, bottom)."""
    frames = list(pan(10, (320, 180)))
    for frame, inset in zip(frames, pan(7, (place[2] - place[0], place[3] - place[1])), strict=True):
        frame.paste(inset, place[:2])
    return frames


def on_blur() -> list[Image.Image]:
    """Upright frames with a wide video in the middle, above and below which it is shown again, blurred."""
    frames = []
    for wide in pan(7, (180, 100)):
        frame = wide.resize((180, 320)).filter(ImageFilter.GaussianBlur(7))
        frame.paste(wide, (0, 110))
        frames.append(frame)
    return frames


def found(frames: list[Image.Image]) -> list[tuple[int, ...]]:
    """The places of the insets, in pixels."""
    width, height = frames[0].size
    windows = find_insets([Picture(frame).reduced for frame in frames])
    return [tuple(round(edge * side) for edge, side in zip(one, (width, height) * 2, strict=True)) for one in windows]


def is_at(place: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return max(abs(one - other) for one, other in zip(place, expected, strict=True)) <= 1


@pytest.mark.parametrize("place", [(150, 10, 310, 100), (10, 110, 116, 170), (80, 45, 240, 135), (0, 0, 160, 90)])
def test_a_picture_in_a_picture_is_found_at_its_place(place: tuple[int, int, int, int]) -> None:
    assert is_at(found(inside(place))[0], place)


def test_a_wide_video_between_blurred_bars_is_found() -> None:
    assert is_at(found(on_blur())[0], (0, 110, 180, 210))


def test_a_video_without_an_inset_has_none() -> None:
    for number in (7, 9, 10):
        assert found(list(pan(number, (320, 180)))) == []


def test_little_or_few_frames_have_none() -> None:
    frames = inside((150, 10, 310, 100))
    assert found(frames[:1]) == []
    assert found([frame.resize((80, 45)) for frame in frames]) == []


def _hashed(frames: list[Image.Image], interval: float = 0.25) -> list[HashedFrame]:
    pictures = [Picture(frame) for frame in frames]
    plain = [
        HashedFrame(number, number * interval, True, Hashed((pdq(picture)[0],), 90))
        for number, picture in enumerate(pictures)
    ]
    return list(with_insets(zip(plain, pictures, strict=True)))


def test_the_inset_and_its_mirror_are_transforms_of_each_frame() -> None:
    place = (150, 10, 310, 100)
    for frame, shown in zip(_hashed(inside(place)), pan(7, (160, 90)), strict=True):
        own = imagehash_signal(Picture(shown), Algorithm.PHASH256)
        mirrored = imagehash_signal(Picture(shown.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), Algorithm.PHASH256)
        transforms = dict(frame.hashed.transforms)
        assert min(own.distance(signal) for signal in transforms["inset"]) <= 24
        assert min(mirrored.distance(signal) for signal in transforms["inset-mirror"]) <= 24


def test_an_inset_is_tried_in_the_stretches_beside_its_own_and_no_further() -> None:
    plain = list(pan(10, (320, 180)))
    frames = _hashed([*plain, *plain, *inside((150, 10, 310, 100)), *plain, *plain])
    tried = ["inset" in dict(frame.hashed.transforms) for frame in frames]
    stretches = [set(tried[start : start + FRAMES]) for start in range(0, len(tried), FRAMES)]
    assert stretches == [{False}, {True}, {True}, {True}, {False}]
    assert [frame.number for frame in frames] == list(range(5 * FRAMES))


def test_frames_of_different_sizes_are_different_stretches() -> None:
    frames = _hashed([*inside((150, 10, 310, 100)), *[frame.resize((240, 180)) for frame in inside((0, 0, 160, 90))]])
    assert len(frames) == 2 * FRAMES
