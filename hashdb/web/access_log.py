"""The access log: each response writes one line, updates two metrics, and sends a span if tracing is on."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import TextIO

from flask import Flask, Response, g, request

from hashdb.domain.accounts.members import Actor
from hashdb.domain.times import format_instant, from_microseconds
from hashdb.web.context import AppState, app_state, hashdb, remaining_budget_headers
from hashdb.web.limits import budgets_of
from hashdb.web.request_id import current

NO_ROUTE = ("(any)", "(none)")
"""Logged as method and route of a request that no route matches."""


def register(app: Flask) -> None:
    """Log every request of the application when it is answered."""
    app.before_request(_start)
    app.after_request(_log_response)


def log_answer(state: AppState, method: str, route: str, status: int, started: float, actor: Actor | None) -> None:
    """Log, count and trace one response. `started` is the `time.perf_counter()` of the request's start."""
    seconds = time.perf_counter() - started
    write_line(method, route, status, seconds, actor)
    state.metrics.count_request(method, route, status, seconds)
    if state.traces is not None:
        state.traces.record_span(method, route, status, seconds, actor)


def _start() -> None:
    g.started = time.perf_counter()


def _log_response(response: Response) -> Response:
    # The rule, not the path: a client may put anything into the path, even a hash.
    rule = request.url_rule
    method, route = (request.method, rule.rule) if rule else NO_ROUTE
    if (actor := g.get("actor")) is not None:
        response.headers.extend(remaining_budget_headers(hashdb(), actor, budgets_of(request.method, request.endpoint)))
    log_answer(app_state(), method, route, response.status_code, g.get("started", time.perf_counter()), actor)
    return response


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
        if id := current():
            entry["request_id"] = id
        return json.dumps(entry)


def write_line(method: str, route: str, status: int, seconds: float, actor: Actor | None) -> None:
    """Write the log line of one request, if this process writes JSON lines. `seconds` is the time to its response."""
    for handler in _root.handlers:
        if isinstance(handler, _JSONLines):
            at = datetime.now(UTC).isoformat(timespec="microseconds")[:-6]
            # An id has no character that JSON escapes.
            id = f'"request_id": "{id}", ' if (id := current()) else ""
            request, by = _repeated(method, route, status, actor.name if actor else None)
            handler.write_line(
                f'{{"at": "{at}Z", "level": "info", "message": "request", {id}{request}{round(seconds * 1000, 2)}{by}'
            )


@lru_cache(1_024)
def _repeated(method: str, route: str, status: int, actor: str | None) -> tuple[str, str]:
    """What a line has before and after the time; many lines have the same."""
    before = json.dumps({"method": method, "route": route, "status": status})
    return f'{before[1:-1]}, "ms": ', f', "actor": {json.dumps(actor)}}}'
