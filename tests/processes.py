"""Real processes for the tests, forked from a server that has imported hashdb already."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["alembic.command", "psycopg", "tests.builders", "hashdb.local.lookback"])


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool in which `count` functions run at once, each in a process of its own."""
    with ProcessPoolExecutor(count, mp_context=_CONTEXT) as pool:
        yield pool


def exit_code(function: Callable[..., None], *words: object) -> int | None:
    """How a process of its own ends that calls a function: 0, or −9 where it is killed."""
    process = _CONTEXT.Process(target=function, args=words)
    process.start()
    process.join(60)
    return process.exitcode


def children(pid: int) -> list[int]:
    """The processes that one has started (Linux)."""
    found: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, tasks.read_text().split())
    return found
