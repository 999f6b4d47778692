"""Frames of a video, and the shots that they make."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.frames import NEAR, Frame, Shot, mark_shots, split_shots
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from tests.builders import near, signal


def frames(*signals: Signal | None, quality: int | None = 90) -> list[Frame]:
    """A frame a second with these signals; None: a frame without any."""
    return [Frame(float(at), () if one is None else (one,), quality) for at, one in enumerate(signals)]


def shots(made: list[Frame]) -> list[tuple[float, float]]:
    return [(shot.start, shot.end) for shot in split_shots(made)]


def test_frames_next_to_each_other_that_are_near_the_first_are_a_shot() -> None:
    one, two = signal(1), signal(2)
    assert shots(frames(one, near(one, NEAR), near(one, NEAR, 1), two, one)) == [(0, 2), (3, 3), (4, 4)]
    assert shots(frames(one, near(one, NEAR + 1))) == [(0, 0), (1, 1)]
    assert shots([]) == []


def test_a_slow_pan_is_many_shots_since_frames_are_compared_with_the_first() -> None:
    pan = [signal(1)]
    for step in range(3):
        pan.append(near(pan[-1], NEAR - 2, step))
    assert pan[0].distance(pan[2]) > NEAR
    assert shots(frames(*pan))[0] == (0, 1)


def test_a_frame_with_further_signals_begins_a_shot() -> None:
    one, other = signal(1), signal(1, Algorithm.PHASH256)
    made = [Frame(0.0, (one, other), 90), Frame(1.0, (one,), 90), Frame(2.0, (one, other), 90)]
    assert shots(made) == [(0, 1), (2, 2)]


def test_frames_that_are_not_searched_for_are_apart_from_those_that_are() -> None:
    one = signal(1)
    clear, dull = Frame(0.0, (one,), MINIMUM_QUALITY), Frame(1.0, (one,), MINIMUM_QUALITY - 1)
    assert (clear.matches, dull.matches, Frame(2.0, (one,)).matches) == (True, False, True)
    assert shots([clear, dull, Frame(2.0, (one,), 90)]) == [(0, 0), (1, 1), (2, 2)]
    assert shots(frames(None, None, one, None)) == [(0, 1), (2, 2), (3, 3)]


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(0, 2 * NEAR), st.sampled_from([None, 20, 90])), max_size=30))
def test_shots_hold_every_frame_once_in_order_and_only_near_ones(
    described: list[tuple[int, int, int | None]],
) -> None:
    made = [
        Frame(float(at), (near(signal(seed), bits, at),), quality) for at, (seed, bits, quality) in enumerate(described)
    ]
    split: list[Shot] = list(split_shots(made))
    assert [frame for shot in split for frame in shot.frames] == made
    for shot in split:
        first = shot.frames[0]
        assert all(first.signals[0].distance(frame.signals[0]) <= NEAR for frame in shot.frames)
        assert {frame.matches for frame in shot.frames} == {first.matches}


_SIGNALS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, NEAR)), min_size=1, max_size=3)


@given(st.lists(st.tuples(_SIGNALS, st.sampled_from([None, 20, 90])), max_size=20), st.integers(0, 2**60))
def test_marked_frames_give_the_same_shots_without_their_suppressed_signals(
    described: list[tuple[list[tuple[int, int]], int | None]], hidden: int
) -> None:
    made = [
        Frame(float(at), tuple(near(signal(seed), bits, at) for seed, bits in signals), quality)
        for at, (signals, quality) in enumerate(described)
    ]
    whole = list(split_shots(made))
    left: list[tuple[Frame, ...]] = []
    for number, shot in enumerate(whole):
        first, *others = shot.frames
        kept = tuple(one for place, one in enumerate(first.signals) if not hidden >> (3 * number + place) & 1)
        gone = first.signals[0] not in kept
        left.append((replace(first, signals=kept), *(replace(each, signals=()) if gone else each for each in others)))
    marked = list(mark_shots(left))
    assert [tuple(shot.frames) for shot in split_shots(marked)] == left
    assert all(frame.begins_shot is None for frame in mark_shots(shot.frames for shot in whole))
