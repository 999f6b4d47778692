"""Hash pictures in sandboxed processes: one worker, many pictures in order, and the pool of the service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from queue import Empty, LifoQueue, SimpleQueue
from socket import socket, socketpair
from threading import Condition, Thread
from typing import Final, Generic, Self, TypeVar

from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.turns import Turns
from hashdb.errors import HashingBusy, Unavailable, UnreadablePicture
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.pictures import OUT_OF_MEMORY, Limits
from hashdb.hashing.sandbox import receive, send

_START_SECONDS: Final = 60
_ANSWER_BYTES: Final = 16_384
# The environment variables that a process inherits. Others may hold secrets, like the database's password.
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONHOME")
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Keep freed memory for the next picture, in Pillow's 16 MiB blocks and at the top of the C library's heap: to fault in
# new memory page by page takes as long as decoding.
_KEEP_MEMORY: Final = {
    "PILLOW_BLOCKS_MAX": "8",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
}


class Worker:
    """Hashes one picture at a time in its own process, which starts with the first picture."""

    def __init__(self, seconds: float, memory_bytes: int, limits: Limits) -> None:
        self._seconds = seconds
        self._limits_sent = (memory_bytes, limits.max_bytes, limits.max_pixels)
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0

    def hash(self, octets: bytes, algorithms: Sequence[Algorithm], mode: Mode = Mode.PLAIN) -> Hashed:
        """The picture's signals. Raises UnreadablePicture, and Unavailable if no process can be started."""
        (result,) = self.hash_each((octets,), algorithms, mode)
        if isinstance(result, UnreadablePicture):
            raise result
        return result

    def hash_each(
        self, pictures: Iterable[bytes | None], algorithms: Sequence[Algorithm], mode: Mode = Mode.PLAIN
    ) -> Iterator[Hashed | UnreadablePicture]:
        """The hashes or the error of each picture, in order.

        The next picture is sent while the process hashes the one before it, so that the process never waits. So
        `pictures` is asked for the next one before the last result is returned; it yields None if it has no next one
        yet. Raises Unavailable if no process can be started.
        """
        header, busy = " ".join((mode, *algorithms)).encode(), False
        try:
            for octets in chain(pictures, (None,)):
                if busy:
                    result = self._guarded(partial(self._exchange, header, octets))
                    busy = octets is not None and self._process is not None
                    self._deadline = time.monotonic() + self._seconds
                    assert result is not None
                    yield result
                if octets is not None and not busy:
                    if self._process is None or self._process.poll() is not None:
                        self._start()
                    self._deadline = time.monotonic() + self._seconds
                    error = self._guarded(partial(self._send, header, octets))
                    busy = error is None
                    if error is not None:
                        yield error
        finally:
            if busy:
                # The next caller would receive the answer to this picture.
                self.stop()

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process = None
            self._finalizer()

    def _guarded(self, call: Callable[[], Hashed | None]) -> Hashed | UnreadablePicture | None:
        """The result of `call`, or its error; a process that broke, or is unfit for the next picture, is killed."""
        try:
            return call()
        except UnreadablePicture as error:
            # The remaining memory may be too fragmented for the next picture.
            if error.reason == OUT_OF_MEMORY:
                self.stop()
            reason = error.reason
        except TimeoutError:
            self.stop()
            reason = f"the picture takes longer than {self._seconds:g} seconds to hash"
        except (OSError, EOFError, LookupError, TypeError, ValueError):
            self.stop()
            reason = "the picture brings down what reads it"
        # A new exception: the traceback of the caught one would keep the picture in memory.
        return UnreadablePicture(reason)

    def _send(self, header: bytes, octets: bytes) -> None:
        self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
        send(self._connection, header, octets)

    def _exchange(self, header: bytes, octets: bytes | None) -> Hashed:
        """Send the next picture, if there is one, and receive the answer to the picture before it."""
        if octets is not None:
            self._send(header, octets)
        self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
        answer = json.loads(receive(self._connection, _ANSWER_BYTES))
        if "reason" in answer:
            raise UnreadablePicture(str(answer["reason"]))
        quality = answer["quality"]
        transforms = tuple((str(name), tuple(map(Signal.parse, signals))) for name, signals in answer["transforms"])
        return Hashed(
            tuple(map(Signal.parse, answer["signals"])), None if quality is None else int(quality), transforms
        )

    def _start(self) -> None:
        self.stop()
        self._connection, child_end = socketpair()
        try:
            with child_end:
                self._process = _spawn(child_end, self._limits_sent)
            self._finalizer = weakref.finalize(self, _kill_process, os.getpid(), self._process, self._connection)
            self._connection.settimeout(_START_SECONDS)
            receive(self._connection, _ANSWER_BYTES)
        except (OSError, EOFError, ValueError):
            self._connection.close()
            self.stop()
            raise Unavailable(retry_after=10) from None


def _spawn(connection: socket, limits: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Start a sandboxed process that communicates over `connection`.

    multiprocessing is not used: its children import the parent's main program, and with it the whole service. Standard
    input is the process's lifeline. In its own session, Control-C in the parent's terminal does not interrupt it.
    """
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ONE_THREAD | _KEEP_MEMORY
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    arguments = [str(number) for number in (connection.fileno(), *limits)]
    return subprocess.Popen(
        [sys.executable, "-P", "-B", "-m", "hashdb.hashing.sandbox", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(connection.fileno(),),
        env=environment,
        start_new_session=True,
    )


def _kill_process(owner: int, process: subprocess.Popen[bytes], connection: socket) -> None:
    """Kill and reap the process. Also runs at the exit of the interpreter; in a fork of it, only closes the ends."""
    connection.close()
    if process.stdin is not None:
        process.stdin.close()
    if owner == os.getpid():
        process.kill()
        process.wait()
    else:
        process.returncode = 0  # Not this process's child: Popen would warn that it still runs.


_READ_AHEAD = 4
"""Pictures for each worker that are read ahead of the first unfinished one."""
_Source = TypeVar("_Source")
_Result = Hashed | UnreadablePicture


def hash_in_order(
    workers: Sequence[Worker],
    sources: Iterable[_Source],
    read: Callable[[_Source], bytes],
    algorithms: Sequence[Algorithm],
    mode: Mode = Mode.PLAIN,
) -> Iterator[tuple[_Source, _Result]]:
    """Each source with the hashes or the error of its picture, in order; a few pictures are read ahead of the caller.

    UnreadablePicture from `read` is the error of its source; any other exception is raised. Raises Unavailable if no
    process can be started. The workers are stopped at the end.
    """
    threads = _WorkerThreads(workers, read, algorithms, mode)
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
    def __init__(
        self,
        workers: Sequence[Worker],
        read: Callable[[_Source], bytes],
        algorithms: Sequence[Algorithm],
        mode: Mode,
    ) -> None:
        self._read, self._algorithms, self._mode = read, algorithms, mode
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
        pending: deque[Future[_Result]] = deque()
        try:
            for result in worker.hash_each(self._pictures(pending), self._algorithms, self._mode):
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
        """Fail every picture that this worker takes with the error, until the queue ends."""
        while True:
            while pending:
                pending.popleft().set_exception(error)
            item = self._queue.get()
            if item is None:
                return
            pending.append(item[1])


_SLOW_A_REQUEST = 2
"""Pictures of a request that may time out; after these, the rest of the request is not hashed."""


class HashingPool:
    """Hashes pictures in `workers` processes, each of which is replaced when a picture breaks it.

    `queue` pictures may wait beside those that are being hashed, half as many of one key. Keys take turns, picture by
    picture. Once a worker has a picture, it may take `seconds`, and `memory_bytes` of address space beyond those of an
    idle process. Processes start on first use. They end with `close()`, or with this process, however it ends. The
    pool is thread-safe; after a fork, parent and child have separate processes.
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
        """The signals or the error of each picture, in order; `modes` has one for each.

        After two pictures have timed out, the others are not tried. Raises HashingBusy if the queue has no room for
        all of them; an idle pool takes any number from a key that has none waiting. Raises Unavailable if no process
        can be started.
        """
        turns, slow_pictures = self._enqueue(key, len(pictures)), list[Mode]()

        def hash_one(octets: bytes, mode: Mode) -> Hashed | UnreadablePicture:
            with turns.turn(key):
                return self._hash_picture(octets, algorithms, mode, slow_pictures)

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
            if self._owner != os.getpid():
                return
            self._changed.wait_for(lambda: not self.pending)
            self._owner = 0
            while not self._idle.empty():
                self._idle.get().stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _enqueue(self, key: str, count: int) -> Turns:
        with self._changed:
            if self._owner != os.getpid():
                self._start()
            own, all_keys = self.pending[key], self.pending.total()
            if (own and own + count > self._share) or (all_keys and all_keys + count > self._capacity):
                raise HashingBusy(f"{self._share} of a key, {self._capacity} in all", retry_after=1)
            self.pending[key] += count
            return self._turns

    def _start(self) -> None:
        self._owner = os.getpid()
        self.pending = Counter[str]()
        self._turns = Turns(self._workers)
        self._idle = LifoQueue[Worker]()
        for _ in range(self._workers):
            self._idle.put(Worker(self._seconds, self._memory_bytes, self._limits))

    def _release(self, key: str, count: int) -> None:
        with self._changed:
            self.pending[key] -= count
            if not self.pending[key]:
                del self.pending[key]
            self._changed.notify_all()

    def _hash_picture(
        self, octets: bytes, algorithms: Sequence[Algorithm], mode: Mode, slow_pictures: list[Mode]
    ) -> Hashed | UnreadablePicture:
        worker, started = self._idle.get(), time.monotonic()
        try:
            if len(slow_pictures) >= _SLOW_A_REQUEST:
                raise UnreadablePicture("the picture was not hashed: other pictures of the request took too long")
            self._limits.check_bytes(len(octets))
            return worker.hash(octets, algorithms, mode)
        except UnreadablePicture as error:
            if time.monotonic() - started > self._seconds:
                slow_pictures.append(mode)
            # A new exception: the traceback of this one would keep the picture in memory.
            return UnreadablePicture(error.reason)
        finally:
            self._idle.put(worker)
