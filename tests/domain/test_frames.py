"""The frames of a video, and how they are split into shots."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.frames import SAME_SHOT_BITS, Frame, Shot, mark_shots, split_shots
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from tests.builders import near, signal


def frames(*signals: Signal | None, quality: int | None = 90) -> list[Frame]:
    """One frame a second with these signals. None makes a frame without a signal."""
    return [Frame(float(at), () if hash is None else (hash,), quality) for at, hash in enumerate(signals)]


def shots(of_video: list[Frame]) -> list[tuple[float, float]]:
    return [(shot.start, shot.end) for shot in split_shots(of_video)]


def test_successive_frames_near_the_first_are_one_shot() -> None:
    first, other = signal(1), signal(2)
    assert shots(frames(first, near(first, SAME_SHOT_BITS), near(first, SAME_SHOT_BITS, 1), other, first)) == [
        (0, 2),
        (3, 3),
        (4, 4),
    ]
    assert shots(frames(first, near(first, SAME_SHOT_BITS + 1))) == [(0, 0), (1, 1)]
    assert shots([]) == []


def test_a_slow_pan_is_several_shots() -> None:
    """Each frame is compared with the first one of its shot."""
    pan = [signal(1)]
    for step in range(3):
        pan.append(near(pan[-1], SAME_SHOT_BITS - 2, step))
    assert pan[0].distance(pan[2]) > SAME_SHOT_BITS
    assert shots(frames(*pan))[0] == (0, 1)


def test_a_frame_with_further_signals_begins_a_shot() -> None:
    pdq, phash256 = signal(1), signal(1, Algorithm.PHASH256)
    video = [Frame(0.0, (pdq, phash256), 90), Frame(1.0, (pdq,), 90), Frame(2.0, (pdq, phash256), 90)]
    assert shots(video) == [(0, 1), (2, 2)]


def test_searchable_and_unsearchable_frames_are_in_different_shots() -> None:
    hash = signal(1)
    clear, dull = Frame(0.0, (hash,), MINIMUM_QUALITY), Frame(1.0, (hash,), MINIMUM_QUALITY - 1)
    assert (clear.matches, dull.matches, Frame(2.0, (hash,)).matches) == (True, False, True)
    assert shots([clear, dull, Frame(2.0, (hash,), 90)]) == [(0, 0), (1, 1), (2, 2)]
    assert shots(frames(None, None, hash, None)) == [(0, 1), (2, 2), (3, 3)]


@given(
    st.lists(
        st.tuples(st.integers(1, 3), st.integers(0, 2 * SAME_SHOT_BITS), st.sampled_from([None, 20, 90])), max_size=30
    )
)
def test_shots_have_every_frame_once_in_order_and_only_near_frames(
    described: list[tuple[int, int, int | None]],
) -> None:
    video = [
        Frame(float(at), (near(signal(seed), bits, at),), quality) for at, (seed, bits, quality) in enumerate(described)
    ]
    split: list[Shot] = list(split_shots(video))
    assert [frame for shot in split for frame in shot.frames] == video
    for shot in split:
        first = shot.frames[0]
        assert all(first.signals[0].distance(frame.signals[0]) <= SAME_SHOT_BITS for frame in shot.frames)
        assert {frame.matches for frame in shot.frames} == {first.matches}


_SIGNALS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, SAME_SHOT_BITS)), min_size=1, max_size=3)


@given(st.lists(st.tuples(_SIGNALS, st.sampled_from([None, 20, 90])), max_size=20), st.integers(0, 2**60))
def test_marked_frames_keep_their_shots_without_suppressed_signals(
    described: list[tuple[list[tuple[int, int]], int | None]], hidden: int
) -> None:
    video = [
        Frame(float(at), tuple(near(signal(seed), bits, at) for seed, bits in signals), quality)
        for at, (signals, quality) in enumerate(described)
    ]
    complete = list(split_shots(video))
    remaining: list[tuple[Frame, ...]] = []
    for number, shot in enumerate(complete):
        first, *others = shot.frames
        kept = tuple(hash for place, hash in enumerate(first.signals) if not hidden >> (3 * number + place) & 1)
        is_suppressed = first.signals[0] not in kept
        remaining.append(
            (replace(first, signals=kept), *(replace(each, signals=()) if is_suppressed else each for each in others))
        )
    marked = list(mark_shots(remaining))
    assert [tuple(shot.frames) for shot in split_shots(marked)] == remaining
    assert all(frame.begins_shot is None for frame in mark_shots(shot.frames for shot in complete))
