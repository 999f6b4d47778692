"""Reports: percentiles by nearest rank, and shares."""

from __future__ import annotations

from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.stats.reports import Durations, Grade, Interval, Precision


@given(st.lists(st.integers(-300, 10**7), min_size=1))
def test_percentiles_use_the_nearest_rank(seconds: list[int]) -> None:
    durations, ordered = Durations.from_seconds(seconds), sorted(seconds)
    assert durations.median == ordered[ceil(len(ordered) / 2) - 1]
    assert durations.p90 == ordered[ceil(len(ordered) * 9 / 10) - 1]
    assert durations.count == len(seconds)


def test_the_shares_within_an_hour_and_a_day_include_their_bounds() -> None:
    durations = Durations.from_seconds([3600, 3601, 86_400, 86_401])
    assert (durations.within_1h, durations.within_24h) == (0.25, 0.75)


def test_figures_of_no_values_are_none() -> None:
    assert Durations.from_seconds([]) == Durations(0, None, None, None, None)
    assert (Precision(0, 0).share, Precision(0, 0).interval, Precision(0, 0).grade) == (None, None, Grade.OPEN)
    assert Precision(2, 1).share == 0.6667


@pytest.mark.parametrize(
    ("count", "total", "expected"), [(3, 3, (0.4385, 1.0)), (0, 3, (0.0, 0.5615)), (81, 263, (0.2553, 0.3662))]
)
def test_the_interval_is_the_wilson_score_interval(count: int, total: int, expected: tuple[float, float]) -> None:
    # The last row is the example of R. G. Newcombe, Statistics in Medicine 17 (1998), table I.
    assert Interval.from_counts(count, total) == expected


@given(st.integers(0, 500), st.integers(0, 500))
def test_more_judgements_with_the_same_share_narrow_the_interval(confirmed: int, disputed: int) -> None:
    few, many = Precision(confirmed, disputed), Precision(10 * confirmed, 10 * disputed)
    if few.share is None or few.interval is None or many.interval is None:
        assert (few.count, few.interval) == (0, None)
        return
    assert 0 <= few.interval.low <= few.share <= few.interval.high <= 1
    assert many.interval.high - many.interval.low < few.interval.high - few.interval.low


def test_a_grade_needs_enough_judgements() -> None:
    grades = {(3, 0): Grade.OPEN, (34, 0): Grade.OPEN, (35, 0): Grade.HIGH, (900, 100): Grade.OPEN}
    grades |= {(0, 3): Grade.LOW, (2, 1): Grade.OPEN, (700, 300): Grade.LOW, (930, 70): Grade.HIGH}
    assert {counts: Precision(*counts).grade for counts in grades} == grades
