"""Hashing in processes of its own, which a hostile picture can neither take down nor hold."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from queue import LifoQueue
from threading import Condition
from typing import Self

from hashdb.domain.signals import Algorithm
from hashdb.domain.turns import Turns
from hashdb.errors import HashingBusy, UnreadablePicture
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.pictures import Limits
from hashdb.hashing.worker import Worker

_SLOW_A_CALL = 2
"""Pictures that take all their time, of those handed over together, before the rest of them is not tried."""


class HashingPool:
    """Hashes pictures in `workers` processes, each of which is replaced when a picture breaks it.

    `queue` pictures may wait beside those that are being hashed, of one key half as many; keys take turns, picture by
    picture. Each picture has `seconds` once it has its worker, and `memory_bytes` of address space beyond what the
    process takes at rest. Processes start when first needed and end with `close()`, or with this process, however it
    ends. Any thread may use it; after a fork, each side has its own.
    """

    def __init__(self, workers: int, queue: int, seconds: float, memory_bytes: int, limits: Limits) -> None:
        self._workers = workers
        self._capacity = workers + queue
        self._share = workers + (queue + 1) // 2
        self._seconds = seconds
        self._memory_bytes = memory_bytes
        self._limits = limits
        self._changed = Condition()
        self._owner = 0

    def hash(
        self,
        pictures: Sequence[bytes],
        algorithms: Sequence[Algorithm],
        modes: Iterable[Mode] = repeat(Mode.PLAIN),
        key: str = "",
    ) -> list[Hashed | UnreadablePicture]:
        """For each picture, in order, its signals or why there are none; `modes` has one for each.

        When two have taken all the time that they have, the others are not tried. Raises HashingBusy where they do not
        all find a place (a key that has none waiting takes any number of an idle pool), and Unavailable where no
        process can be started.
        """
        turns, slow = self._admit(key, len(pictures)), list[Mode]()

        def hash_one(octets: bytes, mode: Mode) -> Hashed | UnreadablePicture:
            with turns.turn(key):
                return self._hash_one(octets, algorithms, mode, slow)

        try:
            abreast = min(self._workers, len(pictures))
            if abreast <= 1:
                # In this thread: to hand one picture on to another costs two changes of threads, and gains nothing.
                return list(map(hash_one, pictures, modes))
            with ThreadPoolExecutor(abreast, "hashing") as threads:
                return list(threads.map(hash_one, pictures, modes))
        finally:
            self._release(key, len(pictures))

    def close(self) -> None:
        """End the processes, once the pictures that wait are hashed."""
        with self._changed:
            if self._owner != os.getpid():
                return
            self._changed.wait_for(lambda: not self._pending)
            self._owner = 0
            while not self._idle.empty():
                self._idle.get().stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _admit(self, key: str, count: int) -> Turns:
        with self._changed:
            if self._owner != os.getpid():
                self._start()
            own, all_keys = self._pending[key], self._pending.total()
            if (own and own + count > self._share) or (all_keys and all_keys + count > self._capacity):
                raise HashingBusy(f"{self._share} of a key, {self._capacity} in all", retry_after=1)
            self._pending[key] += count
            return self._turns

    def _start(self) -> None:
        self._owner = os.getpid()
        self._pending = Counter[str]()
        self._turns = Turns(self._workers)
        self._idle = LifoQueue[Worker]()
        for _ in range(self._workers):
            self._idle.put(Worker(self._seconds, self._memory_bytes, self._limits))

    def _release(self, key: str, count: int) -> None:
        with self._changed:
            self._pending[key] -= count
            if not self._pending[key]:
                del self._pending[key]
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
