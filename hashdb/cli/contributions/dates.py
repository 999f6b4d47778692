"""Times in a member's list: ISO 8601 with or without a zone, and the other shapes that the member names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, available_timezones

import click

from hashdb.domain.spelling import did_you_mean
from hashdb.domain.times import format_instant, from_microseconds

SHAPES: Final = {
    "day-first": "3.11.2026 and 03/11/2026 are 3 November",
    "month-first": "11/03/2026 is 3 November",
    "unix": "seconds since 1970, like 1793700000",
    "unix-milliseconds": "milliseconds since 1970, like 1793700000000",
    "excel": "days since 1900 as Excel stores them, like 46329.5",
}
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_CLOCK_AND_ZONE = (
    r"(?:[Tt ,]+(?P<hour>\d\d?):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:[.,](?P<fraction>\d+))?)?"
    r"(?:\s*(?P<half>[AaPp])\.?[Mm]\.?)?\s*(?P<zone>[Zz]|UTC|GMT|[+-]\d\d(?::?\d\d)?)?)?"
)
_YEAR_FIRST = re.compile(rf"(?P<a>\d{{4}})([-/.])(?P<b>\d\d?)\2(?P<c>\d\d?){_CLOCK_AND_ZONE}", re.ASCII)
_YEAR_LAST = re.compile(rf"(?P<a>\d\d?)([-/.])(?P<b>\d\d?)\2(?P<c>\d{{4}}){_CLOCK_AND_ZONE}", re.ASCII)
_NUMBER = re.compile(r"(\d{4,14})(?:\.(\d{1,20}))?", re.ASCII)
_OFFSET = re.compile(r"([+-])(\d\d):?(\d\d)?", re.ASCII)
_EXCEL_ORIGIN = datetime(1899, 12, 30, tzinfo=UTC)
_NUMBERS: Final = {"unix": (9, 10), "unix-milliseconds": (12, 13), "excel": (5, 5)}
"""By shape, the fewest and the most digits before the point. So the earliest times are of 1973, 1973 and 1927."""
_UNKNOWN = "is not a time that import reads: write it like 2026-11-20T10:00:00Z"


@dataclass(frozen=True, slots=True)
class Dates:
    """How the times of a list are read: in which zone, if they have none, and in which shape beside ISO 8601."""

    zone: tzinfo | None = None
    shape: str | None = None

    def read(self, text: str) -> str:
        """The time in RFC 3339. Raises ValueError with a sentence that says what to pass."""
        if _RFC3339.fullmatch(text):
            # The draft is validated later: there, 30 February is a fault.
            return text
        try:
            if parts := _YEAR_FIRST.fullmatch(text):
                return self._instant(parts, (parts["a"], parts["b"], parts["c"]))
            if parts := _YEAR_LAST.fullmatch(text):
                return self._instant(parts, self._year_first(parts))
            if parts := _NUMBER.fullmatch(text):
                return self._number(parts[1], parts[2] or "")
        except OverflowError:
            raise ValueError("is not a valid time") from None
        raise ValueError(_UNKNOWN)

    def _year_first(self, parts: re.Match[str]) -> tuple[str, str, str]:
        """The year, month and day of a date that is written with its year last."""
        if self.shape == "day-first":
            return parts["c"], parts["b"], parts["a"]
        if self.shape == "month-first":
            return parts["c"], parts["a"], parts["b"]
        raise ValueError("is a date with its year last: pass --dates day-first or --dates month-first")

    def _instant(self, parts: re.Match[str], date: tuple[str, str, str]) -> str:
        """The time in RFC 3339 of a year, month and day, and of the clock and zone in `parts`."""
        hour = int(parts["hour"] or 0)
        if half := parts["half"]:
            if not 1 <= hour <= 12:
                raise ValueError("is not a valid time")
            hour = hour % 12 + (12 if half in "Pp" else 0)
        fraction = int((parts["fraction"] or "")[:6].ljust(6, "0"))
        year, month, day = map(int, date)
        minute, second = int(parts["minute"] or 0), int(parts["second"] or 0)
        try:
            local = datetime(year, month, day, hour, minute, second, fraction, UTC)
        except ValueError:
            raise ValueError("is not a valid time") from None
        if parts["zone"]:
            return format_instant(local.replace(tzinfo=_fixed(parts["zone"])))
        return self._local(local, is_day=parts["hour"] is None)

    def _number(self, whole: str, fraction: str) -> str:
        """The time in RFC 3339 of a number, whose digits before and after the point these are."""
        fitting = [shape for shape, (least, most) in _NUMBERS.items() if least <= len(whole) <= most]
        if not fitting:
            raise ValueError(_UNKNOWN)
        if self.shape not in fitting:
            raise ValueError(f"is a number: if it is a time, pass --dates {fitting[0]}")
        if self.shape == "excel":
            # Fifteen digits of days are exact to less than a millisecond.
            clock = timedelta(seconds=round(float(f"0.{fraction}0") * 86_400, 3))
            return self._local(_EXCEL_ORIGIN + timedelta(days=int(whole)) + clock, is_day=not fraction)
        # Of a second or a millisecond.
        millionths = int(whole) * 1_000_000 + int(fraction[:6].ljust(6, "0"))
        return format_instant(from_microseconds(millionths if self.shape == "unix" else millionths // 1_000))

    def _local(self, local: datetime, *, is_day: bool) -> str:
        """The time in RFC 3339 of `local`: a date and time of `self.zone`, although it is marked as UTC until here.

        A day without a clock (`is_day`) stands for its start, also where the clocks change at that moment.
        """
        if self.zone is None:
            raise ValueError("has no time zone: pass --timezone, like --timezone UTC or --timezone Europe/Berlin")
        early, late = (local.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
        if not is_day and early.utcoffset() != late.utcoffset():
            if early.astimezone(UTC).astimezone(self.zone).replace(tzinfo=UTC) != local:
                raise ValueError(f"does not exist in {self.zone}: the clocks skipped it")
            offsets = " or ".join(f"{at:%z}" for at in (early, late))
            raise ValueError(
                f"is ambiguous in {self.zone}, because the clocks were set back: add the offset, {offsets}"
            )
        return format_instant(early)


def _fixed(offset: str) -> tzinfo:
    """The zone of `Z`, `UTC`, `GMT`, `+01`, `+0100` or `+01:00`. Raises ValueError."""
    if offset.upper() in ("Z", "UTC", "GMT"):
        return UTC
    parts = _OFFSET.fullmatch(offset)
    if parts is None:
        raise ValueError("is not an offset")
    ahead = timedelta(hours=int(parts[2]), minutes=int(parts[3] or 0))
    if ahead >= timedelta(days=1) or int(parts[3] or 0) > 59:
        raise ValueError("is not a valid time")
    return timezone(ahead if parts[1] == "+" else -ahead)


class Zone(click.ParamType[tzinfo]):
    """A time zone by its name in the time zone database, `UTC`, or an offset."""

    name = "zone"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tzinfo:
        """The zone; a usage error if there is none of this name."""
        if isinstance(value, tzinfo):
            return value
        try:
            return _fixed(value) if value[:1] in "+-" or value.upper() in ("UTC", "Z") else ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            known = sorted(available_timezones())
            hint = did_you_mean(value, known) if known else ": this machine has no others, install its package tzdata"
            self.fail(f"{value!r} is not a time zone, like Europe/Berlin, UTC or +01:00{hint}", param, ctx)
