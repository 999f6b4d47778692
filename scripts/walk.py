"""Measure how a request runs through the code: the depth of the calls, and the number of calls and SQL statements.

.venv/bin/python -m scripts.walk           prints the figures of a match with a hit and of a contribution
.venv/bin/python -m scripts.walk --calls   also prints every call, indented by its depth
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Any

from sqlalchemy import event
from sqlalchemy.pool import Pool

import hashdb
from hashdb.domain.accounts.members import Scope
from hashdb.service import HashDB, open_hashdb
from hashdb.settings import Settings
from hashdb.web import create_app
from scripts.benchmarks.homes import new_key, post_environ

_OURS = f"{Path(hashdb.__file__).parent}/"
_CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "PRAGMA")
_VALUES = ["f0" * 32, "0f" * 32, "cc" * 32, "33" * 32]
"""PDQ values with half of their bits set, at large distances from each other."""


@dataclass(slots=True)
class Walk:
    """The depth and the number of calls of functions of hashdb, and the number of SQL statements, for a request.

    Python's profiler counts each step of a generator as a call, and before Python 3.12 each comprehension too.
    """

    depth: int = 0
    calls: int = 0
    statements: int = 0
    lines: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """The figures as a sentence."""
        return f"{self.depth} frames deep, {self.calls} calls, {self.statements} statements"


def main() -> None:
    """Print the figures of a match and of a contribution."""
    for name, walk in walks().items():
        print(f"{name}: {walk}")
        if "--calls" in sys.argv:
            print(*walk.lines, sep="\n")


def walks() -> dict[str, Walk]:
    """The figures of a `POST /v1/matches` with a hit and a `POST /v1/contributions` with one item, on a new SQLite.

    Both requests go to the WSGI application, after requests of the same kind have filled the caches.
    """
    with TemporaryDirectory() as folder:
        settings = Settings(home=Path(folder))
        statements: list[str] = []

        def listen(connection: Any, record: object) -> None:
            # Count in the driver: hashdb reads the head of the log without SQLAlchemy.
            connection.set_trace_callback(statements.append)

        event.listen(Pool, "connect", listen)
        db = open_hashdb(f"sqlite:///{folder}/hashdb.sqlite", settings.rules())
        try:
            return _walks(db, settings, statements)
        finally:
            db.close()
            event.remove(Pool, "connect", listen)


def _walks(db: HashDB, settings: Settings, statements: list[str]) -> dict[str, Walk]:
    app = create_app(db, settings)
    key = new_key(db, Scope.MATCH, Scope.CONTRIBUTE)
    last: dict[str, Walk] = {}
    for value in _VALUES:
        last["contribution"] = _walk(app, key, "/v1/contributions", _contribution(value), statements)
    for value in _VALUES:
        last["match"] = _walk(app, key, "/v1/matches", {"queries": [{"signals": [f"pdq:{value}"]}]}, statements)
    return last


def _contribution(value: str) -> dict[str, Any]:
    content = {"signals": [f"pdq:{value}"], "quality": 100, "labels": ["glorification"], "basis": "terms"}
    return {"contributions": [content | {"media": "image", "removed_at": "2026-11-20T10:00:00Z"}]}


def _walk(app: Callable[..., Any], key: str, path: str, content: object, statements: list[str]) -> Walk:
    environ, statuses, walk = post_environ(path, json.dumps(content).encode(), key), list[str](), Walk()

    def start(status: str, headers: object, error: object = None) -> None:
        statuses.append(status)

    statements.clear()
    depth = 0

    def record_call(frame: FrameType, kind: str, argument: object) -> None:
        nonlocal depth
        code = frame.f_code
        if not code.co_filename.startswith(_OURS):
            return
        if kind == "call":
            depth += 1
            walk.calls += 1
            walk.depth = max(walk.depth, depth)
            walk.lines.append(f"{'  ' * depth}{code.co_filename[len(_OURS) :]} {code.co_qualname}")
        elif kind == "return":
            depth -= 1

    sys.setprofile(record_call)
    try:
        response = b"".join(app(environ, start))
    finally:
        sys.setprofile(None)
    walk.statements = sum(not text.startswith(_CONTROL) for text in statements)
    assert statuses[0] in ("200 OK", "201 CREATED"), response.decode()
    if path == "/v1/matches":
        assert json.loads(response)["results"][0]["matches"], "no match"
    return walk


if __name__ == "__main__":
    main()
