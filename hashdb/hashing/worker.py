"""One worker of the pool: a confined process, the socket to it, and another process when that one breaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from socket import socket, socketpair
from typing import Final

from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Unavailable, UnreadablePicture
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.messages import receive, send
from hashdb.hashing.pictures import OUT_OF_MEMORY, Limits

_START_SECONDS: Final = 60
_ANSWER_BYTES: Final = 16_384
# What a process sees of the environment: not the rest, which may hold the database's password.
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONHOME")
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# Memory that is kept for the next picture, as new memory, page by page, takes as long as decoding: Pillow's blocks of
# 16 MiB, and of the C library what is freed at the top of its heap.
_KEPT: Final = {
    "PILLOW_BLOCKS_MAX": "8",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
}


class Worker:
    """Hashes one picture at a time in a process of its own, which starts with the first."""

    def __init__(self, seconds: float, memory_bytes: int, limits: Limits) -> None:
        self._seconds = seconds
        self._numbers = (memory_bytes, limits.max_bytes, limits.max_pixels)
        self._process: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0

    def hash(self, octets: bytes, algorithms: Sequence[Algorithm], mode: Mode = Mode.PLAIN) -> Hashed:
        """The picture's signals. Raises UnreadablePicture, and Unavailable where no process can be started."""
        (found,) = self.hash_each((octets,), algorithms, mode)
        if isinstance(found, UnreadablePicture):
            raise found
        return found

    def hash_each(
        self, pictures: Iterable[bytes | None], algorithms: Sequence[Algorithm], mode: Mode = Mode.PLAIN
    ) -> Iterator[Hashed | UnreadablePicture]:
        """What becomes of each picture, in order.

        Each is sent while the one before it is hashed, so that the process never waits: the next is asked for before
        the last one is answered. None says that there is no other one yet. Raises Unavailable where no process can be
        started.
        """
        words, has_one = " ".join((mode, *algorithms)).encode(), False
        try:
            for octets in chain(pictures, (None,)):
                if has_one:
                    found = self._carefully(partial(self._exchange, words, octets))
                    has_one = octets is not None and self._process is not None
                    self._deadline = time.monotonic() + self._seconds
                    assert found is not None
                    yield found
                if octets is not None and not has_one:
                    if self._process is None or self._process.poll() is not None:
                        self._start()
                    self._deadline = time.monotonic() + self._seconds
                    refused = self._carefully(partial(self._send, words, octets))
                    has_one = refused is None
                    if refused is not None:
                        yield refused
        finally:
            if has_one:
                # Whoever asks next would have its answer.
                self.stop()

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process = None
            self._end()

    def _carefully(self, act: Callable[[], Hashed | None]) -> Hashed | UnreadablePicture | None:
        """What comes of an exchange; a process that breaks, or is left unfit for the next one, is ended."""
        try:
            return act()
        except UnreadablePicture as refusal:
            # What is left of the memory may be in pieces too small for the next picture.
            if refusal.reason == OUT_OF_MEMORY:
                self.stop()
            reason = refusal.reason
        except TimeoutError:
            self.stop()
            reason = f"the picture takes longer than {self._seconds:g} seconds to hash"
        except (OSError, EOFError, LookupError, TypeError, ValueError):
            self.stop()
            reason = "the picture brings down what reads it"
        # A new one: that one's traceback would keep the picture in memory.
        return UnreadablePicture(reason)

    def _send(self, words: bytes, octets: bytes) -> None:
        self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
        send(self._connection, words, octets)

    def _exchange(self, words: bytes, octets: bytes | None) -> Hashed:
        """Send the next picture, if there is one, and receive what the process says of the one that it has."""
        if octets is not None:
            self._send(words, octets)
        self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
        answer = json.loads(receive(self._connection, _ANSWER_BYTES))
        if "reason" in answer:
            raise UnreadablePicture(str(answer["reason"]))
        quality = answer["quality"]
        turned = tuple((str(name), tuple(map(Signal.parse, signals))) for name, signals in answer["transforms"])
        return Hashed(tuple(map(Signal.parse, answer["signals"])), None if quality is None else int(quality), turned)

    def _start(self) -> None:
        self.stop()
        self._connection, theirs = socketpair()
        try:
            with theirs:
                self._process = _spawn(theirs, self._numbers)
            self._end = weakref.finalize(self, _end, os.getpid(), self._process, self._connection)
            self._connection.settimeout(_START_SECONDS)
            receive(self._connection, _ANSWER_BYTES)
        except (OSError, EOFError, ValueError):
            self._connection.close()
            self.stop()
            raise Unavailable(retry_after=10) from None


def _spawn(connection: socket, numbers: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """A confined process that speaks over `connection`.

    Not by multiprocessing: its children import the parent's main program anew, and with it the whole service. Standard
    input is the process's lifeline. In a session of its own it is not interrupted with its parent by Control-C.
    """
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ONE_THREAD | _KEPT
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    arguments = [str(number) for number in (connection.fileno(), *numbers)]
    return subprocess.Popen(
        [sys.executable, "-P", "-B", "-m", "hashdb.hashing.confined", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(connection.fileno(),),
        env=environment,
        start_new_session=True,
    )


def _end(owner: int, process: subprocess.Popen[bytes], connection: socket) -> None:
    """Kill and reap; also run at the exit of the interpreter, but not at that of a fork of it."""
    connection.close()
    if process.stdin is not None:
        process.stdin.close()
    if owner == os.getpid():
        process.kill()
        process.wait()
    else:
        process.returncode = 0  # of another's child: Popen would warn that it still runs
