"""The log of requests: one JSON line each, without query string, key, address or hash."""

from __future__ import annotations

import json
import logging
import sys

from hashdb.domain.accounts.members import Actor
from hashdb.domain.times import format_instant, from_microseconds
from hashdb.web.identity import current

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


def tell(method: str, route: str, status: int, seconds: float, actor: Actor | None) -> None:
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
