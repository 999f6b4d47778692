"""The log of requests: one JSON line each, without query string, key, address or hash."""

from __future__ import annotations

import json
import logging
import sys
import time

from flask import Flask, Response, g, request

from hashdb.domain.instants import format_instant, from_microseconds

log = logging.getLogger("hashdb.access")


def register(app: Flask) -> None:
    """Log every request of the application when it is answered."""
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


def _start() -> None:
    g.started = time.perf_counter()


def _tell(response: Response) -> Response:
    # The rule, not the path: what somebody else put into an address may be anything.
    rule = request.url_rule.rule if request.url_rule else "(none)"
    actor = g.get("actor")
    said = {
        "method": request.method if request.url_rule else "(any)",
        "route": rule,
        "status": response.status_code,
        "ms": round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 2),
        "actor": str(actor) if actor else None,
    }
    log.info("request", extra={"request": said})
    return response
