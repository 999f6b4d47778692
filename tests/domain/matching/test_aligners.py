"""Aligned units: windows of words and pages, without a store; seconds are tried with the videos."""

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
    asked: tuple[Frame, ...], listed: tuple[Frame, ...], unit: Unit, *, steps: int = 10_000, **fields: int
) -> tuple[Segment, ...]:
    """The segments of a query and a listed item, each frame compared with each."""
    near: dict[Signal, list[Near]] = {}
    times: dict[Signal, tuple[ShotTimes, ...]] = {}
    for one in listed:
        (held,) = one.signals
        times[held] = (*times.get(held, ()), ShotTimes(one.at, one.end))
        for frame in asked:
            if frame.signals[0].algorithm is not held.algorithm:
                continue
            distance = frame.signals[0].distance(held)
            if distance <= held.algorithm.radius and len(times[held]) == 1:
                near.setdefault(held, []).append(Near(frame.at, distance, None))
    query = Query((), frames=asked, **fields)  # type: ignore[arg-type]
    weights = dict.fromkeys(near, 1.0)
    aligner = Aligner(query, unit, asked, near, weights, read, WorkBudget(steps))
    found = {signal: stretches for signal, stretches in times.items() if signal in near}
    return aligner.segments(7, found, asked[-1].end, listed[-1].end) if found else ()


def asked_words(*parts: list[str]) -> tuple[Frame, ...]:
    return hash_text(" ".join(word for part in parts for word in part), step=QUERY_STEP)


LISTED = words(1, 1_500)
WINDOWS = hash_text(" ".join(LISTED))


@pytest.mark.parametrize("start", [0, 30, 410, 777])
@pytest.mark.parametrize("changed", [0, 10])
def test_a_segment_ends_where_the_words_agree_no_longer(start: int, changed: int) -> None:
    rng = random.Random(start)
    copied = [f"other{rng.random()}" if rng.random() * 100 < changed else word for word in LISTED[start : start + 400]]
    (segment,) = aligned(asked_words(words(2, 615), copied, words(3, 500)), WINDOWS, Unit.WORDS)
    assert segment.query == pytest.approx((615, 1_015), abs=60)
    assert segment.listed == pytest.approx((start, start + 400), abs=60)
    assert segment.speed == pytest.approx(1.0, abs=0.05)


def test_words_that_were_left_out_do_not_end_a_segment() -> None:
    segments = aligned(asked_words(words(2, 300), LISTED[:400], LISTED[440:800]), WINDOWS, Unit.WORDS)
    assert segments[0].query == pytest.approx((300, 1_060), abs=60)
    assert segments[0].listed == pytest.approx((0, 800), abs=60)


@pytest.mark.parametrize("apart", [-150, -100, 100, 150, 200])
def test_parts_with_other_words_or_none_between_them_are_two_segments_each_at_its_place(apart: int) -> None:
    """The second part is two to four steps from where the first one would go on."""
    first, second = LISTED[150:750], LISTED[750 + max(0, apart) : 1_400]
    asked = asked_words(words(2, 500), first, words(3, max(0, -apart)), second, words(4, 400))
    segments = sorted(aligned(asked, WINDOWS, Unit.WORDS), key=lambda segment: segment.query)
    assert [segment.speed for segment in segments] == [1.0, 1.0]
    assert segments[0].listed[0] - segments[0].query[0] == pytest.approx(150 - 500, abs=25)
    assert segments[1].listed[0] - segments[1].query[0] == pytest.approx(150 - 500 + apart, abs=25)
    ends = segments[0].query[0], segments[1].query[1]
    assert ends == pytest.approx((500, 500 + len(first) + max(0, -apart) + len(second)), abs=60)


@pytest.mark.parametrize("count", [150, 170, 225])
def test_of_a_listed_text_that_is_shorter_than_the_windows_around_it_the_query_shows_no_more_words(count: int) -> None:
    listed = words(1, count)
    (segment,) = aligned(asked_words(words(2, 510), listed, words(3, 500)), hash_text(" ".join(listed)), Unit.WORDS)
    assert segment.listed == pytest.approx((0, count), abs=15)
    assert segment.query == pytest.approx((510, 510 + count), abs=15)
    assert segment.length <= count


def test_a_text_that_repeats_itself_has_a_segment_for_each_time() -> None:
    segments = aligned(asked_words(LISTED[:300], words(2, 500), LISTED[:300]), WINDOWS, Unit.WORDS)
    assert sorted(round(segment.query[0], -2) for segment in segments) == [0, 800]
    assert all(segment.listed == pytest.approx((0, 300), abs=60) for segment in segments)


def test_segments_stay_within_both_texts_and_are_whole_words() -> None:
    for segment in aligned(asked_words(LISTED), WINDOWS, Unit.WORDS):
        assert 0 <= segment.query[0] < segment.query[1] <= len(LISTED)
        assert 0 <= segment.listed[0] < segment.listed[1] <= len(LISTED)
        assert all(isinstance(place, int) for place in (*segment.query, *segment.listed))


def test_of_different_texts_nothing_agrees() -> None:
    assert aligned(asked_words(words(2, 3_000)), WINDOWS, Unit.WORDS) == ()


def test_pages_are_named_by_their_numbers() -> None:
    (segment,) = aligned(pages(9, 8, 1, 2, 3, 7), pages(1, 2, 3, 4), Unit.PAGES)
    assert (segment.query, segment.listed, segment.length) == ((3, 5), (1, 3), 3)
    assert {
        (one.query, one.listed) for one in aligned(pages(3, 20, 30, 40, 50, 60, 1), pages(1, 2, 3), Unit.PAGES)
    } == {
        ((1, 1), (3, 3)),
        ((7, 7), (1, 1)),
    }


def test_a_page_is_told_by_pdq_or_by_a_near_phash256_and_others_only_beside_it() -> None:
    """Pages of plain text are near each other by phash256, and by hashes of 64 bits."""

    def by(algorithm: Algorithm, away: int) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
        listed = [signal(seed, algorithm) for seed in (1, 2)]
        asked = [near(one, away) for one in listed]
        return tuple(
            tuple(Frame(page, (one,), 90, unit=Unit.PAGES) for page, one in enumerate(signals, 1))
            for signals in (asked, listed)
        )  # type: ignore[return-value]

    assert aligned(*by(Algorithm.PDQ, 16), Unit.PAGES)
    assert not aligned(*by(Algorithm.PDQ, 18), Unit.PAGES)
    assert aligned(*by(Algorithm.PHASH256, 28), Unit.PAGES)
    assert not aligned(*by(Algorithm.PHASH256, 29), Unit.PAGES)
    assert not aligned(*by(Algorithm.PHASH, 0), Unit.PAGES)
    (asked, listed), (told, of) = by(Algorithm.PHASH256, 40), by(Algorithm.PDQ, 10)
    (segment,) = aligned((told[0], asked[1]), (of[0], listed[1]), Unit.PAGES)
    assert (segment.query, segment.listed) == ((1, 2), (1, 2))


def test_the_budget_of_a_request_is_spent() -> None:
    budget = WorkBudget(5)
    assert not budget.is_spent
    budget.spend(5)
    assert budget.is_spent


@pytest.mark.parametrize("lengths", [(2_000, 20, 1), (1, 2_000, 150), (20, 20, 2_000)])
def test_windows_of_any_length_make_segments_of_at_least_a_word_within_the_text(lengths: tuple[int, ...]) -> None:
    """A member may send what hashdb does not make."""
    signals = [signal(seed, Algorithm.SIMHASH256) for seed in range(3)]
    frames = tuple(
        Frame(50 * place, (one,), unit=Unit.WORDS, length=length)
        for place, (one, length) in enumerate(zip(signals, lengths, strict=True))
    )
    blurred = tuple(replace(frame, signals=(near(frame.signals[0], 12 * place),)) for place, frame in enumerate(frames))
    for segment in aligned(blurred, frames, Unit.WORDS, min_words=1):
        assert 0 <= segment.query[0] < segment.query[1] <= 2_100
        assert 0 <= segment.listed[0] <= segment.listed[1] <= 2_100
