"""What is exported of contributions: lines of CSV or JSON, one at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from hashdb.domain.contributions import Contribution
from hashdb.domain.instants import format_instant
from hashdb.wire.cells import line
from hashdb.wire.contributions import ContributionOut

FORMS = {"csv": "text/csv", "jsonl": "application/x-ndjson"}
_COLUMNS = (
    "id",
    "member",
    "member_name",
    "status",
    "standing",
    "received_at",
    "signals",
    "labels",
    "removed_at",
    "quality",
    "media",
    "severity",
    "basis",
    "tco_ground",
    "entity",
    "incident",
    "context",
    "notified_at",
    "reference",
    "expires_at",
    "withdrawn_at",
    "withdrawal_reason",
    "erased",
)
_END = "\r\n"


def lines(found: Iterable[Contribution], form: str) -> Iterator[str]:
    """The text of an export, in pieces; lists are separated by spaces in CSV."""
    if form == "jsonl":
        yield from (f"{ContributionOut.of(one).json_text()}\n" for one in found)
        return
    yield line(_COLUMNS, _END)
    for one in found:
        yield line((_cell(getattr(one, name)) for name in _COLUMNS), _END)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return format_instant(value)
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return str(value)
