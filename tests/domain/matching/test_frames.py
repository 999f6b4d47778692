"""From what an index holds near the frames of a video to the contributions that the video matches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Extent, Frame
from hashdb.domain.matching import frames as matching_frames
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.matching.frames import FramesMatched, expand, match_frames, places_of, with_frames
from hashdb.domain.matching.matches import FrameMatch, Holder, Neighbor, Query
from hashdb.domain.matching.suggestions import suggest
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import near, signal

Listed = Mapping[int, Sequence[Signal]]
"""By contribution, the signal of each second; one that is no video has a negative number."""


def video(*seeds: int, away: int = 0, start: float = 0.0, step: float = 1.0) -> tuple[Frame, ...]:
    """A frame for each seed, `step` seconds apart, `away` bits from the one that the seed makes."""
    return tuple(Frame(start + number * step, (near(signal(seed), away),), 90) for number, seed in enumerate(seeds))


def asked(*frames: Frame, min_seconds: float | None = None) -> Query:
    return Query((), frames=frames, duration=frames[-1].at + 1, min_seconds=min_seconds)


def matched(query: Query, listed: Listed, has: frozenset[Algorithm] = frozenset(), last: float = 1.0) -> FramesMatched:
    """What the frames of a query match among these contributions."""
    return matched_each([query], listed, has, last)[0]


def matched_each(
    queries: Sequence[Query], listed: Listed, has: frozenset[Algorithm] = frozenset(), last: float = 1.0
) -> dict[int, FramesMatched]:
    """What the frames of each query match among these contributions.

    All have signals of the algorithms `has`, too. The last frame of a listed video is shown for `last` seconds.
    """
    held: dict[Signal, list[Holder]] = {}
    shots: dict[tuple[int, Signal], tuple[ShotTimes, ...]] = {}
    for id, signals in listed.items():
        for at, one in enumerate(signals):
            extent = Extent(len(signals) - 1 + last) if id > 0 else None
            holder = Holder(one, id, 1, None, Standing.UNREVIEWED, None, extent)
            held.setdefault(one, [])
            if holder not in held[one]:
                held[one].append(holder)
            if id > 0:
                shots[id, one] = (*shots.get((id, one), ()), ShotTimes(float(at), float(at)))

    def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [
            [
                Neighbor(distance, one.value)
                for one in held
                if one.algorithm is algorithm and (distance := (one.value ^ value).bit_count()) <= radius
            ]
            for value in values
        ]

    def read(id: int) -> list[ListedShot]:
        return [ListedShot(float(at), float(at), [one]) for at, one in enumerate(listed[id])]

    expanded = expand(queries)
    suggested, through = suggest(expanded.queries, search)
    return match_frames(
        queries, expanded, suggested, through, held, shots, read, lambda ids: dict.fromkeys(ids, has), frozenset()
    )


FILM = [signal(seed) for seed in range(100, 160)]


def test_frames_of_a_query_are_searched_for_as_queries_of_their_own() -> None:
    frames = (*video(1, 2), replace(video(3, start=2.0)[0], quality=20))
    plain, of_video = Query((signal(9),)), replace(asked(*frames), radius={Algorithm.PDQ: 12})
    expanded = expand([plain, of_video])
    assert list(expanded.queries[:2]) == [plain, of_video]
    assert [query.signals for query in expanded.queries[2:]] == [(signal(1),), (signal(2),)]
    assert {query.radius_of(Algorithm.PDQ) for query in expanded.queries[2:]} == {12}
    assert expanded.frames == {1: range(2, 4)}
    assert expand([plain]).queries == [plain]


def test_a_clip_inside_another_video_is_a_segment_with_its_shares() -> None:
    clip = asked(*video(*range(500, 520), *range(130, 140), *range(600, 620), away=6))
    ((id, found),) = matched(clip, {7: FILM}).items()
    (segment,) = found.details.segments
    assert (id, segment.query) == (7, (20, 30))
    assert segment.listed == pytest.approx((30, 40), abs=0.1)
    assert found.details.covered == pytest.approx((10 / 50, 10 / 60), abs=0.01)
    assert {holder.signal for holder, *_ in found.holders} == set(FILM[30:40])
    assert {distance for _, distance, _ in found.holders} == {6}
    assert found.details.frames == ()


def test_a_mirrored_clip_is_found_through_the_transform() -> None:
    frames = tuple(
        replace(frame, signals=(signal(900 + place),), transforms={"mirror": frame.signals})
        for place, frame in enumerate(video(*range(110, 125)))
    )
    (found,) = matched(asked(*frames), {7: FILM}).values()
    assert [segment.transform for segment in found.details.segments] == ["mirror"]
    assert {transform for *_, transform in found.holders} == {"mirror"}


def test_a_segment_takes_the_seconds_that_are_asked_for() -> None:
    frames = video(1, 2, *range(110, 116), 3, 4)
    assert matched(asked(*frames, min_seconds=6.0), {7: FILM})
    assert matched(asked(*frames, min_seconds=6.5), {7: FILM}) == {}
    assert matched(asked(*video(1, 110, 111, 2)), {7: FILM}) == {}


def test_frames_that_are_listed_pictures_are_told_each_and_make_no_segment() -> None:
    pictures = {-1: [FILM[4]], -2: [FILM[8]]}
    found = matched(asked(*video(*range(100, 120), away=2)), pictures)
    assert {id: one.details.frames for id, one in found.items()} == {
        -1: (FrameMatch(4.0, {Algorithm.PDQ: 2}),),
        -2: (FrameMatch(8.0, {Algorithm.PDQ: 2}),),
    }
    assert not any(one.details.segments for one in found.values())


def test_a_frame_is_no_listed_picture_by_phash_alone_where_its_pdq_could_have_agreed() -> None:
    phash = signal(4, Algorithm.PHASH)
    both = asked(Frame(0.0, (signal(1), phash), 90), Frame(1.0, (phash,), 90))
    wide, narrow = frozenset({Algorithm.PDQ}), frozenset[Algorithm]()
    ats = {has: [each.at for each in matched(both, {-1: [phash]}, has)[-1].details.frames] for has in (wide, narrow)}
    assert ats == {wide: [1.0], narrow: [0.0, 1.0]}
    assert matched(asked(both.frames[0]), {-1: [phash]}, wide) == {}


@pytest.mark.parametrize(("extent", "ats"), [(Extent(None, 3), [0.0]), (None, [0.0, 1.0])], ids=["page", "picture"])
def test_frames_of_a_video_that_are_near_a_page_are_told_within_the_radius_of_pages(
    extent: Extent | None, ats: list[float]
) -> None:
    one = signal(4, Algorithm.PHASH256)
    query = asked(*(Frame(at, (near(one, away),), 90) for at, away in enumerate((28, 29))))
    holder = Holder(one, 7, 1, None, Standing.UNREVIEWED, None, extent)
    shots = {(7, one): [ShotTimes(2.0, 2.0)]} if extent else {}
    expanded = expand([query])
    suggested = [{}, *({one: away} for away in (28, 29))]
    found = match_frames(
        [query], expanded, suggested, [{}] * 3, {one: [holder]}, shots, lambda _: [], lambda ids: {}, frozenset()
    )
    assert [each.at for each in found[0][7].details.frames] == ats


def test_segments_end_where_the_videos_end() -> None:
    seeds = range(100, 110)
    query = replace(asked(*video(*seeds)), duration=9.4)
    found = matched(query, {7: FILM[:10]}, last=0.2)[7].details
    assert [(each.query, each.listed) for each in found.segments] == [((0, 9.4), (0, 9.2))]
    assert found.covered == (1, 1)


def test_a_still_is_no_segment_however_long_it_is_shown() -> None:
    assert matched(asked(*video(*[130] * 60)), {7: FILM}) == {}
    assert matched(asked(*video(*range(100, 160))), {7: [FILM[30]] * 60}) == {}


def test_a_short_animation_is_found_by_the_few_frames_that_it_has() -> None:
    loop = {7: [FILM[3], FILM[9]]}
    (found,) = matched(asked(*video(3 + 100, 103, 109, 109, step=0.5)), loop).values()
    assert found.details.segments[0].query == (0, 2)
    assert found.details.covered == pytest.approx((0.8, 1), abs=0.2)
    assert matched(asked(*video(103, 103, 103, 103)), {7: FILM}) == {}
    assert matched(asked(*video(1, 2, 103, 4)), loop) == {}


def test_each_listed_video_is_aligned_by_itself() -> None:
    found = matched(asked(*video(*range(110, 130))), {7: FILM, 8: FILM[15:25], 9: [signal(s) for s in range(30)]})
    assert {id: one.details.segments[0].query for id, one in found.items()} == {7: (0, 20), 8: (5, 15)}


def test_signals_of_pictures_have_no_times() -> None:
    one = signal(1)
    of_picture = Holder(one, 1, 1, None, Standing.UNREVIEWED, None)
    of_video = of_picture._replace(contribution=2, extent=Extent(9.0))
    assert with_frames({one: [of_picture, of_video]}) == {2: {one}}
    shots = {(2, one): (ShotTimes(5.0, 6.0), ShotTimes(1.0, 1.0))}
    assert places_of([of_video, of_video._replace(signal=signal(2))], shots).at == (1.0, 5.0)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), min_size=1, max_size=40),
    st.lists(st.integers(0, 20), min_size=1, max_size=40),
)
def test_segments_are_within_both_videos(query: list[tuple[int, int]], listed: list[int]) -> None:
    frames = [Frame(float(at), (near(signal(seed), bits),), 90) for at, (seed, bits) in enumerate(query)]
    for found in matched(asked(*frames), {7: [signal(seed) for seed in listed]}).values():
        for segment in found.details.segments:
            assert 0 <= segment.query[0] < segment.query[1] <= len(query)
            assert 0 <= segment.listed[0] <= segment.listed[1] <= len(listed) + 1
        assert found.details.covered is None or all(0 < part <= 1 for part in found.details.covered)


def test_slide_shows_that_repeat_themselves_are_aligned_with_bounded_work() -> None:
    slides = [signal(seed) for seed in range(4)]
    found = matched(asked(*video(*list(range(4)) * 100)), dict.fromkeys(range(1, 6), slides * 50))
    for one in found.values():
        assert one.details.covered == pytest.approx((1, 1), abs=0.05)
        assert len(one.details.segments) <= 4
    assert len(found) == 5


def test_what_is_not_aligned_makes_the_answer_truncated(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = dict.fromkeys(range(1, 5), FILM)
    clip = asked(*video(*range(110, 130)))
    assert not matched(clip, listed).truncated
    monkeypatch.setattr(matching_frames, "MOST_ALIGNED", 3)
    found = matched(clip, listed)
    assert found.truncated
    assert set(found) == {1, 2, 3}


def test_the_queries_of_a_request_share_one_bound_of_work_and_small_ones_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matching_frames, "MOST_WORK", 5_000)
    listed = {7: FILM, 8: [signal(place % 2) for place in range(400)]}
    loops = [asked(*video(*[0, 1] * 10))] * 30
    found = matched_each([*loops, asked(*video(*range(110, 120)))], listed)
    assert set(found[30]) == {7} and not found[30].truncated
    done = [position for position in range(30) if not found[position].truncated]
    assert 1 <= len(done) < 5
    assert all(found[position] == {} for position in range(30) if position not in done)


class Counted(list[Signal]):
    """Signals that count how many of them are read."""

    read = 0

    def __iter__(self) -> Iterator[Signal]:
        for one in super().__iter__():
            Counted.read += 1
            yield one


def test_frames_a_millisecond_apart_are_compared_with_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching_frames, "MOST_WORK", 10_000)
    common = video(1, 2, 3)
    unlike = [tuple(signal(1_000 + 8 * place + each) for each in range(8)) for place in range(300)]
    after = [Frame(2 + place / 1_000, signals) for place, signals in enumerate(unlike, 1)]
    listed = [ListedShot(frame.at, frame.at, frame.signals) for frame in common]
    listed += [ListedShot(frame.at, frame.at, Counted(map(inverted, frame.signals))) for frame in after]
    query = asked(*common, *after, min_seconds=2.0)
    held = {
        frame.signals[0]: [Holder(frame.signals[0], 7, 1, None, Standing.UNREVIEWED, None, Extent(60))]
        for frame in common
    }
    shots = {(7, frame.signals[0]): (ShotTimes(frame.at, frame.at),) for frame in common}
    expanded = expand([query])
    suggested = [{one: 0 for one in each.signals if one in held} for each in expanded.queries]
    Counted.read = 0
    found = match_frames(
        [query], expanded, suggested, [{} for _ in suggested], held, shots, lambda id: listed, lambda ids: {}
    )[0]
    assert found[7].details.segments[0].frames == 3
    assert 0 < Counted.read <= 10_000


def inverted(one: Signal) -> Signal:
    return Signal(one.algorithm, one.value ^ (1 << one.algorithm.bits) - 1)


def test_a_query_of_which_frames_were_not_searched_for_is_truncated() -> None:
    queries = [asked(*video(1, 2)), asked(*video(3, 4))]
    expanded = expand(queries)
    nothing: list[dict[Signal, int]] = [{} for _ in expanded.queries]
    found = match_frames(queries, expanded, nothing, [{}] * 6, {}, {}, lambda id: [], lambda ids: {}, {1})
    assert [found[position].truncated for position in range(2)] == [False, True]


def test_a_clip_is_found_though_each_of_its_frames_is_in_many_other_videos() -> None:
    intro = [signal(seed) for seed in range(5)]
    shared = dict.fromkeys(range(10, 210), intro)
    found = matched(asked(*video(*range(5), *range(120, 130))), {7: [*intro, *FILM], **shared})
    assert [segment.query for segment in found[7].details.segments] == [(5, 15), (0, 5)]
    assert found[10].details.segments[0].query == (0, 5)
