"""Floods: hits are kept by five minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.matching.matches import flood_step
from tests.builders import NOON


@pytest.mark.parametrize(("seconds", "step"), [(0, 0), (299.999999, 0), (300, 300), (-0.000001, -300), (1000, 900)])
def test_an_instant_belongs_to_the_five_minutes_that_it_is_in(seconds: float, step: int) -> None:
    assert flood_step(NOON + timedelta(seconds=seconds)) == NOON + timedelta(seconds=step)
