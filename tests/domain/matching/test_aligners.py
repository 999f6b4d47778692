"""Alignment of windows of words and of pages, without a store. test_frames.py tests that of videos."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.aligners import Aligner, ListedShot, Near, ShotTimes, WorkBudget
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.segments import Segment
from hashdb.domain.signals import Algorithm, Signal
from hashdb.hashing.texts import QUERY_STEP, hash_text
from tests.builders import near, pages, signal, words


def read(id: int) -> list[ListedShot]:
    raise AssertionError("pages and words are not extended")


def aligned(
    queried: tuple[Frame, ...], listed: tuple[Frame, ...], unit: Unit, *, steps: int = 10_000, **fields: int
) -> tuple[Segment, ...]:
    """The segments of a query and a listed item. Each queried frame is compared with each listed one."""
    near: dict[Signal, list[Near]] = {}
    times: dict[Signal, tuple[ShotTimes, ...]] = {}
    for listed_frame in listed:
        (held,) = listed_frame.signals
        times[held] = (*times.get(held, ()), ShotTimes(listed_frame.at, listed_frame.end))
        for frame in queried:
            if frame.signals[0].algorithm is not held.algorithm:
                continue
            distance = frame.signals[0].distance(held)
            if distance <= held.algorithm.radius and len(times[held]) == 1:
                near.setdefault(held, []).append(Near(frame.at, distance, None))
    query = Query((), frames=queried, **fields)  # type: ignore[arg-type]
    weights = dict.fromkeys(near, 1.0)
    aligner = Aligner(query, unit, queried, near, weights, read, WorkBudget(steps))
    matched = {signal: stretches for signal, stretches in times.items() if signal in near}
    return aligner.segments(7, matched, queried[-1].end, listed[-1].end) if matched else ()


def query_windows(*parts: list[str]) -> tuple[Frame, ...]:
    return hash_text(" ".join(word for part in parts for word in part), step=QUERY_STEP)


LISTED = words(1, 1_500)
WINDOWS = hash_text(" ".join(LISTED))


@pytest.mark.parametrize("start", [0, 30, 410, 777])
@pytest.mark.parametrize("changed", [0, 10])
def test_a_segment_ends_where_the_words_stop_agreeing(start: int, changed: int) -> None:
    rng = random.Random(start)
    copied = [f"other{rng.random()}" if rng.random() * 100 < changed else word for word in LISTED[start : start + 400]]
    (segment,) = aligned(query_windows(words(2, 615), copied, words(3, 500)), WINDOWS, Unit.WORDS)
    assert segment.query == pytest.approx((615, 1_015), abs=60)
    assert segment.listed == pytest.approx((start, start + 400), abs=60)
    assert segment.speed == pytest.approx(1.0, abs=0.05)


def test_omitted_words_do_not_end_a_segment() -> None:
    segments = aligned(query_windows(words(2, 300), LISTED[:400], LISTED[440:800]), WINDOWS, Unit.WORDS)
    assert segments[0].query == pytest.approx((300, 1_060), abs=60)
    assert segments[0].listed == pytest.approx((0, 800), abs=60)


@pytest.mark.parametrize("offset", [-150, -100, 100, 150, 200])
def test_parts_with_words_inserted_or_omitted_between_are_two_segments(offset: int) -> None:
    """The second part starts two to four steps away from the place where the first would continue."""
    first, second = LISTED[150:750], LISTED[750 + max(0, offset) : 1_400]
    queried = query_windows(words(2, 500), first, words(3, max(0, -offset)), second, words(4, 400))
    segments = sorted(aligned(queried, WINDOWS, Unit.WORDS), key=lambda segment: segment.query)
    assert [segment.speed for segment in segments] == [1.0, 1.0]
    assert segments[0].listed[0] - segments[0].query[0] == pytest.approx(150 - 500, abs=25)
    assert segments[1].listed[0] - segments[1].query[0] == pytest.approx(150 - 500 + offset, abs=25)
    ends = segments[0].query[0], segments[1].query[1]
    assert ends == pytest.approx((500, 500 + len(first) + max(0, -offset) + len(second)), abs=60)


@pytest.mark.parametrize("count", [150, 170, 225])
def test_a_segment_of_a_short_listed_text_is_not_longer_than_the_text(count: int) -> None:
    listed = words(1, count)
    (segment,) = aligned(query_windows(words(2, 510), listed, words(3, 500)), hash_text(" ".join(listed)), Unit.WORDS)
    assert segment.listed == pytest.approx((0, count), abs=15)
    assert segment.query == pytest.approx((510, 510 + count), abs=15)
    assert segment.length <= count


def test_a_passage_that_is_repeated_in_the_query_has_two_segments() -> None:
    segments = aligned(query_windows(LISTED[:300], words(2, 500), LISTED[:300]), WINDOWS, Unit.WORDS)
    assert sorted(round(segment.query[0], -2) for segment in segments) == [0, 800]
    assert all(segment.listed == pytest.approx((0, 300), abs=60) for segment in segments)


def test_segments_stay_within_both_texts_and_have_whole_numbers_of_words() -> None:
    for segment in aligned(query_windows(LISTED), WINDOWS, Unit.WORDS):
        assert 0 <= segment.query[0] < segment.query[1] <= len(LISTED)
        assert 0 <= segment.listed[0] < segment.listed[1] <= len(LISTED)
        assert all(isinstance(place, int) for place in (*segment.query, *segment.listed))


def test_different_texts_have_no_segments() -> None:
    assert aligned(query_windows(words(2, 3_000)), WINDOWS, Unit.WORDS) == ()


def test_segments_of_pages_have_page_numbers() -> None:
    (segment,) = aligned(pages(9, 8, 1, 2, 3, 7), pages(1, 2, 3, 4), Unit.PAGES)
    assert (segment.query, segment.listed, segment.length) == ((3, 5), (1, 3), 3)
    assert {
        (segment.query, segment.listed)
        for segment in aligned(pages(3, 20, 30, 40, 50, 60, 1), pages(1, 2, 3), Unit.PAGES)
    } == {
        ((1, 1), (3, 3)),
        ((7, 7), (1, 1)),
    }


def test_pdq_or_a_near_phash256_identifies_a_page_and_phash_does_not() -> None:
    """Pages of plain text are near each other by phash256, and by hashes of 64 bits."""

    def by(algorithm: Algorithm, away: int) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
        listed = [signal(seed, algorithm) for seed in (1, 2)]
        queried = [near(hash, away) for hash in listed]
        return tuple(
            tuple(Frame(page, (hash,), 90, unit=Unit.PAGES) for page, hash in enumerate(signals, 1))
            for signals in (queried, listed)
        )  # type: ignore[return-value]

    assert aligned(*by(Algorithm.PDQ, 16), Unit.PAGES)
    assert not aligned(*by(Algorithm.PDQ, 18), Unit.PAGES)
    assert aligned(*by(Algorithm.PHASH256, 28), Unit.PAGES)
    assert not aligned(*by(Algorithm.PHASH256, 29), Unit.PAGES)
    assert not aligned(*by(Algorithm.PHASH, 0), Unit.PAGES)
    (queried, listed), (pdq_queried, pdq_listed) = by(Algorithm.PHASH256, 40), by(Algorithm.PDQ, 10)
    (segment,) = aligned((pdq_queried[0], queried[1]), (pdq_listed[0], listed[1]), Unit.PAGES)
    assert (segment.query, segment.listed) == ((1, 2), (1, 2))


def test_a_work_budget_is_spent_at_its_limit() -> None:
    budget = WorkBudget(5)
    assert not budget.is_spent
    budget.spend(5)
    assert budget.is_spent


@pytest.mark.parametrize("lengths", [(2_000, 20, 1), (1, 2_000, 150), (20, 20, 2_000)])
def test_windows_of_any_length_give_segments_within_the_text(lengths: tuple[int, ...]) -> None:
    """A member may send windows that hashdb itself does not make."""
    signals = [signal(seed, Algorithm.SIMHASH256) for seed in range(3)]
    frames = tuple(
        Frame(50 * place, (hash,), unit=Unit.WORDS, length=length)
        for place, (hash, length) in enumerate(zip(signals, lengths, strict=True))
    )
    blurred = tuple(replace(frame, signals=(near(frame.signals[0], 12 * place),)) for place, frame in enumerate(frames))
    for segment in aligned(blurred, frames, Unit.WORDS, min_words=1):
        assert 0 <= segment.query[0] < segment.query[1] <= 2_100
        assert 0 <= segment.listed[0] <= segment.listed[1] <= 2_100
