"""Messages between the pool and a worker: over a socket, each with its length before it."""

from __future__ import annotations

import struct
from socket import socket

_LENGTH = struct.Struct("!I")


def send(connection: socket, *messages: bytes) -> None:
    """Send messages, in one piece: each piece wakes who receives.

    Raises OSError: TimeoutError where the socket has a timeout, which is for them as a whole.
    """
    connection.sendall(b"".join(part for message in messages for part in (_LENGTH.pack(len(message)), message)))


def receive(connection: socket, limit: int) -> bytes:
    """The next message. Raises EOFError at the end, ValueError beyond `limit` bytes, and OSError as `send` does."""
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
