"""Messages between the service and the sandboxed process arrive unchanged, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from socket import socket, socketpair
from threading import Thread

import pytest

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.signals import OF_PICTURES
from hashdb.errors import UnreadablePicture, VideoTooLarge
from hashdb.hashing import hash_transforms
from hashdb.hashing.messages import (
    decode,
    decode_frame,
    encode,
    encode_error,
    encode_frame,
    receive,
    receive_answer,
    send,
    send_answer,
)
from tests.hashing.samples import draw_picture, encode_picture


@pytest.fixture
def sockets() -> Iterator[tuple[socket, socket]]:
    left, right = socketpair()
    with left, right:
        yield left, right


@pytest.mark.parametrize("length", [0, 1, 5_000_000])
def test_a_message_arrives_whole(sockets: tuple[socket, socket], length: int) -> None:
    message = bytes(length)
    sender = Thread(target=send, args=(sockets[0], message))
    sender.start()
    assert receive(sockets[1], 5_000_000) == message
    sender.join()


def test_consecutive_messages_stay_separate(sockets: tuple[socket, socket]) -> None:
    for message in (b"one", b"", b"three"):
        send(sockets[0], message)
    send(sockets[0], b"four", b"", b"six")
    assert [receive(sockets[1], 5) for _ in range(6)] == [b"one", b"", b"three", b"four", b"", b"six"]


def test_a_message_that_is_too_long_is_rejected_without_reading_it(sockets: tuple[socket, socket]) -> None:
    send(sockets[0], bytes(6))
    with pytest.raises(ValueError, match="6 bytes where 5 are the most"):
        receive(sockets[1], 5)


@pytest.mark.parametrize("octets", [b"", b"\0\0", b"\0\0\0\x05abc"])
def test_a_closed_connection_raises_eof_error(sockets: tuple[socket, socket], octets: bytes) -> None:
    sockets[0].sendall(octets)
    sockets[0].close()
    with pytest.raises(EOFError):
        receive(sockets[1], 5)


def test_hashes_and_frames_arrive_unchanged(sockets: tuple[socket, socket]) -> None:
    hashed = hash_transforms(encode_picture(draw_picture()), OF_PICTURES)
    frame = Frame(3, hashed.signals, hashed.quality, hashed.transforms, Unit.PAGES)
    send_answer(sockets[0], encode(hashed))
    send_answer(sockets[0], encode_frame(frame))
    received = decode(receive_answer(sockets[1]))
    assert received == hashed
    assert list(received.transforms) == list(hashed.transforms), "in the same order"
    assert decode_frame(receive_answer(sockets[1])) == frame


@pytest.mark.parametrize("error", [UnreadablePicture("the picture is damaged"), VideoTooLarge("the video is long")])
def test_the_error_of_a_file_is_raised_with_its_class(sockets: tuple[socket, socket], error: UnreadablePicture) -> None:
    send_answer(sockets[0], encode_error(error))
    with pytest.raises(type(error), match=error.reason) as raised:
        receive_answer(sockets[1])
    assert type(raised.value) is type(error)


def test_a_timeout_applies_to_sending_and_receiving(sockets: tuple[socket, socket]) -> None:
    sockets[0].settimeout(0.05)
    with pytest.raises(TimeoutError):
        send(sockets[0], bytes(10_000_000))
    with pytest.raises(TimeoutError):
        receive(sockets[0], 5)
