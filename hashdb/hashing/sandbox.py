"""The program of a hashing process: `python -m hashdb.hashing.sandbox`, started by a worker of the pool.

The pictures it reads may be hostile, so it has few rights: it answers in JSON (never pickle), its memory is limited,
it writes no files, leaves no core dump, and loads neither the web framework nor the database.
"""

from __future__ import annotations

import fcntl
import json
import os
import resource
import struct
import sys
from collections.abc import Sequence
from pathlib import Path
from socket import socket

from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.hashing import Mode, hash_as, warm
from hashdb.hashing.pictures import IGNORING_WARNINGS, OUT_OF_MEMORY, Limits


def main(arguments: Sequence[str]) -> None:
    """Answer picture after picture, until the worker closes its end."""
    descriptor, memory_bytes, max_bytes, max_pixels = map(int, arguments)
    _die_with_parent(sys.stdin.fileno())
    warm(tuple(Algorithm))
    _limit_resources(memory_bytes)
    # Once for all pictures: entering the filter for each takes as long as reading the picture's header.
    with IGNORING_WARNINGS, socket(fileno=descriptor) as connection:
        send(connection, b"ready")
        _serve(connection, Limits(max_bytes, max_pixels))


def _serve(connection: socket, limits: Limits) -> None:
    while True:
        try:
            answer = _answer(connection, limits)
        except EOFError:
            return
        except MemoryError:
            answer = {"reason": OUT_OF_MEMORY}
        send(connection, json.dumps(answer).encode())


def _answer(connection: socket, limits: Limits) -> dict[str, object]:
    """Receive the next picture (the mode and the algorithms, then its bytes), and hash it; the hashes or the reason."""
    mode, *names = receive(connection, 1024).decode().split()
    octets = receive(connection, limits.max_bytes)
    try:
        hashed = hash_as(octets, list(map(Algorithm, names)), limits, Mode(mode))
    except UnreadablePicture as error:
        return {"reason": error.reason}
    transforms = [[name, list(map(str, signals))] for name, signals in hashed.transforms]
    return {"signals": list(map(str, hashed.signals)), "quality": hashed.quality, "transforms": transforms}


def _die_with_parent(lifeline: int) -> None:
    """Have the kernel kill this process (by SIGIO) when no process holds the other end of the pipe any more.

    PR_SET_PDEATHSIG would fire when the *thread* that started this process ends, which in a web server may be the
    thread of one request. A thread that waits here would not run while a decoder holds the interpreter lock.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)


def _limit_resources(memory_bytes: int) -> None:
    """Allow `memory_bytes` more memory than is in use now, no writing of files, no core dump, and no standard error."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + memory_bytes, used + memory_bytes))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stderr.fileno())
    os.close(null)


_LENGTH = struct.Struct("!I")


def send(connection: socket, *messages: bytes) -> None:
    """Send messages in one call, since each call wakes the receiver.

    Raises OSError; TimeoutError if they take longer than the socket's timeout as a whole.
    """
    connection.sendall(b"".join(part for message in messages for part in (_LENGTH.pack(len(message)), message)))


def receive(connection: socket, limit: int) -> bytes:
    """The next message. Raises EOFError at the end, ValueError above `limit` bytes, and OSError like `send`."""
    (length,) = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size))
    if length > limit:
        raise ValueError(f"a message of {length:,} bytes where {limit:,} are the most")
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
