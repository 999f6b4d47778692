"""Many pictures through several workers, each kept busy, and what becomes of them in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.worker import Worker

_AHEAD = 4
"""Pictures a worker that are given out before the first of them must be answered."""
_Source = TypeVar("_Source")
_Found = Hashed | UnreadablePicture


def hash_in_order(
    workers: Sequence[Worker],
    sources: Iterable[_Source],
    read: Callable[[_Source], bytes],
    algorithms: Sequence[Algorithm],
    mode: Mode = Mode.PLAIN,
) -> Iterator[tuple[_Source, _Found]]:
    """What becomes of the picture that is read from each source, in order; a few are read ahead of who listens.

    What `read` raises as UnreadablePicture is what becomes of its source; what else it raises is raised. Raises
    Unavailable where no process can be started. The workers are stopped at the end.
    """
    crew = _Crew(workers, read, algorithms, mode)
    running: deque[tuple[_Source, Future[_Found]]] = deque()
    try:
        for source in sources:
            running.append((source, crew.give(source)))
            if len(running) > _AHEAD * len(workers):
                first, future = running.popleft()
                yield first, future.result()
        for first, future in running:
            yield first, future.result()
    finally:
        crew.end()


class _Crew(Generic[_Source]):
    def __init__(
        self,
        workers: Sequence[Worker],
        read: Callable[[_Source], bytes],
        algorithms: Sequence[Algorithm],
        mode: Mode,
    ) -> None:
        self._read, self._algorithms, self._mode = read, algorithms, mode
        self._given: SimpleQueue[tuple[_Source, Future[_Found]] | None] = SimpleQueue()
        self._threads = [Thread(target=self._work, args=(one,), name="hashing", daemon=True) for one in workers]
        for thread in self._threads:
            thread.start()

    def give(self, source: _Source) -> Future[_Found]:
        """Have a picture hashed by the first worker that is free."""
        future: Future[_Found] = Future()
        self._given.put((source, future))
        return future

    def end(self) -> None:
        """Let nothing be begun any more, and wait for what was."""
        with suppress(Empty):
            while True:
                self._given.get_nowait()
        for _ in self._threads:
            self._given.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self, worker: Worker) -> None:
        taken: deque[Future[_Found]] = deque()
        try:
            for found in worker.hash_each(self._pictures(taken), self._algorithms, self._mode):
                taken.popleft().set_result(found)
        except Exception as error:
            self._fail(taken, error)
        finally:
            worker.stop()

    def _pictures(self, taken: deque[Future[_Found]]) -> Iterator[bytes | None]:
        """The pictures for one worker; None where there is none just now, and another is to be answered."""
        while True:
            try:
                given = self._given.get(block=not taken)
            except Empty:
                yield None
                continue
            if given is None:
                return
            source, future = given
            try:
                octets = self._read(source)
            except UnreadablePicture as refusal:
                future.set_result(refusal)
                continue
            except Exception as error:
                future.set_exception(error)
                continue
            taken.append(future)
            yield octets

    def _fail(self, taken: deque[Future[_Found]], error: Exception) -> None:
        """What is given to this worker fails as it did, until there is no more."""
        while True:
            while taken:
                taken.popleft().set_exception(error)
            given = self._given.get()
            if given is None:
                return
            taken.append(given[1])
