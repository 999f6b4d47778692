"""Where the time of one match request goes: the application called in this process, with a clock around each part.

The clock counts the processor's time of this thread, so that other work on the machine does not add to any part.
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

from hashdb.service import HashDB, open_hashdb
from hashdb.service.matching import matches
from hashdb.settings import Settings
from hashdb.web import access_log as web_logs
from hashdb.web import create_app, fast_path
from hashdb.web.limits import RateLimits
from hashdb.wsgi.log_lines import write_json_lines
from scripts.benchmarks.homes import post_environ

PARTS = ("key", "freshness", "parse", "limits", "search", "store", "answer", "counts", "log", "the rest")
"""`limits` are rates and budgets with their headers, `counts` what statistics and the guard against probing note."""
_WARM = 200


def measure(home: Path, key: str, bodies: Sequence[bytes]) -> dict[str, float]:
    """Microseconds of each part of a request, the mean (most requests find nothing); `all` is the whole request."""
    settings = Settings.read().model_copy(update={"home": home})
    db = open_hashdb(settings.database, settings.rules(), index=home / "index")
    db.index.catch_up()
    with _silent():
        app = create_app(db, settings)
        taken: dict[str, list[float]] = defaultdict(list)
        with _timed(taken, db, app.extensions["hashdb"].limits):
            warm = min(_WARM, len(bodies) // 4)
            for body in bodies[:warm]:
                _call(app, key, body)
            taken.clear()
            for body in bodies[warm:]:
                taken["all"].append(_call(app, key, body))
    db.close()
    means = {name: sum(each) / len(taken["all"]) * 1e6 for name, each in taken.items()}
    found = {name: means.get(name, 0.0) for name in PARTS}
    found["the rest"] = means["all"] - sum(found[name] for name in PARTS[:-1])
    return found | {"all": means["all"], "all, median": statistics.median(taken["all"]) * 1e6}


def _call(app: Callable[..., Any], key: str, body: bytes) -> float:
    """Seconds of this thread's processor time for one request."""
    statuses: list[str] = []
    environ = post_environ("/v1/matches", body, key)
    begun = time.thread_time()
    b"".join(app(environ, lambda status, headers, info=None: statuses.append(status)))
    taken = time.thread_time() - begun
    if not statuses[0].startswith("200"):
        raise SystemExit(f"a request failed: {statuses[0]}")
    return taken


@contextmanager
def _timed(taken: dict[str, list[float]], db: HashDB, limits: RateLimits) -> Iterator[None]:
    """Clocks around the functions that do each part, for the length of the block; a part within another is its own."""
    within: list[float] = [0.0]

    def clocked(part: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            begun = time.thread_time()
            within.append(0.0)
            try:
                return act(*arguments, **named)
            finally:
                passed = time.thread_time() - begun
                taken[part].append(passed - within.pop())
                within[-1] += passed

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
        # Where something is found, the store is read; what is left is the request's checks.
        (matches, "match", "store"),
        (fast_path, "answer_text", "answer"),
        (db.stats, "note_answer", "counts"),
        (db.suspicions, "note", "counts"),
        (web_logs, "log_answer", "log"),
    ]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, part in places:
        setattr(owner, name, clocked(part, getattr(owner, name)))
    try:
        yield
    finally:
        for owner, name, act in before:
            setattr(owner, name, act)


@contextmanager
def _silent() -> Iterator[None]:
    """Log as a worker does, to nowhere."""
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
    """Measure in the process of its own: HOME KEY FOLDER-OF-BODIES."""
    home, key, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    bodies = [path.read_bytes() for path in sorted(folder.iterdir())]
    print(json.dumps(measure(home, key, bodies)))


if __name__ == "__main__":
    main()
