"""From the values near the frames of a video to the contributions that the video matches."""

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
from hashdb.domain.matching.frames import FramesMatched, expand, match_frames, places_of, signals_of_framed_items
from hashdb.domain.matching.matches import FrameMatch, Holder, Neighbor, Query
from hashdb.domain.matching.suggestions import suggest
from hashdb.domain.signals import Algorithm, Signal
from tests.builders import near, signal

Listed = Mapping[int, Sequence[Signal]]
"""By contribution, the signal of each second. A contribution of a picture has a negative number."""


def video(*seeds: int, away: int = 0, start: float = 0.0, step: float = 1.0) -> tuple[Frame, ...]:
    """One frame for each seed, `step` seconds apart, with `away` bits changed from the signal of the seed."""
    return tuple(Frame(start + number * step, (near(signal(seed), away),), 90) for number, seed in enumerate(seeds))


def video_query(*frames: Frame, min_seconds: float | None = None) -> Query:
    return Query((), frames=frames, duration=frames[-1].at + 1, min_seconds=min_seconds)


def match(query: Query, listed: Listed, has: frozenset[Algorithm] = frozenset(), last: float = 1.0) -> FramesMatched:
    """The contributions that the frames of a query match."""
    return match_each([query], listed, has, last)[0]


def match_each(
    queries: Sequence[Query], listed: Listed, has: frozenset[Algorithm] = frozenset(), last: float = 1.0
) -> dict[int, FramesMatched]:
    """The contributions that the frames of each query match.

    All contributions also have signals of the algorithms `has`.
    The last frame of a listed video is shown for `last` seconds.
    """
    held: dict[Signal, list[Holder]] = {}
    shots: dict[tuple[int, Signal], tuple[ShotTimes, ...]] = {}
    for id, signals in listed.items():
        for at, hash in enumerate(signals):
            extent = Extent(len(signals) - 1 + last) if id > 0 else None
            holder = Holder(hash, id, 1, None, Standing.UNREVIEWED, None, extent)
            held.setdefault(hash, [])
            if holder not in held[hash]:
                held[hash].append(holder)
            if id > 0:
                shots[id, hash] = (*shots.get((id, hash), ()), ShotTimes(float(at), float(at)))

    def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return [
            [
                Neighbor(distance, hash.value)
                for hash in held
                if hash.algorithm is algorithm and (distance := (hash.value ^ value).bit_count()) <= radius
            ]
            for value in values
        ]

    def read(id: int) -> list[ListedShot]:
        return [ListedShot(float(at), float(at), [hash]) for at, hash in enumerate(listed[id])]

    expanded = expand(queries)
    suggested, through = suggest(expanded.queries, search)
    return match_frames(
        queries, expanded, suggested, through, held, shots, read, lambda ids: dict.fromkeys(ids, has), frozenset()
    )


FILM = [signal(seed) for seed in range(100, 160)]


def test_each_frame_of_a_query_is_searched_as_its_own_query() -> None:
    frames = (*video(1, 2), replace(video(3, start=2.0)[0], quality=20))
    plain, with_video = Query((signal(9),)), replace(video_query(*frames), radius={Algorithm.PDQ: 12})
    expanded = expand([plain, with_video])
    assert list(expanded.queries[:2]) == [plain, with_video]
    assert [query.signals for query in expanded.queries[2:]] == [(signal(1),), (signal(2),)]
    assert {query.radius_of(Algorithm.PDQ) for query in expanded.queries[2:]} == {12}
    assert expanded.frames == {1: range(2, 4)}
    assert expand([plain]).queries == [plain]


def test_a_clip_in_another_video_is_a_segment_with_both_shares_covered() -> None:
    clip = video_query(*video(*range(500, 520), *range(130, 140), *range(600, 620), away=6))
    ((id, result),) = match(clip, {7: FILM}).items()
    (segment,) = result.details.segments
    assert (id, segment.query) == (7, (20, 30))
    assert segment.listed == pytest.approx((30, 40), abs=0.1)
    assert result.details.covered == pytest.approx((10 / 50, 10 / 60), abs=0.01)
    assert {holder.signal for holder, *_ in result.holders} == set(FILM[30:40])
    assert {distance for _, distance, _ in result.holders} == {6}
    assert result.details.frames == ()


def test_a_mirrored_clip_is_found_by_its_transform() -> None:
    frames = tuple(
        replace(frame, signals=(signal(900 + place),), transforms={"mirror": frame.signals})
        for place, frame in enumerate(video(*range(110, 125)))
    )
    (result,) = match(video_query(*frames), {7: FILM}).values()
    assert [segment.transform for segment in result.details.segments] == ["mirror"]
    assert {transform for *_, transform in result.holders} == {"mirror"}


def test_a_segment_has_at_least_the_minimum_seconds() -> None:
    frames = video(1, 2, *range(110, 116), 3, 4)
    assert match(video_query(*frames, min_seconds=6.0), {7: FILM})
    assert match(video_query(*frames, min_seconds=6.5), {7: FILM}) == {}
    assert match(video_query(*video(1, 110, 111, 2)), {7: FILM}) == {}


def test_frames_that_match_listed_pictures_are_returned_without_a_segment() -> None:
    pictures = {-1: [FILM[4]], -2: [FILM[8]]}
    result = match(video_query(*video(*range(100, 120), away=2)), pictures)
    assert {id: matches.details.frames for id, matches in result.items()} == {
        -1: (FrameMatch(4.0, {Algorithm.PDQ: 2}),),
        -2: (FrameMatch(8.0, {Algorithm.PDQ: 2}),),
    }
    assert not any(matches.details.segments for matches in result.values())


def test_phash_alone_matches_no_picture_if_both_sides_have_pdq() -> None:
    phash = signal(4, Algorithm.PHASH)
    both = video_query(Frame(0.0, (signal(1), phash), 90), Frame(1.0, (phash,), 90))
    wide, narrow = frozenset({Algorithm.PDQ}), frozenset[Algorithm]()
    ats = {has: [frame.at for frame in match(both, {-1: [phash]}, has)[-1].details.frames] for has in (wide, narrow)}
    assert ats == {wide: [1.0], narrow: [0.0, 1.0]}
    assert match(video_query(both.frames[0]), {-1: [phash]}, wide) == {}


@pytest.mark.parametrize(("extent", "ats"), [(Extent(None, 3), [0.0]), (None, [0.0, 1.0])], ids=["page", "picture"])
def test_a_frame_matches_a_page_only_within_the_radius_of_pages(extent: Extent | None, ats: list[float]) -> None:
    page_hash = signal(4, Algorithm.PHASH256)
    query = video_query(*(Frame(at, (near(page_hash, away),), 90) for at, away in enumerate((28, 29))))
    holder = Holder(page_hash, 7, 1, None, Standing.UNREVIEWED, None, extent)
    shots = {(7, page_hash): [ShotTimes(2.0, 2.0)]} if extent else {}
    expanded = expand([query])
    suggested = [{}, *({page_hash: away} for away in (28, 29))]
    result = match_frames(
        [query], expanded, suggested, [{}] * 3, {page_hash: [holder]}, shots, lambda _: [], lambda ids: {}, frozenset()
    )
    assert [frame.at for frame in result[0][7].details.frames] == ats


def test_a_segment_ends_at_the_end_of_each_video() -> None:
    seeds = range(100, 110)
    query = replace(video_query(*video(*seeds)), duration=9.4)
    result = match(query, {7: FILM[:10]}, last=0.2)[7].details
    assert [(segment.query, segment.listed) for segment in result.segments] == [((0, 9.4), (0, 9.2))]
    assert result.covered == (1, 1)


def test_a_still_image_is_no_segment_at_any_length() -> None:
    assert match(video_query(*video(*[130] * 60)), {7: FILM}) == {}
    assert match(video_query(*video(*range(100, 160))), {7: [FILM[30]] * 60}) == {}


def test_a_short_animation_is_found_by_its_few_frames() -> None:
    loop = {7: [FILM[3], FILM[9]]}
    (result,) = match(video_query(*video(3 + 100, 103, 109, 109, step=0.5)), loop).values()
    assert result.details.segments[0].query == (0, 2)
    assert result.details.covered == pytest.approx((0.8, 1), abs=0.2)
    assert match(video_query(*video(103, 103, 103, 103)), {7: FILM}) == {}
    assert match(video_query(*video(1, 2, 103, 4)), loop) == {}


def test_each_listed_video_is_aligned_separately() -> None:
    result = match(video_query(*video(*range(110, 130))), {7: FILM, 8: FILM[15:25], 9: [signal(s) for s in range(30)]})
    assert {id: matches.details.segments[0].query for id, matches in result.items()} == {7: (0, 20), 8: (5, 15)}


def test_only_signals_of_videos_have_times() -> None:
    hash = signal(1)
    picture_holder = Holder(hash, 1, 1, None, Standing.UNREVIEWED, None)
    video_holder = picture_holder._replace(contribution=2, extent=Extent(9.0))
    assert signals_of_framed_items({hash: [picture_holder, video_holder]}) == {2: {hash}}
    shots = {(2, hash): (ShotTimes(5.0, 6.0), ShotTimes(1.0, 1.0))}
    assert places_of([video_holder, video_holder._replace(signal=signal(2))], shots).at == (1.0, 5.0)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 40)), min_size=1, max_size=40),
    st.lists(st.integers(0, 20), min_size=1, max_size=40),
)
def test_segments_are_within_both_videos(query: list[tuple[int, int]], listed: list[int]) -> None:
    frames = [Frame(float(at), (near(signal(seed), bits),), 90) for at, (seed, bits) in enumerate(query)]
    for result in match(video_query(*frames), {7: [signal(seed) for seed in listed]}).values():
        for segment in result.details.segments:
            assert 0 <= segment.query[0] < segment.query[1] <= len(query)
            assert 0 <= segment.listed[0] <= segment.listed[1] <= len(listed) + 1
        assert result.details.covered is None or all(0 < part <= 1 for part in result.details.covered)


def test_repeating_slide_shows_are_aligned_with_bounded_work() -> None:
    slides = [signal(seed) for seed in range(4)]
    result = match(video_query(*video(*list(range(4)) * 100)), dict.fromkeys(range(1, 6), slides * 50))
    for matches in result.values():
        assert matches.details.covered == pytest.approx((1, 1), abs=0.05)
        assert len(matches.details.segments) <= 4
    assert len(result) == 5


def test_the_result_is_truncated_if_not_all_videos_are_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = dict.fromkeys(range(1, 5), FILM)
    clip = video_query(*video(*range(110, 130)))
    assert not match(clip, listed).truncated
    monkeypatch.setattr(matching_frames, "MOST_ALIGNED", 3)
    result = match(clip, listed)
    assert result.truncated
    assert set(result) == {1, 2, 3}


def test_queries_of_one_request_share_a_work_limit_and_small_ones_come_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matching_frames, "MOST_WORK", 5_000)
    listed = {7: FILM, 8: [signal(place % 2) for place in range(400)]}
    loops = [video_query(*video(*[0, 1] * 10))] * 30
    result = match_each([*loops, video_query(*video(*range(110, 120)))], listed)
    assert set(result[30]) == {7} and not result[30].truncated
    complete = [position for position in range(30) if not result[position].truncated]
    assert 1 <= len(complete) < 5
    assert all(result[position] == {} for position in range(30) if position not in complete)


class CountingSignals(list[Signal]):
    """A list of signals that counts how many of them are read."""

    read = 0

    def __iter__(self) -> Iterator[Signal]:
        for hash in super().__iter__():
            CountingSignals.read += 1
            yield hash


def test_frames_a_millisecond_apart_are_compared_with_bounded_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matching_frames, "MOST_WORK", 10_000)
    common = video(1, 2, 3)
    different = [tuple(signal(1_000 + 8 * place + each) for each in range(8)) for place in range(300)]
    after = [Frame(2 + place / 1_000, signals) for place, signals in enumerate(different, 1)]
    listed = [ListedShot(frame.at, frame.at, frame.signals) for frame in common]
    listed += [ListedShot(frame.at, frame.at, CountingSignals(map(inverted, frame.signals))) for frame in after]
    query = video_query(*common, *after, min_seconds=2.0)
    held = {
        frame.signals[0]: [Holder(frame.signals[0], 7, 1, None, Standing.UNREVIEWED, None, Extent(60))]
        for frame in common
    }
    shots = {(7, frame.signals[0]): (ShotTimes(frame.at, frame.at),) for frame in common}
    expanded = expand([query])
    suggested = [{hash: 0 for hash in frame.signals if hash in held} for frame in expanded.queries]
    CountingSignals.read = 0
    result = match_frames(
        [query], expanded, suggested, [{} for _ in suggested], held, shots, lambda id: listed, lambda ids: {}
    )[0]
    assert result[7].details.segments[0].frames == 3
    assert 0 < CountingSignals.read <= 10_000


def inverted(hash: Signal) -> Signal:
    return Signal(hash.algorithm, hash.value ^ (1 << hash.algorithm.bits) - 1)


def test_the_result_is_truncated_if_not_all_frames_were_searched() -> None:
    queries = [video_query(*video(1, 2)), video_query(*video(3, 4))]
    expanded = expand(queries)
    nothing: list[dict[Signal, int]] = [{} for _ in expanded.queries]
    result = match_frames(queries, expanded, nothing, [{}] * 6, {}, {}, lambda id: [], lambda ids: {}, {1})
    assert [result[position].truncated for position in range(2)] == [False, True]


def test_a_clip_is_found_even_if_its_frames_are_in_many_other_videos() -> None:
    intro = [signal(seed) for seed in range(5)]
    shared = dict.fromkeys(range(10, 210), intro)
    result = match(video_query(*video(*range(5), *range(120, 130))), {7: [*intro, *FILM], **shared})
    assert [segment.query for segment in result[7].details.segments] == [(5, 15), (0, 5)]
    assert result[10].details.segments[0].query == (0, 5)
