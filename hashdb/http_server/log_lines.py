"""The log of a server: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

from hashdb.domain.times import format_instant, from_microseconds
from hashdb.http_server import request_id


def write_json_lines() -> None:
    """Send the log of this process to standard error, one JSON object per line."""
    handler = _JSONLines(sys.stderr)
    handler.setFormatter(_JSONFormatter())
    _root.handlers[:] = [handler]
    _root.setLevel(logging.INFO)
    _root.propagate = False


_root = logging.getLogger("hashdb")


class _JSONLines(logging.StreamHandler[TextIO]):
    """Also writes lines that are no records of `logging`: a record takes longer than the line of a request."""

    def write_line(self, line: str) -> None:
        """Write a line. Like a record, it is lost if it cannot be written."""
        with self.lock:  # type: ignore[union-attr]
            try:
                self.stream.write(line + self.terminator)
                self.stream.flush()
            except (OSError, ValueError):
                pass


class _JSONFormatter(logging.Formatter):
    """Formats a record as one JSON object; a line feed in the message is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        at = format_instant(from_microseconds(int(record.created * 1_000_000)))
        entry = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        if id := request_id.current():
            entry["request_id"] = id
        return json.dumps(entry)


def write_line(method: str, route: str, status: int, seconds: float, actor: str | None) -> None:
    """Write the log line of one request, if this process writes JSON lines.

    `seconds` is the time to its response; `actor` is the name of who sent it, such as `key:7`, None if unknown.
    """
    for handler in _root.handlers:
        if isinstance(handler, _JSONLines):
            at = datetime.now(UTC).isoformat(timespec="microseconds").removesuffix("+00:00")
            # An id has no character that JSON escapes.
            id = f'"request_id": "{id}", ' if (id := request_id.current()) else ""
            before, after = _around_duration(method, route, status, actor)
            milliseconds = round(seconds * 1000, 2)
            handler.write_line(
                f'{{"at": "{at}Z", "level": "info", "message": "request", {id}{before}{milliseconds}{after}'
            )


@lru_cache(1_024)
def _around_duration(method: str, route: str, status: int, actor: str | None) -> tuple[str, str]:
    """The parts of a line before and after the duration. Cached, as many lines have the same."""
    before = json.dumps({"method": method, "route": route, "status": status})
    return f'{before[1:-1]}, "ms": ', f', "actor": {json.dumps(actor)}}}'
