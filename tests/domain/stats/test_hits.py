"""Hits: those of closed days are stored at the start of the first open day."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hashdb.domain.stats.counts import Hit, in_open_days
from tests.builders import NOON

DAY = timedelta(days=1)
TODAY = NOON.date()
MIDNIGHT = NOON.replace(hour=0)
HIT = Hit(TODAY, 3, 17, NOON, NOON + timedelta(hours=1), 9, 2, {"pdq": 4})
YESTERDAY = replace(HIT, day=TODAY - DAY, first_at=NOON - DAY, last_at=NOON - DAY, seq=7, times=5, distance={"pdq": 8})


def test_hits_of_open_days_are_unchanged() -> None:
    assert in_open_days([HIT, YESTERDAY], TODAY - 2 * DAY, TODAY) == [YESTERDAY, HIT]


def test_hits_of_closed_days_move_to_the_start_of_the_first_open_day() -> None:
    other = replace(YESTERDAY, contribution=18)
    before = replace(YESTERDAY, day=TODAY - 2 * DAY, seq=6, times=1, distance={"pdq": 0})
    merged, moved = in_open_days([HIT, YESTERDAY, before, other], TODAY - DAY, TODAY)
    assert merged == Hit(TODAY, 3, 17, MIDNIGHT, HIT.last_at, 6, 8, {"pdq": 0})
    assert moved == replace(other, day=TODAY, first_at=MIDNIGHT, last_at=MIDNIGHT)
