"""Ages of cases."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from hashdb.domain.review.queues import Age


def test_every_age_is_one_of_them() -> None:
    bounds = [age.bounds for age in Age]
    assert (bounds[0][0], bounds[-1][1]) == (timedelta(0), None)
    assert all(below == least for (_, below), (least, _) in pairwise(bounds))
