"""Calls that are made at the same moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import TypeVar

_T = TypeVar("_T")


def at_once(calls: Sequence[Callable[[], _T]]) -> list[_T]:
    """What the calls answer, each in a thread, all begun at the same moment."""
    gate = Barrier(len(calls))

    def called(call: Callable[[], _T]) -> _T:
        gate.wait(10)
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(called, calls))
