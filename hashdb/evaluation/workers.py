"""The pictures of a folder, measured in processes of their own."""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context

from hashdb.evaluation.samples import Job, Sample, Unfit, measure
from hashdb.evaluation.schemes import Scheme

_THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def measure_all(jobs: Sequence[Job], scheme: Scheme, processes: int) -> Iterator[Sample | Unfit]:
    """What comes of each picture, in order; no more than a few are under way, so memory stays flat.

    With one process, in this one. Processes are spawned: a fork would take threads' locks along.
    """
    if processes == 1:
        for job in jobs:
            yield measure(job, scheme)
        return
    with ProcessPoolExecutor(processes, get_context("spawn"), _leave_interrupts) as pool:
        rest = iter(jobs)
        running: deque[Future[Sample | Unfit]] = deque()
        with _one_thread_each():
            running.extend(pool.submit(measure, job, scheme) for job in islice(rest, 3 * processes))
        try:
            while running:
                yield running.popleft().result()
                running.extend(pool.submit(measure, job, scheme) for job in islice(rest, 1))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Have processes that start here multiply small matrices on one thread.

    BLAS would take a thread a core in each of them, and these spend most of their time waiting for each other: of
    pictures that are asked about with transforms, on two busy cores, three times the time of one thread.
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


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal: the one that waits for the others tells of it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
