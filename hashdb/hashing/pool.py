"""The sandboxed processes that hash for a service: a pool for pictures, and one process for videos and documents."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import repeat
from queue import LifoQueue
from threading import Condition
from typing import Final, Self

from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm
from hashdb.domain.turns import Turns
from hashdb.errors import HashingBusy, UnreadablePicture
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.pictures import Limits
from hashdb.hashing.workers import Worker

_MAX_TIMEOUTS_A_REQUEST: Final = 2
"""After so many pictures of a request have timed out, its other pictures are not hashed."""


class HashingPool:
    """Hashes pictures in `workers` processes. A process that a picture breaks is replaced.

    While pictures are being hashed, `queue` pictures may wait, and half as many of one key. Keys take turns, picture by
    picture. To hash a picture, a worker may take `seconds`, and `memory_bytes` of address space beyond those of an idle
    process. Processes start on first use. They end with `close()`, or with this process, however it ends. The pool is
    thread-safe; after a fork, parent and child have separate processes.
    """

    def __init__(self, workers: int, queue: int, seconds: float, memory_bytes: int, limits: Limits) -> None:
        self._workers = workers
        self._capacity = workers + queue
        self._capacity_of_a_key = workers + (queue + 1) // 2
        self._seconds, self._memory_bytes, self._limits = seconds, memory_bytes, limits
        self._changed = Condition()  # notified when pictures are done
        self._owner_pid = 0  # the process that started the workers; 0: none has

    def hash(
        self,
        pictures: Sequence[bytes],
        algorithms: Sequence[Algorithm],
        modes: Iterable[Mode] = repeat(Mode.PLAIN),
        key: str = "",
        seeds: Sequence[Seed] = (),
    ) -> list[Hashed | UnreadablePicture]:
        """The signals or the error of each picture, in order; `modes` has one for each picture.

        `key` is the name of the actor that asks; keys take turns. After two pictures have timed out, the others are not
        tried. Raises HashingBusy if the queue has no room for all of them; an idle pool takes any number from a key
        that has none waiting. Raises Unavailable if no process can be started.
        """
        turns, timeouts = self._enqueue(key, len(pictures)), list[str]()

        def hash_one(octets: bytes, mode: Mode) -> Hashed | UnreadablePicture:
            with turns.turn(key):
                return self._hash_picture(octets, algorithms, mode, timeouts, seeds)

        try:
            concurrency = min(self._workers, len(pictures))
            if concurrency <= 1:
                # In this thread: another one would cost two context switches, and gain nothing.
                return list(map(hash_one, pictures, modes))
            with ThreadPoolExecutor(concurrency, "hashing") as threads:
                return list(threads.map(hash_one, pictures, modes))
        finally:
            self._release(key, len(pictures))

    def close(self) -> None:
        """Wait until the queued pictures are hashed, then end the processes."""
        with self._changed:
            if self._owner_pid != os.getpid():
                return
            self._changed.wait_for(lambda: not self.pending)
            self._owner_pid = 0
            while not self._idle.empty():
                self._idle.get().stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enqueue(self, key: str, count: int) -> Turns:
        """Count `count` more pictures of a key as pending; return the turns of this process. Raises HashingBusy."""
        with self._changed:
            if self._owner_pid != os.getpid():
                self._start()
            own, all_keys = self.pending[key], self.pending.total()
            if (own and own + count > self._capacity_of_a_key) or (all_keys and all_keys + count > self._capacity):
                raise HashingBusy(f"{self._capacity_of_a_key} per key, {self._capacity} in all", retry_after=1)
            self.pending[key] += count
            return self._turns

    def _start(self) -> None:
        """Start without workers. After a fork, the workers of the parent process stay with the parent."""
        self._owner_pid = os.getpid()
        self.pending = Counter[str]()  # pictures that wait or are being hashed, by key
        self._turns = Turns(self._workers)
        self._idle = LifoQueue[Worker]()
        for _ in range(self._workers):
            self._idle.put(Worker(self._seconds, self._memory_bytes, self._limits))

    def _release(self, key: str, count: int) -> None:
        """Count `count` pictures of a key as done."""
        with self._changed:
            self.pending[key] -= count
            if not self.pending[key]:
                del self.pending[key]
            self._changed.notify_all()

    def _hash_picture(
        self,
        octets: bytes,
        algorithms: Sequence[Algorithm],
        mode: Mode,
        timeouts: list[str],
        seeds: Sequence[Seed],
    ) -> Hashed | UnreadablePicture:
        """The hashes or the error. `timeouts` has the error of each picture of the request that timed out."""
        worker, started = self._idle.get(), time.monotonic()
        try:
            if len(timeouts) >= _MAX_TIMEOUTS_A_REQUEST:
                raise UnreadablePicture("the picture was not hashed: other pictures of the request took too long")
            self._limits.check_bytes(len(octets))
            return worker.hash(octets, algorithms, mode, seeds)
        except UnreadablePicture as error:
            if time.monotonic() - started > self._seconds:
                timeouts.append(error.reason)
            # A new exception: the traceback of this one would keep the picture in memory.
            return UnreadablePicture(error.reason)
        finally:
            self._idle.put(worker)


class VideoQueue:
    """Hashes videos and documents one at a time, in one process that starts with the first. Keys take turns."""

    def __init__(self, seconds: float, memory_bytes: int) -> None:
        """Start no process yet. A file may take `seconds`, as its limits say.

        The process may take `memory_bytes` of address space beyond those of an idle process.
        """
        self._turns = Turns()
        self._worker = Worker(seconds, memory_bytes, Limits())

    @contextmanager
    def turn(self, key: str, advance: Callable[[float], None]) -> Iterator[Worker]:
        """Wait for a turn of this key, call `advance` with 0 (the share that is done), and yield the worker.

        If the block raises, the process is killed, since it still works on the file. After UnreadablePicture it does
        not, so it is kept.
        """
        with self._turns.turn(key):
            advance(0.0)
            try:
                yield self._worker
            except UnreadablePicture:
                raise
            except BaseException:
                self._worker.stop()
                raise

    def close(self) -> None:
        """Wait until the queued videos are hashed, then end the process."""
        with self._turns.turn(""):
            self._worker.stop()
