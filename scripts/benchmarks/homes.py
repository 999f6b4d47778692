"""Helpers of the benchmarks: keys of new members, folders and environments of commands, requests, timers."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from wsgiref.types import WSGIEnvironment

from werkzeug.test import create_environ

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings


def new_key(db: HashDB, *scopes: Scope, name: str = "benchmark") -> str:
    """Add a member and a key with these scopes; return the secret of the key."""
    member = members.add(db, COMMAND_LINE, MemberDraft(name, MemberKind.PLATFORM))
    return members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(frozenset(scopes))).secret


def new_actor(db: HashDB, *scopes: Scope, name: str = "benchmark") -> Actor:
    """Add a member and a key with these scopes; return the actor of the key."""
    return members.authenticate(db, new_key(db, *scopes, name=name))


def new_home(home: Path, *scopes: Scope) -> str:
    """Create the home of a service with one member; return the secret of the member's key."""
    home.mkdir()
    settings = Settings(home=home)
    db = open_hashdb(settings.database, settings.rules())
    secret = new_key(db, *scopes)
    db.close()
    return secret


@contextmanager
def kept_or_temporary(folder: Path | None) -> Iterator[Path]:
    """Yield `folder` and keep it; without it, yield a temporary folder and delete it afterwards."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name:
        yield Path(name)


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a command with this home and only these settings (`HASHDB_…`)."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    return others | {"HASHDB_HOME": str(home)} | settings


def post_environ(path: str, body: bytes, key: str) -> WSGIEnvironment:
    """The WSGI environment of a POST request with JSON, as the server of a worker creates it."""
    return create_environ(
        path,
        "http://127.0.0.1:8000/",
        method="POST",
        data=body,
        content_type="application/json",
        headers={"Authorization": f"Bearer {key}"},
        environ_base={"REMOTE_ADDR": "127.0.0.1"},
        multithread=True,
    )


def seconds(act: Callable[[], object]) -> float:
    """Seconds that one call takes."""
    started = time.perf_counter()
    act()
    return time.perf_counter() - started


def median_seconds(act: Callable[[], object], times: int) -> float:
    """The median duration of a number of calls, in seconds."""
    return median(seconds(act) for _ in range(times))
