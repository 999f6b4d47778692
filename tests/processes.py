"""Processes for the tests, forked from a server that has already imported hashdb."""

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
    """A pool that runs `count` functions at once, each in its own process."""
    with ProcessPoolExecutor(count, mp_context=_CONTEXT) as pool:
        yield pool


def exit_code(function: Callable[..., None], *words: object) -> int | None:
    """Call a function in its own process, and return the exit code of the process: 0, or −9 if it was killed."""
    process = _CONTEXT.Process(target=function, args=words)
    process.start()
    process.join(60)
    return process.exitcode


def children(pid: int) -> list[int]:
    """The ids of the child processes of a process (Linux)."""
    pids: list[int] = []
    for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            pids += map(int, tasks.read_text().split())
    return pids
