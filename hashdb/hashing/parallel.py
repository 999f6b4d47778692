"""Hash many pictures in several processes at once, and return them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Final, Generic, TypeVar

from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.workers import Worker

_READ_AHEAD: Final = 4
"""How many pictures for each worker are submitted beyond the first unfinished one."""
_Source = TypeVar("_Source")
_Result = Hashed | UnreadablePicture


def hash_in_order(
    workers: Sequence[Worker],
    sources: Iterable[_Source],
    read: Callable[[_Source], bytes],
    algorithms: Sequence[Algorithm],
    mode: Mode,
    seeds: Sequence[Seed],
) -> Iterator[tuple[_Source, _Result]]:
    """Each source with the hashes or the error of its picture, in order; a few pictures are read ahead of the caller.

    `read` returns the bytes of the picture of a source, such as a path. UnreadablePicture from `read` is the error of
    its source; any other exception is raised. Raises Unavailable if no process can be started. The workers are stopped
    at the end.
    """
    threads = _WorkerThreads(workers, read, algorithms, mode, seeds)
    running: deque[tuple[_Source, Future[_Result]]] = deque()
    try:
        for source in sources:
            running.append((source, threads.submit(source)))
            if len(running) > _READ_AHEAD * len(workers):
                next_source, future = running.popleft()
                yield next_source, future.result()
        for next_source, future in running:
            yield next_source, future.result()
    finally:
        threads.close()


class _WorkerThreads(Generic[_Source]):
    """A thread for each worker. All take sources from one queue, which ends with None for each thread."""

    def __init__(
        self,
        workers: Sequence[Worker],
        read: Callable[[_Source], bytes],
        algorithms: Sequence[Algorithm],
        mode: Mode,
        seeds: Sequence[Seed],
    ) -> None:
        self._read, self._algorithms, self._mode, self._seeds = read, algorithms, mode, seeds
        self._queue: SimpleQueue[tuple[_Source, Future[_Result]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, args=(worker,), name="hashing", daemon=True) for worker in workers]
        for thread in self._threads:
            thread.start()

    def submit(self, source: _Source) -> Future[_Result]:
        """Have the first free worker hash the picture of a source."""
        future: Future[_Result] = Future()
        self._queue.put((source, future))
        return future

    def close(self) -> None:
        """Drop the sources that no worker has started, and wait for the others."""
        with suppress(Empty):
            while True:
                self._queue.get_nowait()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, worker: Worker) -> None:
        """Hash pictures from the queue with one worker."""
        # The futures of the pictures that the worker has and has not answered, in order.
        pending: deque[Future[_Result]] = deque()
        try:
            for result in worker.hash_each(self._pictures(pending), self._algorithms, self._mode, self._seeds):
                pending.popleft().set_result(result)
        except Exception as error:
            self._fail(pending, error)
        finally:
            worker.stop()

    def _pictures(self, pending: deque[Future[_Result]]) -> Iterator[bytes | None]:
        """The pictures for one worker; None if the queue is empty while a picture of this worker is unanswered."""
        while True:
            try:
                item = self._queue.get(block=not pending)
            except Empty:
                yield None
                continue
            if item is None:
                return
            source, future = item
            try:
                octets = self._read(source)
            except UnreadablePicture as error:
                future.set_result(error)
                continue
            except Exception as error:
                future.set_exception(error)
                continue
            pending.append(future)
            yield octets

    def _fail(self, pending: deque[Future[_Result]], error: Exception) -> None:
        """Set the error as the outcome of every picture that this worker gets, until the queue ends."""
        while True:
            while pending:
                pending.popleft().set_exception(error)
            item = self._queue.get()
            if item is None:
                return
            pending.append(item[1])
