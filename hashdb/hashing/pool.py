"""Hashing in processes of its own, which a hostile picture can neither take down nor hold."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice, repeat
from queue import LifoQueue
from threading import Condition
from typing import Self

from hashdb.domain.signals import Algorithm
from hashdb.errors import HashingBusy, UnreadablePicture
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.pictures import Limits
from hashdb.hashing.worker import Worker

_SLOW_A_CALL = 2
"""Pictures that take all their time, of those handed over together, before the rest of them is not tried."""


class HashingPool:
    """Hashes pictures in `workers` processes, each of which is replaced when a picture breaks it.

    `queue` pictures may wait beside those that are being hashed; each has `seconds` once it has its worker, and
    `memory_bytes` of address space beyond what the process takes at rest. Processes start when first needed and end
    with `close()`, or with this process, however it ends. Any thread may use it; after a fork, each side has its own.
    """

    def __init__(self, workers: int, queue: int, seconds: float, memory_bytes: int, limits: Limits) -> None:
        self._workers = workers
        self._capacity = workers + queue
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._limits = limits
        self._changed = Condition()
        self._owner = 0

    def hash(
        self, pictures: Sequence[bytes], algorithms: Sequence[Algorithm], modes: Iterable[Mode] = repeat(Mode.PLAIN)
    ) -> list[Hashed | UnreadablePicture]:
        """For each picture, in order, its signals or why there are none; `modes` has one for each.

        When two have taken all the time that they have, the others are not tried. Raises HashingBusy where they do not
        all find a place (an idle pool takes any number), and Unavailable where no process can be started.
        """
        threads, slow = self._admit(len(pictures)), list[Mode]()
        if len(pictures) == 1:
            # In this thread: to hand one picture on to another costs two changes of threads, and gains nothing.
            try:
                return [self._hash_one(pictures[0], algorithms, mode, slow) for mode in islice(modes, 1)]
            finally:
                self._release()
        jobs = [
            threads.submit(self._hash_one, octets, algorithms, mode, slow)
            for octets, mode in zip(pictures, modes, strict=False)
        ]
        for job in jobs:
            job.add_done_callback(self._release)
        return [job.result() for job in jobs]

    def close(self) -> None:
        """End the processes, once the pictures that wait are hashed."""
        with self._changed:
            if self._owner != os.getpid():
                return
            self._changed.wait_for(lambda: not self._pending)
            self._owner = 0
            self._threads.shutdown()
            while not self._idle.empty():
                self._idle.get().stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _admit(self, count: int) -> ThreadPoolExecutor:
        with self._changed:
            if self._owner != os.getpid():
                self._start()
            if self._pending and self._pending + count > self._capacity:
                raise HashingBusy(retry_after=1)
            self._pending += count
            return self._threads

    def _start(self) -> None:
        self._owner = os.getpid()
        self._pending = 0
        self._threads = ThreadPoolExecutor(self._workers, "hashing")
        self._idle = LifoQueue[Worker]()
        for _ in range(self._workers):
            self._idle.put(Worker(self._seconds, self._memory_bytes, self._limits))

    def _release(self, _: Future[Hashed | UnreadablePicture] | None = None) -> None:
        with self._changed:
            self._pending -= 1
            self._changed.notify_all()

    def _hash_one(
        self, octets: bytes, algorithms: Sequence[Algorithm], mode: Mode, slow: list[Mode]
    ) -> Hashed | UnreadablePicture:
        worker, started = self._idle.get(), time.monotonic()
        try:
            if len(slow) >= _SLOW_A_CALL:
                raise UnreadablePicture("the picture is not tried: others that came with it take too long")
            self._limits.check_bytes(len(octets))
            return worker.hash(octets, algorithms, mode)
        except UnreadablePicture as refusal:
            if time.monotonic() - started > self._seconds:
                slow.append(mode)
            # A new one: this one's traceback would keep the picture in memory.
            return UnreadablePicture(refusal.reason)
        finally:
            self._idle.put(worker)
