"""Measure the parts of a match request: call the application in this process, with a timer around each part.

The timer counts the processor time of this thread, so other work on the machine does not add to any part.
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hashdb.http_server.log_lines import write_json_lines
from hashdb.service import HashDB, open_hashdb
from hashdb.service.matching import matches
from hashdb.settings import Settings
from hashdb.web import access_log as web_logs
from hashdb.web import create_app, fast_path
from hashdb.web.limits import RateLimits
from scripts.benchmarks.homes import post_environ

PARTS = ("key", "freshness", "parse", "limits", "search", "store", "answer", "counts", "log", "the rest")
"""`limits` are rates and budgets with their headers; `counts` are those of the statistics and of the probing guard."""
_WARM = 200


def measure(home: Path, key: str, bodies: Sequence[bytes]) -> dict[str, float]:
    """Mean microseconds of each part of a request (most requests match nothing); `all` is the whole request."""
    settings = Settings.read().model_copy(update={"home": home})
    db = open_hashdb(settings.database, settings.rules(), index=home / "index")
    db.index.catch_up()
    with _silent():
        app = create_app(db, settings)
        seconds: dict[str, list[float]] = defaultdict(list)
        with _timers(seconds, db, app.extensions["hashdb"].limits):
            warm_up = min(_WARM, len(bodies) // 4)
            for body in bodies[:warm_up]:
                _call(app, key, body)
            seconds.clear()
            for body in bodies[warm_up:]:
                seconds["all"].append(_call(app, key, body))
    db.close()
    means = {name: sum(values) / len(seconds["all"]) * 1e6 for name, values in seconds.items()}
    parts = {name: means.get(name, 0.0) for name in PARTS}
    parts["the rest"] = means["all"] - sum(parts[name] for name in PARTS[:-1])
    return parts | {"all": means["all"], "all, median": statistics.median(seconds["all"]) * 1e6}


def _call(app: Callable[..., Any], key: str, body: bytes) -> float:
    """Seconds of this thread's processor time for one request."""
    statuses: list[str] = []
    environ = post_environ("/v1/matches", body, key)
    started = time.thread_time()
    b"".join(app(environ, lambda status, headers, info=None: statuses.append(status)))
    seconds = time.thread_time() - started
    if not statuses[0].startswith("200"):
        raise SystemExit(f"a request failed: {statuses[0]}")
    return seconds


@contextmanager
def _timers(seconds: dict[str, list[float]], db: HashDB, limits: RateLimits) -> Iterator[None]:
    """Add a timer to the function of each part during the block. A nested part does not count for the outer one."""
    within: list[float] = [0.0]

    def timed(part: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **keywords: Any) -> Any:
            started = time.thread_time()
            within.append(0.0)
            try:
                return act(*arguments, **keywords)
            finally:
                elapsed = time.thread_time() - started
                seconds[part].append(elapsed - within.pop())
                within[-1] += elapsed

        return run

    places: list[tuple[Any, str, str]] = [
        (fast_path, "authenticate_key", "key"),
        (db.index, "catch_up", "freshness"),
        (db.follower, "catch_up", "freshness"),
        (fast_path, "read_queries", "parse"),
        *((limits, name, "limits") for name in ("count_address", "count_scope", "count_key")),
        (db.budgets, "spend", "limits"),
        (fast_path, "remaining_budget_headers", "limits"),
        (matches, "suggest", "search"),
        # If a query matches, the service reads the store. The rest of this time is the checks of the request.
        (matches, "match", "store"),
        (fast_path, "answer_text", "answer"),
        (db.stats, "note_answer", "counts"),
        (db.suspicions, "note", "counts"),
        (web_logs, "log_answer", "log"),
    ]
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, part in places:
        setattr(owner, name, timed(part, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, act in originals:
            setattr(owner, name, act)


@contextmanager
def _silent() -> Iterator[None]:
    """Write the log as a worker does, but to /dev/null."""
    write_json_lines()
    handler = logging.getLogger("hashdb").handlers[0]
    assert isinstance(handler, logging.StreamHandler)
    with open("/dev/null", "w") as nowhere:
        old = handler.setStream(nowhere)
        try:
            yield
        finally:
            handler.setStream(old or sys.stderr)


def main() -> None:
    """Print the figures for the arguments HOME, KEY and FOLDER, which has the bodies."""
    home, key, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    bodies = [path.read_bytes() for path in sorted(folder.iterdir())]
    print(json.dumps(measure(home, key, bodies)))


if __name__ == "__main__":
    main()
