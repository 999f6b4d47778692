"""Runs the steps of an evaluation of videos or texts in several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import TypeVar

from hashdb.evaluation.samples import leave_interrupts, one_thread_each

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def run(
    call: Callable[[_Item], _Result],
    items: Sequence[_Item],
    *,
    processes: int,
    advance: Callable[[], object],
    prepare: Callable[[], None],
) -> list[_Result]:
    """The results, in order. One process means this process; others are spawned, as for pictures.

    `prepare` is called once in each process, and `advance` in this one after each result.
    """
    if processes == 1:
        prepare()
        results = []
        for item in items:
            results.append(call(item))
            advance()
        return results
    with one_thread_each(), ProcessPoolExecutor(processes, get_context("spawn"), _prepare_child, (prepare,)) as pool:
        running = [pool.submit(call, item) for item in items]
        try:
            for done in as_completed(running):
                done.result()
                advance()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
        return [each.result() for each in running]


def _prepare_child(prepare: Callable[[], None]) -> None:
    leave_interrupts()
    prepare()
