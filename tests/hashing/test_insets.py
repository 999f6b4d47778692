"""Videos that are shown inside a part of another video: their places and their hashes."""

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
"""Frames in one stretch: two seconds with four frames a second."""


@cache
def _photo(number: int) -> Image.Image:
    return Image.open(PHOTOS[number]).convert("RGB").resize((800, 600))


def pan(number: int, size: tuple[int, int]) -> Iterator[Image.Image]:
    """Frames that move over a photograph."""
    for step in range(FRAMES):
        left, top = 40 + 9 * step, 60 + 5 * step
        yield _photo(number).crop((left, top, left + 640, top + 360)).resize(size)


def with_inset(place: tuple[int, int, int, int]) -> list[Image.Image]:
    """Frames of 320 x 180, with another video at this place (left, top, right, bottom)."""
    frames = list(pan(10, (320, 180)))
    for frame, inset in zip(frames, pan(7, (place[2] - place[0], place[3] - place[1])), strict=True):
        frame.paste(inset, place[:2])
    return frames


def with_blurred_bars() -> list[Image.Image]:
    """Upright frames with a wide video in the middle, and blurred copies of it above and below."""
    frames = []
    for wide in pan(7, (180, 100)):
        frame = wide.resize((180, 320)).filter(ImageFilter.GaussianBlur(7))
        frame.paste(wide, (0, 110))
        frames.append(frame)
    return frames


def inset_places(frames: list[Image.Image]) -> list[tuple[int, ...]]:
    """The places of the insets, in pixels."""
    width, height = frames[0].size
    windows = find_insets([Picture(frame).reduced for frame in frames])
    return [
        tuple(round(edge * side) for edge, side in zip(window, (width, height) * 2, strict=True)) for window in windows
    ]


def is_near_place(place: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return max(abs(edge - right) for edge, right in zip(place, expected, strict=True)) <= 1


@pytest.mark.parametrize("place", [(150, 10, 310, 100), (10, 110, 116, 170), (80, 45, 240, 135), (0, 0, 160, 90)])
def test_a_picture_in_a_picture_is_found_at_its_place(place: tuple[int, int, int, int]) -> None:
    assert is_near_place(inset_places(with_inset(place))[0], place)


def test_a_wide_video_between_blurred_bars_is_found() -> None:
    assert is_near_place(inset_places(with_blurred_bars())[0], (0, 110, 180, 210))


def test_no_inset_is_found_in_a_plain_video() -> None:
    for number in (7, 9, 10):
        assert inset_places(list(pan(number, (320, 180)))) == []


def test_a_single_frame_and_small_frames_have_no_inset() -> None:
    frames = with_inset((150, 10, 310, 100))
    assert inset_places(frames[:1]) == []
    assert inset_places([frame.resize((80, 45)) for frame in frames]) == []


def _hashed(frames: list[Image.Image], interval: float = 0.25) -> list[HashedFrame]:
    pictures = [Picture(frame) for frame in frames]
    plain = [
        HashedFrame(number, number * interval, True, Hashed((pdq(picture)[0],), 90))
        for number, picture in enumerate(pictures)
    ]
    return list(with_insets(zip(plain, pictures, strict=True)))


def test_each_frame_has_the_inset_and_its_mirror_as_transforms() -> None:
    place = (150, 10, 310, 100)
    for frame, inset in zip(_hashed(with_inset(place)), pan(7, (160, 90)), strict=True):
        own = imagehash_signal(Picture(inset), Algorithm.PHASH256)
        mirrored = imagehash_signal(Picture(inset.transpose(Image.Transpose.FLIP_LEFT_RIGHT)), Algorithm.PHASH256)
        transforms = frame.hashed.transforms
        assert min(own.distance(signal) for signal in transforms["inset"]) <= 24
        assert min(mirrored.distance(signal) for signal in transforms["inset-mirror"]) <= 24


def test_an_inset_is_tried_only_in_its_own_and_the_next_stretches() -> None:
    plain = list(pan(10, (320, 180)))
    frames = _hashed([*plain, *plain, *with_inset((150, 10, 310, 100)), *plain, *plain])
    has_inset = ["inset" in frame.hashed.transforms for frame in frames]
    stretches = [set(has_inset[start : start + FRAMES]) for start in range(0, len(has_inset), FRAMES)]
    assert stretches == [{False}, {True}, {True}, {True}, {False}]
    assert [frame.number for frame in frames] == list(range(5 * FRAMES))


def test_no_frame_is_lost_when_the_frame_size_changes() -> None:
    frames = _hashed(
        [
            *with_inset((150, 10, 310, 100)),
            *[frame.resize((240, 180)) for frame in with_inset((0, 0, 160, 90))],
        ]
    )
    assert len(frames) == 2 * FRAMES
