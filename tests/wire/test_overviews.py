"""The console's overview as a query string."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hashdb.wire.overviews import DAYS, OverviewQuery


def test_a_period_is_one_of_those_offered() -> None:
    assert [OverviewQuery.model_validate({"days": str(days)}).days for days in DAYS] == list(DAYS)
    for wrong in ("0", "31", "x", ""):
        with pytest.raises(ValidationError):
            OverviewQuery.model_validate({"days": wrong})
