"""Messages arrive as they were sent, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from socket import socket, socketpair
from threading import Thread

import pytest

from hashdb.hashing.sandbox import receive, send


@pytest.fixture
def ends() -> Iterator[tuple[socket, socket]]:
    one, other = socketpair()
    with one, other:
        yield one, other


@pytest.mark.parametrize("length", [0, 1, 5_000_000])
def test_a_message_arrives_whole(ends: tuple[socket, socket], length: int) -> None:
    message = bytes(length)
    sender = Thread(target=send, args=(ends[0], message))
    sender.start()
    assert receive(ends[1], 5_000_000) == message
    sender.join()


def test_messages_stay_apart(ends: tuple[socket, socket]) -> None:
    for message in (b"one", b"", b"three"):
        send(ends[0], message)
    send(ends[0], b"four", b"", b"six")
    assert [receive(ends[1], 5) for _ in range(6)] == [b"one", b"", b"three", b"four", b"", b"six"]


def test_a_message_too_long_is_refused_unread(ends: tuple[socket, socket]) -> None:
    send(ends[0], bytes(6))
    with pytest.raises(ValueError, match="6 bytes where 5 are the most"):
        receive(ends[1], 5)


@pytest.mark.parametrize("octets", [b"", b"\0\0", b"\0\0\0\x05abc"])
def test_an_end_that_closes_is_told(ends: tuple[socket, socket], octets: bytes) -> None:
    ends[0].sendall(octets)
    ends[0].close()
    with pytest.raises(EOFError):
        receive(ends[1], 5)


def test_a_timeout_holds_for_both_ways(ends: tuple[socket, socket]) -> None:
    ends[0].settimeout(0.05)
    with pytest.raises(TimeoutError):
        send(ends[0], bytes(10_000_000))
    with pytest.raises(TimeoutError):
        receive(ends[0], 5)
