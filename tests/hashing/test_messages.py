"""Messages between the service and the sandboxed process arrive unchanged, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from socket import socket, socketpair
from threading import Thread

import pytest

from hashdb.hashing.messages import receive, send


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


def test_a_timeout_applies_to_sending_and_receiving(sockets: tuple[socket, socket]) -> None:
    sockets[0].settimeout(0.05)
    with pytest.raises(TimeoutError):
        send(sockets[0], bytes(10_000_000))
    with pytest.raises(TimeoutError):
        receive(sockets[0], 5)
