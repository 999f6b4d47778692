"""Runs the steps of an evaluation in several processes."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from typing import Any, Final, TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_THREADS: Final = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
_state: Any = None
"""What `build` has returned in this process."""


def _nothing() -> None:
    """A function of its own, because a lambda cannot be sent to another process."""


def run(
    function: Callable[[_Item], _Result],
    items: Iterable[_Item],
    processes: int,
    build: Callable[[], object] = _nothing,
    advance: Callable[[], object] = _nothing,
) -> Iterator[_Result]:
    """The result for each item, in order. Only a few items are in progress at once, so memory stays constant.

    One process means this process. Others are spawned, because a fork would copy held locks of threads.
    `build` is called once in each process, before the first item; `with_state` passes its result to a function.
    `advance` is called in this process, once for each result.
    """
    if processes == 1:
        _build(build)
        for item in items:
            result = function(item)
            advance()
            yield result
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _start, (build,)) as pool:
        waiting = iter(items)
        running: deque[Future[_Result]] = deque()
        with one_thread_each():
            running.extend(pool.submit(function, item) for item in islice(waiting, 3 * processes))
        try:
            while running:
                result = running.popleft().result()
                advance()
                yield result
                running.extend(pool.submit(function, item) for item in islice(waiting, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def with_state(function: Callable[[Any, _Item], _Result], item: _Item) -> _Result:
    """The result of a function of two arguments: what `build` returned in this process, and an item."""
    return function(_state, item)


def _build(build: Callable[[], object]) -> None:
    global _state
    _state = build()


def _start(build: Callable[[], object]) -> None:
    # Ctrl-C reaches every process of a terminal: the parent handles it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _build(build)


@contextmanager
def one_thread_each() -> Iterator[None]:
    """Within the block, started processes use one thread for matrix products.

    By default, BLAS uses a thread for each core in each process, and the threads mostly wait for each other: with
    transforms, on two busy cores, that took three times the time of one thread.
    """
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
