"""The program of a hashing process: `python -m hashdb.hashing.sandbox`, started by a worker of the pool.

The files it reads may be hostile, so it has few rights: it answers in JSON (never pickle), its memory is limited,
it writes no files, opens none and no socket, leaves no core dump, and loads neither the web framework nor the database.
"""

from __future__ import annotations

import fcntl
import os
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from socket import recv_fds, socket

from hashdb.domain.seeds import Seed
from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Mode, hash_as, warm
from hashdb.hashing.decoding import VideoLimits, load_decoder
from hashdb.hashing.documents import hash_document, load_readers
from hashdb.hashing.messages import DOCUMENT, VIDEO, encode, encode_error, encode_frame, receive, send, send_answer
from hashdb.hashing.pictures import IGNORING_WARNINGS, Limits, out_of_memory
from hashdb.hashing.reading import DocumentLimits
from hashdb.hashing.videos import Video, hash_frames

_REPORT_SECONDS = 1
"""Seconds after which a sign of progress is sent, if nothing else was."""
_DESCRIPTORS = "/proc/self/fd" if sys.platform == "linux" else "/dev/fd"
"""The folder that lists the open descriptors of this process."""


def main(arguments: Sequence[str]) -> None:
    """Answer picture after picture, until the worker closes its end.

    The arguments are those that `_spawn` of the worker makes. The first is the kinds of files that are not pictures
    (`VIDEO`, `DOCUMENT`), joined by commas. The others are numbers: the descriptor of the socket, and the limits.
    """
    kinds = arguments[0].split(",")
    descriptor, memory_bytes, max_bytes, max_pixels = map(int, arguments[1:])
    _die_with_parent(sys.stdin.fileno())
    warm(OF_PICTURES)
    if VIDEO in kinds:
        load_decoder()
    if DOCUMENT in kinds:
        load_readers()
    confine(memory_bytes)
    # One filter of warnings for all pictures: to enter it takes as long as to read the header of a picture.
    with IGNORING_WARNINGS, socket(fileno=descriptor) as connection:
        send(connection, b"ready")
        _serve(connection, Limits(max_bytes, max_pixels))


def _serve(connection: socket, limits: Limits) -> None:
    """Receive one file after the other, and send its hashes.

    A file begins with a header: words separated by spaces. The first word is the kind of the file; for a picture, it is
    the mode. The methods of `Worker` write the other words, and the function for the kind reads them.
    """
    with suppress(EOFError):  # The worker has closed its end.
        while True:
            kind, *words = receive(connection, 1024).decode().split()
            try:
                if kind == VIDEO:
                    answer = _answer_video(connection, words)
                elif kind == DOCUMENT:
                    answer = _answer_document(connection, words)
                else:
                    answer = _answer_picture(connection, Mode(kind), words, limits)
            except UnreadablePicture as error:
                answer = encode_error(error)
            except MemoryError:
                what = kind if kind in (VIDEO, DOCUMENT) else "picture"
                answer = encode_error(UnreadablePicture(out_of_memory(what)))
            send_answer(connection, answer)


def _answer_picture(connection: socket, mode: Mode, words: Sequence[str], limits: Limits) -> dict[str, object]:
    """Receive the bytes of a picture, and hash it. Raises UnreadablePicture.

    `words` are the names of the algorithms, then the seeds, which have a colon in them.
    """
    seeds = [Seed.parse(word) for word in words if ":" in word]
    algorithms = [Algorithm(word) for word in words if ":" not in word]
    return encode(hash_as(receive(connection, limits.max_bytes), algorithms, limits, mode, seeds))


def _answer_video(connection: socket, words: Sequence[str]) -> dict[str, object]:
    """Receive an open file. Send each frame of its video, and a sign of progress if no frame came for a second.

    Each message says how far the video is read (`at`) and how long it is (`of`; 0: not known), in seconds. Returns the
    last message. Raises UnreadablePicture and MemoryError.
    """
    interval, fast, seconds, pixels, mode, *names = words
    report = _Reports(connection)

    def advance(at: float) -> None:
        report.progress({"at": at, "of": video.duration})

    with os.fdopen(_receive_file(connection), "rb") as file:
        limits = VideoLimits(max_seconds=float(seconds), max_pixels=int(pixels))
        video = Video(file, limits, interval=float(interval), fast=fast == "fast", advance=advance)
        for number, at, on_grid, hashed in hash_frames(video, list(map(Algorithm, names)), Mode(mode)):
            report.send({"number": number, "at": at, "on_grid": on_grid, "of": video.duration, **encode(hashed)})
    return {"duration": video.duration, "incomplete": video.incomplete}


class _Reports:
    """Sends hashes and signs of progress while a file is read."""

    def __init__(self, connection: socket) -> None:
        self._connection, self._sent = connection, time.monotonic()

    def send(self, message: dict[str, object]) -> None:
        self._sent = time.monotonic()
        send_answer(self._connection, message)

    def progress(self, message: dict[str, object]) -> None:
        """Send a sign of progress, unless a message was sent within the last second."""
        if time.monotonic() - self._sent >= _REPORT_SECONDS:
            self.send(message)


def _answer_document(connection: socket, words: Sequence[str]) -> dict[str, object]:
    """Receive an open file. Send a sign of progress every second, then each frame of the document in it.

    A sign of progress says which share is done, 0 to 1. Returns the last message. Raises UnreadablePicture and
    MemoryError.
    """
    step, max_bytes, max_unpacked, max_pages, max_words, mode, *names = words
    report = _Reports(connection)

    def advance(share: float) -> None:
        report.progress({"share": share})

    limits = DocumentLimits(int(max_bytes), int(max_unpacked), int(max_pages), int(max_words))
    with os.fdopen(_receive_file(connection), "rb") as file:
        # The worker may have read from the same open file, to recognise its format.
        file.seek(0)
        document = hash_document(file, list(map(Algorithm, names)), Mode(mode), limits, step=int(step), advance=advance)
        for frame in document.frames:
            report.send(encode_frame(frame))
    return {"pages": document.pages, "words": document.words, "incomplete": document.incomplete}


def _receive_file(connection: socket) -> int:
    """The descriptor of a file that the worker has opened. This process gets files in no other way.

    `confine` left room for one more descriptor, between the soft and the hard limit of their number.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        _, descriptors, *_ = recv_fds(connection, 1, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if not descriptors:
        raise EOFError("the other end is closed")
    return descriptors[0]


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel kill this process (by SIGIO) when no process holds the other end of the pipe any more.

    `lifeline` is the descriptor of this end, which is standard input. PR_SET_PDEATHSIG is not used: it would fire when
    the *thread* that started this process ends, which in a web server may be the thread of one request. Nor does a
    thread wait here: it would not run while a decoder holds the interpreter lock.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def confine(memory_bytes: int) -> None:
    """Allow `memory_bytes` more memory than is in use now, no writing of files, no core dump, and no standard error.

    Neither a file nor a socket can be opened any more, because no descriptor is free. `_receive_file` can receive one.
    macOS, where no test of hashdb runs, enforces no limit of memory.
    """
    if sys.platform == "linux":
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stderr.fileno())
    # The limit is on the number of a new descriptor, so every lower number must be in use.
    highest = max(map(int, os.listdir(_DESCRIPTORS)))
    while (free := os.dup(null)) <= highest:
        pass
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free + 1))


if __name__ == "__main__":
    main(sys.argv[1:])
