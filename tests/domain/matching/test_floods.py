"""Flood guard: hits are counted in steps of five minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.matching.floods import flood_step
from tests.builders import NOON


@pytest.mark.parametrize(("seconds", "step"), [(0, 0), (299.999999, 0), (300, 300), (-0.000001, -300), (1000, 900)])
def test_a_time_is_rounded_down_to_five_minutes(seconds: float, step: int) -> None:
    assert flood_step(NOON + timedelta(seconds=seconds)) == NOON + timedelta(seconds=step)
