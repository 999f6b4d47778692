"""Reports: percentiles by nearest rank, and shares."""

from __future__ import annotations

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.stats.reports import Durations, Precision


@given(st.lists(st.integers(-300, 10**7), min_size=1))
def test_percentiles_are_by_nearest_rank(seconds: list[int]) -> None:
    found, ordered = Durations.of(seconds), sorted(seconds)
    assert found.median == ordered[ceil(len(ordered) / 2) - 1]
    assert found.p90 == ordered[ceil(len(ordered) * 9 / 10) - 1]
    assert found.count == len(seconds)


def test_shares_are_of_an_hour_and_of_a_day_both_included() -> None:
    found = Durations.of([3600, 3601, 86_400, 86_401])
    assert (found.within_1h, found.within_24h) == (0.25, 0.75)


def test_of_nothing_there_is_no_number() -> None:
    assert Durations.of([]) == Durations(0, None, None, None, None)
    assert Precision(0, 0).share is None
    assert Precision(2, 1).share == 0.6667
