"""What is told of every answer: a line of the log, two counts, and where that is set, a span."""

from __future__ import annotations

import json
import logging
import sys
import time

from flask import Flask, Response, g, request

from hashdb.domain.accounts.members import Actor
from hashdb.domain.times import format_instant, from_microseconds
from hashdb.web.context import AppState, app_state, hashdb, told_budgets
from hashdb.web.limits import budgets_of
from hashdb.web.request_id import current

NOWHERE = ("(any)", "(none)")
"""The method and the route of a request for which there is none."""


def register(app: Flask) -> None:
    """Tell of every request of the application when it is answered."""
    app.before_request(_start)
    app.after_request(_log_response)


def log_answer(face: AppState, method: str, route: str, status: int, started: float, actor: Actor | None) -> None:
    """Tell of one answer, to a request begun at `started` of the performance counter."""
    seconds = time.perf_counter() - started
    write_line(method, route, status, seconds, actor)
    face.metrics.tell(method, route, status, seconds)
    if face.traces is not None:
        face.traces.tell(method, route, status, seconds, actor)


def _start() -> None:
    g.started = time.perf_counter()


def _log_response(response: Response) -> Response:
    # The rule, not the path: what somebody else put into an address may be anything.
    rule = request.url_rule
    method, route = (request.method, rule.rule) if rule else NOWHERE
    if (who := g.get("actor")) is not None:
        response.headers.extend(told_budgets(hashdb(), who, budgets_of(request.method, request.endpoint)))
    log_answer(app_state(), method, route, response.status_code, g.get("started", time.perf_counter()), who)
    return response


log = logging.getLogger("hashdb.access")


def write_json_lines() -> None:
    """Let this process write what hashdb logs to standard error, a JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    root = logging.getLogger("hashdb")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False


class _Lines(logging.Formatter):
    """A record as one JSON object; nothing in it can start a line of its own."""

    def format(self, record: logging.LogRecord) -> str:
        at = format_instant(from_microseconds(int(record.created * 1_000_000)))
        said = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        if id := current():
            said["request_id"] = id
        return json.dumps(said | getattr(record, "request", {}))


def write_line(method: str, route: str, status: int, seconds: float, actor: Actor | None) -> None:
    """Log one request, which took so long to answer."""
    if not log.isEnabledFor(logging.INFO):
        return
    said = {
        "method": method,
        "route": route,
        "status": status,
        "ms": round(seconds * 1000, 2),
        "actor": str(actor) if actor else None,
    }
    # As `log.info` does, without the search for who calls it.
    log.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, "request", (), None, extra={"request": said}))
