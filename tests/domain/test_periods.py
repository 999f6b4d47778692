"""Periods: both their days are included in full."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hashdb.domain.times import Period

PERIOD = Period(date(2026, 11, 20), date(2026, 11, 21))


def test_a_period_includes_both_days_from_midnight_to_midnight() -> None:
    start = datetime(2026, 11, 20, tzinfo=UTC)
    moments = [start - timedelta(microseconds=1), start, start + timedelta(days=2, microseconds=-1), PERIOD.end]
    assert [at in PERIOD for at in moments] == [False, True, True, False]
    assert (PERIOD.start, PERIOD.end) == (start, start + timedelta(days=2))


def test_a_period_to_the_last_day_of_the_calendar_is_allowed() -> None:
    assert datetime(9999, 12, 31, 23, tzinfo=UTC) in Period(date.min, date.max)
