"""Times: they are parsed and formatted as in RFC 3339."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.times import EPOCH, format_instant, from_microseconds, parse_instant, to_microseconds

instants = st.datetimes(timezones=st.just(UTC))
offsets = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))

FORM = "^must be an RFC 3339 time with a zone, like 2026-11-20T10:00:00Z$"
CALENDAR = "^is not a valid time$"


@given(instants)
def test_a_time_is_parsed_back_from_its_text(at: datetime) -> None:
    text = format_instant(at)
    assert len(text) == 27
    assert parse_instant(text) == at
    assert format_instant(parse_instant(text)) == text


@given(instants)
def test_a_time_is_converted_to_microseconds_and_back(at: datetime) -> None:
    assert from_microseconds(to_microseconds(at)) == at


@given(instants.filter(lambda at: 2 <= at.year <= 9998), offsets)
def test_a_time_in_any_zone_is_converted_to_utc(utc: datetime, zone: timezone) -> None:
    at = utc.astimezone(zone)
    parsed = parse_instant(at.isoformat())
    assert (parsed, parsed.tzinfo) == (at, UTC)
    assert parse_instant(format_instant(at)) == at


def test_microseconds_count_from_1970() -> None:
    assert to_microseconds(EPOCH) == 0
    assert to_microseconds(datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC)) == -1
    assert to_microseconds(datetime(2001, 9, 9, 1, 46, 40, tzinfo=UTC)) == 10**15


@pytest.mark.parametrize(
    ("text", "formatted"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00.000000Z"),
        ("2026-11-20t10:00:00z", "2026-11-20T10:00:00.000000Z"),
        ("2026-11-20 10:00:00Z", "2026-11-20T10:00:00.000000Z"),
        ("2026-11-20T10:00:00.5Z", "2026-11-20T10:00:00.500000Z"),
        ("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00.123456Z"),
        ("2026-11-20T10:00:00.9999999+00:00", "2026-11-20T10:00:00.999999Z"),
        ("2026-11-20T00:30:00+01:00", "2026-11-19T23:30:00.000000Z"),
        ("2026-11-20T10:00:00-00:00", "2026-11-20T10:00:00.000000Z"),
        ("2026-11-20T10:00:00+23:59", "2026-11-19T10:01:00.000000Z"),
        ("2024-02-29T23:59:59-12:00", "2024-03-01T11:59:59.000000Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
        ("0001-01-01T01:00:00+01:00", "0001-01-01T00:00:00.000000Z"),
        ("0999-06-01T00:00:00Z", "0999-06-01T00:00:00.000000Z"),
        ("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ("9999-12-31T22:59:59-01:00", "9999-12-31T23:59:59.000000Z"),
    ],
)
def test_a_time_is_formatted_in_one_form(text: str, formatted: str) -> None:
    assert format_instant(parse_instant(text)) == formatted


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-11-20",
        "2026-11-20T10:00:00",
        "2026-11-20T10:00Z",
        "2026-11-20T10:00:00+01",
        "2026-11-20T10:00:00+0100",
        "2026-11-20T10:00:00.Z",
        "2026-11-20T10:00:00,5Z",
        "2026-11-20T10:00:00.1234567890Z",
        "2026-11-20T10:00:00Z ",
        " 2026-11-20T10:00:00Z",
        "2026-11-20T10:00:00Z\n",
        "20261120T100000Z",
        "2026-W47-5T10:00:00Z",
        "+2026-11-20T10:00:00Z",
        "1763632800",
        "\N{ARABIC-INDIC DIGIT TWO}026-11-20T10:00:00Z",
        "now",
    ],
)
def test_a_time_in_another_form_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=FORM):
        parse_instant(text)


@pytest.mark.parametrize(
    "text",
    [
        "2026-02-29T10:00:00Z",
        "2026-13-01T10:00:00Z",
        "2026-00-10T10:00:00Z",
        "2026-11-31T10:00:00Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T10:60:00Z",
        "2016-12-31T23:59:60Z",
        "2026-11-20T10:00:00+24:00",
        "2026-11-20T10:00:00+01:60",
        "2026-11-20T10:00:00-00:99",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_a_time_that_is_not_in_the_calendar_is_rejected(text: str) -> None:
    with pytest.raises(ValueError, match=CALENDAR):
        parse_instant(text)
