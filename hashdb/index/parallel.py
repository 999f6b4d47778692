"""Searches on more than one processor: only where one is idle, so that nothing else gets slower."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from threading import Thread
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")
_LOAD = "/proc/loadavg"


def has_idle_processor() -> bool:
    """Whether fewer threads than processors of this process run on this machine now; False if the system does not say.

    This thread is one of those that run.
    """
    try:
        with open(_LOAD, encoding="ascii") as load:
            running = int(load.read().split()[3].partition("/")[0])
    except (OSError, ValueError, IndexError):
        return False
    return running < len(os.sched_getaffinity(0))


def in_threads(work: Callable[[T], R], parts: Sequence[T]) -> list[R]:
    """The results of the parts in order, the last one worked on in this thread, the others in a thread each.

    Parts for which no thread can be started are worked on in this one. Raises what the first part raised that failed.
    """
    results: dict[int, R] = {}
    failures: dict[int, BaseException] = {}

    def run(number: int) -> None:
        try:
            results[number] = work(parts[number])
        except BaseException as failure:
            failures[number] = failure

    threads: list[Thread] = []
    # The numbers of the parts that this thread works on.
    own = [len(parts) - 1]
    for number in range(len(parts) - 1):
        thread = Thread(target=run, args=(number,), daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # The system has no more threads, or the interpreter ends.
            own.append(number)
        else:
            threads.append(thread)
    for number in own:
        run(number)
    for thread in threads:
        thread.join()
    if failures:
        raise failures[min(failures)]
    return [results[number] for number in range(len(parts))]
