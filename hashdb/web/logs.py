"""The log of requests: one JSON line each, without query string, key, address or hash."""

from __future__ import annotations

import json
import logging
import sys
import time

from flask import Flask, Response, g, request

from hashdb.domain.instants import format_instant, from_microseconds
from hashdb.domain.members import Actor
from hashdb.web.context import face

log = logging.getLogger("hashdb.access")


def register(app: Flask) -> None:
    """Log and count every request of the application when it is answered."""
    app.before_request(_start)
    app.after_request(_tell)


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
        return json.dumps(said | getattr(record, "request", {}))


def tell(method: str, route: str, status: int, started: float, actor: Actor | None) -> None:
    """Log one request, begun at `started` of the performance counter."""
    if not log.isEnabledFor(logging.INFO):
        return
    said = {
        "method": method,
        "route": route,
        "status": status,
        "ms": round((time.perf_counter() - started) * 1000, 2),
        "actor": str(actor) if actor else None,
    }
    # As `log.info` does, without the search for who calls it.
    log.handle(log.makeRecord(log.name, logging.INFO, __file__, 0, "request", (), None, extra={"request": said}))


def _start() -> None:
    g.started = time.perf_counter()


def _tell(response: Response) -> Response:
    # The rule, not the path: what somebody else put into an address may be anything.
    rule = request.url_rule
    method, route = (request.method, rule.rule) if rule else ("(any)", "(none)")
    started = g.get("started", time.perf_counter())
    tell(method, route, response.status_code, started, g.get("actor"))
    face().metrics.tell(method, route, response.status_code, time.perf_counter() - started)
    return response
