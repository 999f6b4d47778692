"""The messages between a worker and its sandboxed process: octets with their length before them, and hashes in JSON."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from socket import socket
from typing import Any, Final

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.signals import Signal
from hashdb.domain.signatures import Signature
from hashdb.errors import UnreadablePicture, VideoTooLarge
from hashdb.hashing import Hashed

VIDEO, DOCUMENT = "video", "document"
"""The first word of the header of a video, and of a document."""
ANSWER_BYTES: Final = 65_536
"""The largest message of a process, in bytes."""
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


def send_answer(connection: socket, answer: Mapping[str, object]) -> None:
    """Send a message of the process, as an object of JSON."""
    send(connection, json.dumps(answer).encode())


def receive_answer(connection: socket) -> Any:
    """The next message of the process. Raises the error of a file if that is the message, and what `receive` raises."""
    answer = json.loads(receive(connection, ANSWER_BYTES))
    if "reason" in answer:
        raise (VideoTooLarge if answer["too_large"] else UnreadablePicture)(str(answer["reason"]))
    return answer


def encode_error(error: UnreadablePicture) -> dict[str, object]:
    """The error of a file as a message, which `receive_answer` raises."""
    return {"reason": error.reason, "too_large": isinstance(error, VideoTooLarge)}


def encode(hashed: Hashed) -> dict[str, object]:
    """The hashes as an object of JSON; `decode` is the inverse."""
    return {
        "signals": list(map(str, hashed.signals)),
        "quality": hashed.quality,
        "transforms": {name: list(map(str, signals)) for name, signals in hashed.transforms.items()},
        "signatures": {name: list(map(str, of_view)) for name, of_view in hashed.signatures.items()},
    }


def decode(message: Mapping[str, Any]) -> Hashed:
    """The hashes in a message of the process."""
    quality = message["quality"]
    return Hashed(
        tuple(map(Signal.parse, message["signals"])),
        None if quality is None else int(quality),
        {name: tuple(map(Signal.parse, signals)) for name, signals in message["transforms"].items()},
        {name: tuple(map(Signature.parse, texts)) for name, texts in message["signatures"].items()},
    )


def encode_frame(frame: Frame) -> dict[str, object]:
    """A frame of a document as an object of JSON; `decode_frame` is the inverse."""
    hashed = Hashed(frame.signals, frame.quality, frame.transforms)
    return {"at": int(frame.at), "unit": frame.unit, "length": frame.length, **encode(hashed)}


def decode_frame(message: Mapping[str, Any]) -> Frame:
    """The frame of a document in a message of the process."""
    hashed, unit = decode(message), Unit(message["unit"])
    return Frame(int(message["at"]), hashed.signals, hashed.quality, hashed.transforms, unit, int(message["length"]))
