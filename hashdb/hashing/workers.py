"""Hash files in a sandboxed process: many pictures in order, or one video or document at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from socket import send_fds, socket, socketpair
from typing import Any, BinaryIO, Final, TypeVar

from hashdb.domain.frames import Frame
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import Algorithm
from hashdb.errors import Unavailable, UnreadablePicture, VideoTooLarge
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.decoding import VideoLimits
from hashdb.hashing.documents import HashedDocument
from hashdb.hashing.messages import ANSWER_BYTES, DOCUMENT, VIDEO, decode, decode_frame, receive, receive_answer, send
from hashdb.hashing.pictures import Limits, out_of_memory
from hashdb.hashing.reading import DOCUMENT_LIMITS, DocumentLimits
from hashdb.hashing.texts import LISTED_STEP
from hashdb.hashing.videos import INTERVAL, VIDEO_LIMITS, HashedFrame, HashedVideo

_START_SECONDS: Final = 60
"""Seconds that a process may take to start."""
_STALL_SECONDS: Final = 60
"""Seconds without a sign of progress, after which a video or a document is given up."""
# The environment variables that a process inherits. Others may hold secrets, like the database's password.
_INHERITED: Final = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONHOME")
_ONE_THREAD: Final = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# A process keeps freed memory for the next picture: in Pillow's blocks of 16 MiB, and at the top of the C library's
# heap. To get new memory from the kernel, page by page, takes as long as decoding.
_KEEP_MEMORY: Final = {
    "PILLOW_BLOCKS_MAX": "8",
    "MALLOC_TRIM_THRESHOLD_": str(64 * 2**20),
    "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
}
_Answer = TypeVar("_Answer")


class Worker:
    """Hashes one file at a time in its own process, which starts with the first file. Not thread-safe."""

    def __init__(self, seconds: float, memory_bytes: int, limits: Limits) -> None:
        """Start no process yet. A picture may take `seconds`, and `memory_bytes` beyond those of an idle process.

        `limits` are those of pictures. Videos and documents have limits of their own.
        """
        self._seconds = seconds
        self._limits_sent = (memory_bytes, limits.max_bytes, limits.max_pixels)
        self._process: subprocess.Popen[bytes] | None = None
        self._kinds = set[str]()
        self._deadline = 0.0

    def hash(
        self, octets: bytes, algorithms: Sequence[Algorithm], mode: Mode = Mode.PLAIN, seeds: Sequence[Seed] = ()
    ) -> Hashed:
        """The picture's signals. Raises UnreadablePicture, and Unavailable if no process can be started."""
        (result,) = self.hash_each((octets,), algorithms, mode, seeds)
        if isinstance(result, UnreadablePicture):
            raise result
        return result

    def hash_each(
        self,
        pictures: Iterable[bytes | None],
        algorithms: Sequence[Algorithm],
        mode: Mode,
        seeds: Sequence[Seed],
    ) -> Iterator[Hashed | UnreadablePicture]:
        """The hashes or the error of each picture, in order.

        The next picture is sent while the process hashes the one before it, so that the process never waits.
        `pictures` must therefore yield again before it has the last result: None if there is no next picture yet.
        Raises Unavailable if no process can be started.
        """
        # `busy`: the process has a picture whose result has not been received.
        header, busy = " ".join((mode, *algorithms, *(seed.to_text() for seed in seeds))).encode(), False
        try:
            for octets in chain(pictures, (None,)):
                if busy:
                    result = self._guarded(partial(self._exchange, header, octets))
                    busy = octets is not None and self._process is not None
                    self._deadline = time.monotonic() + self._seconds
                    yield result
                if octets is not None and not busy:
                    if not self._is_running:
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

    def hash_video(
        self,
        file: BinaryIO,
        algorithms: Sequence[Algorithm],
        mode: Mode = Mode.PLAIN,
        limits: VideoLimits = VIDEO_LIMITS,
        *,
        interval: float = INTERVAL,
        fast: bool = False,
        advance: Callable[[float], None] = lambda share: None,
    ) -> HashedVideo:
        """The hashes of a video's frames, one every `interval` seconds; with `fast`, of its key frames only.

        `advance` is called with the share of the video that is done, 0 to 1.
        Raises UnreadablePicture, VideoTooLarge, and Unavailable if no process can be started.
        """
        frames: list[HashedFrame] = []

        def take(message: Any) -> HashedVideo | None:
            # Only the last message has the duration. `_answer_video` of the sandbox describes the others.
            if "duration" in message:
                return HashedVideo(tuple(frames), float(message["duration"]), message["incomplete"])
            at = float(message["at"])
            if "signals" in message:
                frames.append(HashedFrame(int(message["number"]), at, message["on_grid"], decode(message)))
            advance(min(1.0, at / message["of"]) if message["of"] else 0.0)
            return None

        words = (interval, "fast" if fast else "all", limits.max_seconds, limits.max_pixels, mode, *algorithms)
        return self._hash_parts((VIDEO, *words), file, limits.processing_seconds, take)

    def hash_document(
        self,
        file: BinaryIO,
        algorithms: Sequence[Algorithm],
        mode: Mode = Mode.PLAIN,
        limits: DocumentLimits = DOCUMENT_LIMITS,
        *,
        step: int = LISTED_STEP,
        advance: Callable[[float], None] = lambda share: None,
    ) -> HashedDocument:
        """The hashes of a document: of each page, and of windows of words that begin every `step` words.

        `advance` is called with the share of the document that is done, 0 to 1.
        Raises UnreadablePicture, VideoTooLarge, and Unavailable if no process can be started.
        """
        frames: list[Frame] = []

        def take(message: Any) -> HashedDocument | None:
            # Only the last message has the number of words.
            if "words" in message:
                return HashedDocument(tuple(frames), message["pages"], int(message["words"]), message["incomplete"])
            if "signals" in message:
                frames.append(decode_frame(message))
            else:
                advance(float(message["share"]))
            return None

        sizes = (limits.max_bytes, limits.max_unpacked, limits.max_pages, limits.max_words)
        words = (DOCUMENT, step, *sizes, mode, *algorithms)
        return self._hash_parts(words, file, limits.processing_seconds, take)

    def _hash_parts(
        self, words: Sequence[object], file: BinaryIO, seconds: float, take: Callable[[Any], _Answer | None]
    ) -> _Answer:
        """Have the process hash a video or a document within `seconds`; `words` make the header.

        `take` is called with each message of the process. It returns None until the last message, then the result.
        """
        kind = str(words[0])
        if not self._is_running or kind not in self._kinds:
            self._kinds.add(kind)
            self._start()
        self._deadline = time.monotonic() + seconds

        def exchange() -> _Answer:
            self._send(" ".join(map(str, words)).encode())
            # A descriptor is sent along with at least one byte, which has no meaning here.
            send_fds(self._connection, [b"f"], [file.fileno()])
            while (result := take(self._receive_progress(kind, seconds))) is None:
                pass
            return result

        result = self._guarded(exchange, kind)
        if isinstance(result, UnreadablePicture):
            raise result
        return result

    def _receive_progress(self, what: str, seconds: float) -> Any:
        """The next message about a file, which may take `seconds` in all; `what` is "video" or "document".

        Raises UnreadablePicture for the error in the message, or if none comes for `_STALL_SECONDS`. Raises
        VideoTooLarge if the time is over.
        """
        left = self._deadline - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._connection.settimeout(min(left, _STALL_SECONDS))
            return receive_answer(self._connection)
        except TimeoutError:
            self.stop()
        if left > _STALL_SECONDS:
            raise UnreadablePicture(f"the {what} is damaged: reading it made no progress for {_STALL_SECONDS} s")
        raise VideoTooLarge(f"hashing the {what} took longer than {seconds:g} s")

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process = None
            self._finalizer()

    def _guarded(self, call: Callable[[], _Answer], what: str = "picture") -> _Answer | UnreadablePicture:
        """The result of `call`, or the error of the file, which is a `what`.

        The process is killed if it broke, took too long, or may lack memory for the next file.
        """
        error_class = UnreadablePicture
        try:
            return call()
        except UnreadablePicture as error:
            # The remaining memory may be too fragmented for the next picture.
            if error.reason == out_of_memory(what):
                self.stop()
            error_class, reason = type(error), error.reason
        except TimeoutError:
            self.stop()
            reason = f"hashing the {what} took longer than {self._seconds:g} s"
        except (OSError, EOFError, LookupError, TypeError, ValueError):
            self.stop()
            reason = f"the {what} crashed the process that read it"
        # A new exception: the traceback of the caught one would keep the picture in memory.
        return error_class(reason)

    def _send(self, *messages: bytes) -> None:
        self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
        send(self._connection, *messages)

    def _exchange(self, header: bytes, octets: bytes | None) -> Hashed:
        """Send the next picture, if there is one, and receive the answer to the picture before it."""
        if octets is not None:
            self._send(header, octets)
        self._connection.settimeout(max(self._deadline - time.monotonic(), 0.001))
        return decode(receive_answer(self._connection))

    @property
    def _is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _start(self) -> None:
        """Start a process, which loads what reads videos and documents only if needed: that takes time and memory."""
        self.stop()
        try:
            self._connection, child_end = socketpair()
        except OSError:
            raise Unavailable(retry_after=10) from None
        try:
            with child_end:
                process = _spawn(child_end, self._kinds, self._limits_sent)
            # The finalizer is set before the process: another thread may call `stop`, which needs both.
            self._finalizer = weakref.finalize(self, _kill_process, os.getpid(), process, self._connection)
            self._process = process
            self._connection.settimeout(_START_SECONDS)
            receive(self._connection, ANSWER_BYTES)  # "ready"
        except (OSError, EOFError, ValueError):
            self._connection.close()
            self.stop()
            raise Unavailable(retry_after=10) from None


def _spawn(connection: socket, kinds: Iterable[str], limits: tuple[int, ...]) -> subprocess.Popen[bytes]:
    """Start a sandboxed process that communicates over `connection`.

    `kinds` are the files other than pictures that it will read. `limits` are the bytes of memory, and the bytes and the
    pixels of a picture.

    multiprocessing is not used: its children import the parent's main program, and with it the whole service. The
    process dies when its standard input is closed, so also when this process ends. It has a session of its own, so that
    Control-C in the parent's terminal does not interrupt it.
    """
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | _ONE_THREAD | _KEEP_MEMORY
    environment["PYTHONPATH"] = os.pathsep.join(path or os.getcwd() for path in sys.path)
    arguments = [",".join(sorted(kinds)), *(str(number) for number in (connection.fileno(), *limits))]
    return subprocess.Popen(
        [sys.executable, "-P", "-B", "-m", "hashdb.hashing.sandbox", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(connection.fileno(),),
        env=environment,
        start_new_session=True,
    )


def _kill_process(owner: int, process: subprocess.Popen[bytes], connection: socket) -> None:
    """Kill and reap the process, which the process with the id `owner` started.

    It also runs when the interpreter exits. A fork of the owner only closes its ends of the connection and the pipe.
    """
    connection.close()
    if process.stdin is not None:
        process.stdin.close()
    if owner == os.getpid():
        process.kill()
        process.wait()
    else:
        process.returncode = 0  # Not this process's child: Popen would warn that it still runs.
