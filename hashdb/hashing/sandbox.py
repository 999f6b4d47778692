"""The program of a hashing process: `python -m hashdb.hashing.sandbox`, started by a worker of the pool.

The files it reads may be hostile, so it has few rights: it answers in JSON (never pickle), its memory is limited,
it writes no files, opens none and no socket, leaves no core dump, and loads neither the web framework nor the database.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import struct
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from socket import recv_fds, socket

from hashdb.domain.frames import Frame
from hashdb.domain.seeds import Seed
from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.errors import UnreadablePicture, VideoTooLarge
from hashdb.hashing import Hashed, Mode, hash_as, warm
from hashdb.hashing.decoding import OUT_OF_MEMORY as VIDEO_OUT_OF_MEMORY
from hashdb.hashing.decoding import VideoLimits, load_decoder
from hashdb.hashing.documents import hash_document, load_readers
from hashdb.hashing.pictures import IGNORING_WARNINGS, OUT_OF_MEMORY, Limits
from hashdb.hashing.reading import OUT_OF_MEMORY as DOCUMENT_OUT_OF_MEMORY
from hashdb.hashing.reading import DocumentLimits
from hashdb.hashing.videos import Video, hash_frames

VIDEO, DOCUMENT = "video", "document"
"""The first word of the header of a video, and of a document."""
_REPORT_SECONDS = 1
"""Seconds after which a sign of progress is sent, if nothing else was."""


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
    while True:
        try:
            kind, *words = receive(connection, 1024).decode().split()
            if kind == VIDEO:
                answer = _answer_video(connection, words)
            elif kind == DOCUMENT:
                answer = _answer_document(connection, words)
            else:
                answer = _answer_picture(connection, Mode(kind), words, limits)
        except EOFError:
            return
        except UnreadablePicture as error:
            answer = {"reason": error.reason, "too_large": isinstance(error, VideoTooLarge)}
        except MemoryError:
            answer = {"reason": OUT_OF_MEMORY}
        send(connection, json.dumps(answer).encode())


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
    last message. Raises UnreadablePicture.
    """
    interval, fast, seconds, pixels, mode, *names = words
    report = _Reports(connection)

    def advance(at: float) -> None:
        if report.is_due:
            report({"at": at, "of": video.duration})

    with os.fdopen(_receive_file(connection), "rb") as file:
        limits = VideoLimits(max_seconds=float(seconds), max_pixels=int(pixels))
        try:
            video = Video(file, limits, interval=float(interval), fast=fast == "fast", advance=advance)
            for number, at, on_grid, hashed in hash_frames(video, list(map(Algorithm, names)), Mode(mode)):
                report({"number": number, "at": at, "on_grid": on_grid, "of": video.duration, **encode(hashed)})
        except MemoryError:
            return {"reason": VIDEO_OUT_OF_MEMORY}
    return {"duration": video.duration, "incomplete": video.incomplete}


class _Reports:
    """Sends hashes and signs of progress while a file is read."""

    def __init__(self, connection: socket) -> None:
        self._connection, self._sent = connection, time.monotonic()

    @property
    def is_due(self) -> bool:
        """Whether nothing was sent for a second."""
        return time.monotonic() - self._sent >= _REPORT_SECONDS

    def __call__(self, message: dict[str, object]) -> None:
        self._sent = time.monotonic()
        send(self._connection, json.dumps(message).encode())


def _answer_document(connection: socket, words: Sequence[str]) -> dict[str, object]:
    """Receive an open file. Send a sign of progress every second, then each frame of the document in it.

    A sign of progress says which share is done, 0 to 1. Returns the last message. Raises UnreadablePicture.
    """
    step, max_bytes, max_unpacked, max_pages, max_words, mode, *names = words
    report = _Reports(connection)

    def advance(share: float) -> None:
        if report.is_due:
            report({"share": share})

    limits = DocumentLimits(int(max_bytes), int(max_unpacked), int(max_pages), int(max_words))
    with os.fdopen(_receive_file(connection), "rb") as file:
        # The worker may have read from the same open file, to recognise its format.
        file.seek(0)
        try:
            document = hash_document(
                file, list(map(Algorithm, names)), Mode(mode), limits, step=int(step), advance=advance
            )
            for frame in document.frames:
                report(encode_frame(frame))
        except MemoryError:
            return {"reason": DOCUMENT_OUT_OF_MEMORY}
    return {"pages": document.pages, "words": document.words, "incomplete": document.incomplete}


def encode_frame(frame: Frame) -> dict[str, object]:
    """A frame of a document as an object of JSON; `decode_frame` of the worker is the inverse."""
    hashed = Hashed(frame.signals, frame.quality, tuple(frame.transforms.items()))
    return {"at": int(frame.at), "unit": frame.unit, "length": frame.length, **encode(hashed)}


def encode(hashed: Hashed) -> dict[str, object]:
    """The hashes as an object of JSON; `decode` of the worker is the inverse."""
    return {
        "signals": list(map(str, hashed.signals)),
        "quality": hashed.quality,
        "transforms": [[name, list(map(str, signals))] for name, signals in hashed.transforms],
        "signatures": [[name, list(map(str, of_view))] for name, of_view in hashed.signatures],
    }


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
    """
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stderr.fileno())
    # The limit is on the number of a new descriptor, so every lower number must be in use.
    highest = max(map(int, os.listdir("/proc/self/fd")))
    while (free := os.dup(null)) <= highest:
        pass
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, free + 1))


_LENGTH = struct.Struct("!I")
"""The length in bytes that is before each message, as an unsigned number of 32 bits."""


def send(connection: socket, *messages: bytes) -> None:
    """Send messages in one call, since each call wakes the receiver.

    Raises OSError, such as TimeoutError if sending all of them takes longer than the socket's timeout.
    """
    connection.sendall(b"".join(part for message in messages for part in (_LENGTH.pack(len(message)), message)))


def receive(connection: socket, limit: int) -> bytes:
    """The next message. Raises EOFError at the end, ValueError above `limit` bytes, and OSError like `send`."""
    (length,) = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size))
    if length > limit:
        raise ValueError(f"a message of {length} bytes where {limit} are the most")
    return _receive_exactly(connection, length)


def _receive_exactly(connection: socket, count: int) -> bytes:
    octets = bytearray(count)
    rest = memoryview(octets)
    while rest:
        received = connection.recv_into(rest)
        if not received:
            raise EOFError("the other end is closed")
        rest = rest[received:]
    return bytes(octets)


if __name__ == "__main__":
    main(sys.argv[1:])
