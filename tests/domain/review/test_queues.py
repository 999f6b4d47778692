"""Queues: the ages of cases."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hashdb.domain.review.queues import Age


def test_the_ages_of_cases_follow_each_other_without_a_gap() -> None:
    bounds = [age.bounds for age in Age]
    assert (bounds[0][0], bounds[-1][1]) == (timedelta(0), None)
    assert all(end == start for (_, end), (start, _) in pairwise(bounds))
