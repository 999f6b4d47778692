"""Instants as aware UTC datetimes, their RFC 3339 text, and periods of days."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?P<hour>\d\d):\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:(?P<minutes>\d\d))", re.ASCII
)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def parse_instant(text: str) -> datetime:
    """The UTC instant of an RFC 3339 date-time with a zone; digits after the microsecond are cut.

    Raises ValueError, whose text is a sentence about the input.
    """
    parts = _RFC3339.fullmatch(text)
    if not parts:
        raise ValueError("must be an RFC 3339 time with a zone, like 2026-11-20T10:00:00Z")
    try:
        # Python accepts zones of 99 minutes and, in newer versions, the hour 24.
        if parts["hour"] > "23" or (parts["minutes"] or "") > "59":
            raise ValueError
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("is not a valid time") from None


@lru_cache(4096)
def format_instant(at: datetime) -> str:
    """The RFC 3339 text in UTC with microseconds, the only form that hashdb writes.

    >>> format_instant(parse_instant("2026-11-20T11:00:00+01:00"))
    '2026-11-20T10:00:00.000000Z'
    """
    return f"{at.astimezone(UTC).isoformat(timespec='microseconds')[:-6]}Z"


def to_microseconds(at: datetime) -> int:
    """The microseconds since 1970 in UTC, which is how the store keeps instants."""
    return (at - EPOCH) // MICROSECOND


def from_microseconds(count: int) -> datetime:
    """The UTC instant so many microseconds after the start of 1970; the inverse of `to_microseconds`."""
    return EPOCH + timedelta(microseconds=count)


@dataclass(frozen=True, slots=True)
class Period:
    """The days from the first to the last, both included."""

    first: date
    last: date

    @property
    def start(self) -> datetime:
        """The first instant of the period."""
        return datetime.combine(self.first, time.min, UTC)

    @property
    def end(self) -> datetime:
        """The first instant after the period."""
        if self.last == date.max:
            return datetime.max.replace(tzinfo=UTC)
        return datetime.combine(self.last, time.min, UTC) + timedelta(days=1)

    def __contains__(self, at: datetime) -> bool:
        """Whether the period contains an instant."""
        return self.start <= at < self.end
