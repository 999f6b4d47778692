"""Real processes for the tests, forked from a server that has imported hashdb already."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["alembic.command", "psycopg", "tests.builders"])


@contextmanager
def processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """A pool in which `count` functions run at once, each in a process of its own."""
    with ProcessPoolExecutor(count, mp_context=_CONTEXT) as pool:
        yield pool
