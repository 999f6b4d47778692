"""Run several calls at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

_T = TypeVar("_T")


def run_concurrently(calls: Sequence[Callable[[], _T]]) -> list[_T]:
    """Run each call in its own thread, start all of them at the same moment, and return their results."""
    gate = Barrier(len(calls))

    def wait_and_call(call: Callable[[], _T]) -> _T:
        gate.wait(10)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(wait_and_call, calls))
