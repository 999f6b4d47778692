"""A report as CSV: a figure a line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hashdb.domain.reports import Report
from hashdb.wire.cells import line
from hashdb.wire.reports import ReportOut


def csv_text(report: Report) -> str:
    """The same figures as CSV: what it is of (names joined by dots), and the number; empty where there is none."""
    told = ReportOut.of(report).model_dump(mode="json", by_alias=True)
    rows = (row for row in _figures(told, ()) if not row[0].startswith("members."))
    return "".join(map(line, [("figure", "value"), *rows]))


def _figures(told: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(told, Mapping):
        for name, value in told.items():
            yield from _figures(value, (*path, str(name)))
    else:
        yield ".".join(path), "" if told is None else str(told).lower() if isinstance(told, bool) else told
