"""From hits of frames to segments: a copied stretch is found, and hits by accident make no segment."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.matching.alignment import FASTEST, MOST_HITS, SLOWEST, Hit, align, evenly, extend
from hashdb.domain.matching.segments import Segment

LEAST = 3


def segments(hits: Sequence[Hit], frames: Sequence[float], interval: float = 1.0) -> list[Segment]:
    return [aligned.segment for aligned in align(hits, frames, interval, LEAST)]


def hits_of_stretch(
    query: tuple[float, float],
    listed: float,
    speed: float = 1.0,
    *,
    interval: float = 1.0,
    missing: Iterable[int] = (),
    transform: str | None = None,
) -> list[Hit]:
    """Hits of a stretch of the query, one every `interval`.

    The stretch shows a video with one shot a second, from the time `listed`.
    """
    start, stop = query
    hits: list[Hit] = []
    left_out = set(missing)
    for number in range(round((stop - start) / interval)):
        at = start + number * interval
        shot = float(int(listed + speed * (at - start) + 0.5))
        if number not in left_out:
            hits.append(Hit(at, shot, shot, 8, 0.75, transform))
    return hits


def grid(duration: float, interval: float = 1.0) -> list[float]:
    return [number * interval for number in range(round(duration / interval))]


def noise(seed: int, count: int, duration: float, listed: float) -> list[Hit]:
    """Hits by accident: at random places, with a large distance."""
    rng = random.Random(seed)
    places = [float(rng.randrange(int(listed))) for _ in range(count)]
    return [Hit(float(rng.randrange(int(duration))), place, place, 30, 0.03) for place in places]


def is_right(segment: Segment, query: tuple[float, float], listed: tuple[float, float]) -> bool:
    return max(abs(a - b) for a, b in zip(segment.query + segment.listed, query + listed, strict=True)) <= 1.0


def test_a_segment_has_the_times_speed_frames_and_transform_of_the_stretch() -> None:
    (segment,) = segments(hits_of_stretch((20, 30), 48.0, transform="mirror"), grid(60))
    assert segment == Segment((20.0, 30.0), (48.0, 58.0), 1.0, 10, 10, 8, "mirror")
    assert segment.length == 10.0


@given(
    speed=st.floats(0.8, 1.25),
    start=st.integers(0, 60),
    listed=st.floats(0, 120),
    missing=st.sets(st.integers(1, 38), max_size=12),
    seed=st.integers(0, 999),
)
def test_a_stretch_is_found_to_a_second_despite_noise_and_gaps(
    speed: float, start: int, listed: float, missing: set[int], seed: int
) -> None:
    stretch = (float(start), float(start + 10))
    hits = hits_of_stretch(stretch, listed, speed, interval=0.25, missing=missing) + noise(seed, 12, 100, 150)
    first, *_ = segments(hits, grid(100, 0.25), 0.25)
    assert is_right(first, stretch, (listed, listed + 10 * speed))


@pytest.mark.parametrize("speed", [0.5, 0.66, 1.5, 2.0])
def test_a_stretch_at_another_speed_is_found(speed: float) -> None:
    (segment,) = segments(hits_of_stretch((10, 30), 40.0, speed, interval=0.25), grid(60, 0.25), 0.25)
    assert segment.speed == pytest.approx(speed, abs=0.04)
    assert is_right(segment, (10, 30), (40, 40 + 20 * speed))


def test_two_stretches_are_two_segments_with_the_longest_first() -> None:
    hits = hits_of_stretch((5, 11), 80.0) + hits_of_stretch((30, 50), 10.0)
    result = segments(hits, grid(60))
    assert [(segment.query, segment.listed) for segment in result] == [((30, 50), (10, 30)), ((5, 11), (80, 86))]


def test_a_segment_spans_a_short_gap_but_not_a_long_one() -> None:
    before, after = hits_of_stretch((0, 10), 0.0), hits_of_stretch((16, 26), 16.0)
    (segment,) = segments(before + after, grid(60))
    assert (segment.query, segment.frames, segment.possible) == ((0, 26), 20, 26)
    assert len(segments(before + hits_of_stretch((30, 40), 30.0), grid(60))) == 2


def test_a_reversed_copy_is_no_segment() -> None:
    hits = [Hit(float(at), 60.0 - at, 60.0 - at, 4, 0.9) for at in range(20, 40)]
    assert segments(hits, grid(60)) == []


def test_a_still_image_counts_as_one_frame_in_either_video() -> None:
    still_listed = [Hit(float(at), 10.0, 40.0, 0, 1.0) for at in range(30)]
    still_queried = [Hit(7.0, float(place), float(place), 0, 1.0) for place in range(30)]
    assert segments(still_listed, grid(30)) == []
    assert segments(still_queried, grid(30)) == []
    assert segments([*still_listed, Hit(31.0, 42.0, 42.0, 0, 1.0)], grid(40)) == []


def test_too_few_hits_are_no_segment() -> None:
    assert segments([], []) == []
    assert segments([], grid(10)) == []
    assert segments(hits_of_stretch((3, 5), 3.0), grid(10)) == []


def test_a_segment_is_extended_while_the_frames_resemble_each_other() -> None:
    calls: list[tuple[int, float]] = []

    def resembles(position: int, place: float) -> bool:
        calls.append((position, place))
        return 18 <= position < 33 and abs(place - (position + 20)) <= 0.75

    (aligned,) = align(hits_of_stretch((20, 30), 40.0), grid(60), 1.0, LEAST)
    segment = extend(aligned, grid(60), 1.0, resembles)
    assert (segment.query, segment.listed) == ((18, 33), (38, 53))
    assert (segment.frames, segment.possible) == (10, 15)
    assert len(calls) < 10


def test_a_whole_film_is_one_segment_at_any_speed() -> None:
    for speed in (1.0, 25 / 24, 0.9):
        hits = hits_of_stretch((0, 3000), 0.0, speed)
        (segment,) = segments(hits, grid(3000))
        assert is_right(segment, (0, 3000), (0, 3000 * speed))
        assert segment.speed == pytest.approx(speed, abs=0.001)


def test_among_very_many_hits_the_most_significant_are_used() -> None:
    everywhere = [Hit(at / 4, float(place), float(place), 20, 0.3) for at in range(400) for place in range(400)]
    hits = [*everywhere, *hits_of_stretch((200, 220), 300.0)]
    result = segments(hits, [*grid(100, 0.25), *grid(250)[100:]])
    assert any(is_right(segment, (200, 220), (300, 320)) for segment in result)
    slide_show = [Hit(float(at), float(at), float(at), 0, 1.0) for at in range(3 * MOST_HITS)]
    (whole,) = segments(slide_show, grid(3 * MOST_HITS))
    assert is_right(whole, (0, 3 * MOST_HITS - 2), (0, 3 * MOST_HITS - 2))


@given(st.lists(st.integers(), max_size=50), st.integers(1, 60))
def test_evenly_keeps_items_at_even_steps(items: list[int], most: int) -> None:
    kept = evenly(range(len(items)), most)
    assert len(kept) == min(len(items), most)
    steps = [after - before for before, after in pairwise(kept)]
    assert not steps or max(steps) - min(steps) <= 1


_hits = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 400), st.integers(0, 300), st.integers(0, 31)), max_size=60
)


@given(_hits, st.sampled_from([0.25, 1.0]), st.booleans())
def test_segments_of_any_hits_are_in_order_and_within_bounds(
    described: Sequence[tuple[int, int, int, int]], interval: float, do_resemble: bool
) -> None:
    hits = [
        Hit(at * interval, start / 4, (start + more) / 4, distance, 1 - distance / 31)
        for at, start, more, distance in described
    ]
    frames = grid(41 * interval, interval)
    aligned = align(hits, frames, interval, LEAST)
    lengths = [alignment.segment.length for alignment in aligned]
    assert lengths == sorted(lengths, reverse=True)
    for alignment in aligned:
        segment = extend(alignment, frames, interval, lambda position, place: do_resemble)
        assert 0 <= segment.query[0] < segment.query[1] <= 41 * interval
        assert 0 <= segment.listed[0] <= segment.listed[1]
        assert SLOWEST <= segment.speed <= FASTEST
        assert LEAST <= segment.frames <= segment.possible
