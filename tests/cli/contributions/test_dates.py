"""Times as spreadsheets, databases and programs write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.cli.contributions.dates import SHAPES, Dates, Zone
from hashdb.domain.times import parse_instant

BERLIN, CAIRO = ZoneInfo("Europe/Berlin"), ZoneInfo("Africa/Cairo")


@pytest.mark.parametrize(
    ("text", "shape", "zone", "instant"),
    [
        ("2026-11-03T10:00:00Z", None, None, "2026-11-03T10:00:00Z"),
        ("2026-11-03 10:00:00.123456+00", None, None, "2026-11-03T10:00:00.123456Z"),
        ("2026-11-03 10:00:00 UTC", None, BERLIN, "2026-11-03T10:00:00Z"),
        ("2026-11-03T10:00-0530", None, None, "2026-11-03T15:30:00Z"),
        ("2026-11-03 10:00", None, BERLIN, "2026-11-03T09:00:00Z"),
        ("2026-07-03", None, BERLIN, "2026-07-02T22:00:00Z"),
        ("2026/7/3 9:05", None, UTC, "2026-07-03T09:05:00Z"),
        ("3.11.2026", "day-first", UTC, "2026-11-03T00:00:00Z"),
        ("03/11/2026 14:05:33", "day-first", BERLIN, "2026-11-03T13:05:33Z"),
        ("11/03/2026 2:05 PM", "month-first", UTC, "2026-11-03T14:05:00Z"),
        ("11/3/2026, 12:05:00 a.m.", "month-first", UTC, "2026-11-03T00:05:00Z"),
        ("2026-11-03T10:00:00Z", "month-first", None, "2026-11-03T10:00:00Z"),
        ("1793700000", "unix", None, "2026-11-03T10:00:00Z"),
        ("1793700000.25", "unix", BERLIN, "2026-11-03T10:00:00.25Z"),
        ("1793700000250", "unix-milliseconds", None, "2026-11-03T10:00:00.25Z"),
        ("46329", "excel", BERLIN, "2026-11-02T23:00:00Z"),
        ("46329.4166666667", "excel", UTC, "2026-11-03T10:00:00Z"),
        # A day that has no midnight begins at its first instant. If midnight occurs twice, the first one counts.
        ("2026-04-24", None, CAIRO, "2026-04-23T22:00:00Z"),
        ("2026-10-25", None, BERLIN, "2026-10-24T22:00:00Z"),
    ],
)  # fmt: skip
def test_a_time_is_read_in_the_given_format(text: str, shape: str | None, zone: ZoneInfo | None, instant: str) -> None:
    assert parse_instant(Dates(zone, shape).read(text)) == parse_instant(instant)


@pytest.mark.parametrize(
    ("text", "shape", "zone", "reason"),
    [
        ("2026-11-03", None, None, "has no time zone: pass --timezone"),
        ("3.11.2026", None, UTC, "pass --dates day-first or --dates month-first"),
        ("13/11/2026", "month-first", UTC, "is not a valid time"),
        ("3.11.26", "day-first", UTC, "is not a time that import reads"),
        ("20261103", "unix", UTC, "is not a time that import reads"),
        ("1793700000", "unix-milliseconds", UTC, "is a number: if it is a time, pass --dates unix"),
        ("1793700000250", None, UTC, "pass --dates unix-milliseconds"),
        ("46329.5", None, UTC, "pass --dates excel"),
        ("46329.5", "excel", None, "has no time zone"),
        ("3 Nov 2026", None, UTC, "write it like 2026-11-20T10:00:00Z"),
        ("2026-02-30", None, UTC, "is not a valid time"),
        ("11/03/2026 13:05 PM", "month-first", UTC, "is not a valid time"),
        ("2026-11-03 10:00+99:00", None, UTC, "is not a valid time"),
        ("0001-01-01", None, timezone(timedelta(hours=14)), "is not a valid time"),
        ("2026-03-29 02:30", None, BERLIN, "does not exist in Europe/Berlin: the clocks skipped it"),
        ("2026-10-25 02:30", None, BERLIN, "add the offset, +0200 or +0100"),
    ],
)  # fmt: skip
def test_an_ambiguous_or_invalid_time_is_rejected_with_a_hint(
    text: str, shape: str | None, zone: ZoneInfo, reason: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(reason)):
        Dates(zone, shape).read(text)


@given(
    st.datetimes(datetime(2026, 3, 29), datetime(2026, 3, 29, 4))  # noqa: DTZ001
    | st.datetimes(datetime(2026, 10, 25), datetime(2026, 10, 25, 4))  # noqa: DTZ001
)
def test_a_local_time_is_rejected_unless_it_is_exactly_one_instant(local: datetime) -> None:
    early, late = (local.replace(tzinfo=BERLIN, fold=fold) for fold in (0, 1))
    if early.utcoffset() == late.utcoffset():
        assert parse_instant(Dates(BERLIN).read(local.isoformat(" "))) == early
    else:
        with pytest.raises(ValueError, match="Europe/Berlin"):
            Dates(BERLIN).read(local.isoformat(" "))


@given(st.text(max_size=30), st.sampled_from([None, *SHAPES]), st.sampled_from([None, BERLIN]))
def test_times_are_returned_in_rfc_3339(text: str, shape: str | None, zone: ZoneInfo | None) -> None:
    try:
        read = Dates(zone, shape).read(text)
    except ValueError:
        return
    assert parse_instant(read)


def test_a_time_zone_is_a_name_or_an_offset() -> None:
    zone = Zone()
    assert [zone.convert(text, None, None) for text in ("utc", "Europe/Berlin")] == [UTC, BERLIN]
    assert zone.convert("-03:30", None, None).utcoffset(None) == timedelta(hours=-3, minutes=-30)
    for text, hint in (
        ("Europe/Berln", "did you mean 'Europe/Berlin'?"),
        ("../etc", ""),
        ("Europe", ""),
        ("+25:00", ""),
        ("+1", ""),
        ("-930", ""),
        ("", ""),
    ):
        with pytest.raises(click.BadParameter, match="is not a time zone") as caught:
            zone.convert(text, None, None)
        assert hint in caught.value.message
