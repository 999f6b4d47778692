"""The library: listed videos in memory."""

from __future__ import annotations

import pytest

from hashdb.domain.frames import Frame
from hashdb.domain.signals import Algorithm
from hashdb.evaluation.library import WIDEST_RADIUS, Library
from tests.builders import near, signal


def frames(*seeds: int, away: int = 0) -> list[Frame]:
    """One frame for each seed, one second apart, with `away` bits changed from the signal of the seed."""
    return [Frame(float(at), (near(signal(seed), away),), 90) for at, seed in enumerate(seeds)]


@pytest.fixture(scope="module")
def library() -> Library:
    """A library of two films of one minute."""
    return Library([(frames(*range(100, 160)), 60.0), (frames(*range(200, 260)), 60.0)])


def test_a_clip_is_matched_as_in_the_service(library: Library) -> None:
    clip = frames(*range(500, 520), *range(230, 245), *range(600, 620), away=4)
    matched = library.match(clip, 55.0)
    assert list(matched) == [2]
    (segment,) = matched[2].segments
    assert segment.query == (20.0, 35.0)
    assert segment.listed == pytest.approx((30.0, 45.0), abs=0.05)
    assert library.values == 120


@pytest.mark.parametrize("away", [0, 12, 31, 32, 60])
def test_the_least_radius_is_the_distance_of_the_frames(library: Library, away: int) -> None:
    clip = frames(*range(110, 130), away=away)
    assert library.least_radius(clip, 1, 20.0) == away
    assert (1 in library.match(clip, 20.0)) is (away <= Algorithm.PDQ.radius)


def test_a_video_that_is_not_near_at_any_radius_has_no_least_radius(library: Library) -> None:
    clip = frames(*range(110, 130), away=WIDEST_RADIUS + 1)
    assert library.least_radius(clip, 1, 20.0) is None
    assert library.least_radius(frames(*range(110, 130)), 2, 20.0) is None
