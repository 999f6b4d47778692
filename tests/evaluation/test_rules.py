"""The two matching rules of vPDQ."""

from __future__ import annotations

import pytest

from hashdb.domain.frames import Frame
from hashdb.domain.signals import Algorithm, Signal
from hashdb.evaluation.rules import bag, compare
from hashdb.index.vectors import unpack
from tests.builders import near, signal


def frame(at: float, seed: int, quality: int = 90, away: int = 0) -> Frame:
    """A frame with `away` bits changed from the PDQ of the seed."""
    other = Signal(Algorithm.PHASH256, seed)
    return Frame(at, (near(signal(seed), away), other), quality)


def test_a_bag_has_one_good_frame_a_second_and_each_hash_once() -> None:
    frames = [frame(0.0, 1), frame(0.25, 2), frame(1.0, 3), frame(2.0, 1), frame(3.04, 4, quality=49), frame(4.04, 5)]
    # A second of rounded times may have 0.999 s, but not less.
    frames += [frame(5.039, 6), frame(6.037, 7)]
    assert unpack(bag(frames)) == [signal(seed).value for seed in (1, 3, 5, 6)]


@pytest.mark.parametrize(("away", "agree"), [(31, 1.0), (32, 0.0)])
def test_frames_agree_within_31_bits(away: int, agree: float) -> None:
    listed = bag([frame(float(at), at) for at in range(10)])
    query = bag([frame(float(at), at, away=away) for at in range(10)])
    assert compare(query, listed) == (agree, agree)


def test_a_clip_is_found_by_its_own_share_but_not_by_that_of_the_film() -> None:
    listed = bag([frame(float(at), at) for at in range(40)])
    agreement = compare(bag([frame(float(at), at) for at in range(10)]), listed)
    assert agreement == (1.0, 0.25)
    assert agreement.by_query and not agreement.by_listed
    # Neither rule finds the clip in a longer upload.
    inside = [frame(float(at), at if at < 10 else 100 + at) for at in range(60)]
    agreement = compare(bag(inside), listed)
    assert not agreement.by_query and not agreement.by_listed
    # The rule of the documentation finds an upload that contains the whole film.
    assert compare(bag([frame(float(at), at) for at in range(200)]), listed).by_listed


def test_an_empty_bag_agrees_with_nothing() -> None:
    assert compare(bag([]), bag([frame(0.0, 1)])) == (0.0, 0.0)
