"""The worker of gunicorn: many connections and few threads, and what it does as it ends."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.services import Service

ASKED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
THREADS = 8


@contextmanager
def _started(home: Path) -> Iterator[Service]:
    one = Service(home, workers=1)
    yield one.start()
    one.stop()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of one worker, for the tests that leave it as it was."""
    with _started(tmp_path_factory.mktemp("worker") / "home") as service:
        yield service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service of one worker, which a test ends."""
    with _started(tmp_path / "home") as service:
        yield service


def connection(service: Service) -> socket.socket:
    """A connection to it."""
    return socket.create_connection((service.host, service.port), timeout=20)


def answer(opened: socket.socket) -> bytes:
    """The next answer on a connection: its head, with the body taken off."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += opened.recv(1)
        assert head
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    assert len(opened.recv(int(length.partition(b":")[2]), socket.MSG_WAITALL)) > 0
    return head


def test_more_clients_than_threads_keep_their_connections_and_are_answered_in_turns(lasting: Service) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connection(lasting)) for _ in range(5 * THREADS)]
        for _ in range(3):
            for one in clients:
                one.sendall(ASKED)
            assert all(answer(one).startswith(b"HTTP/1.1 200 ") for one in clients)


def test_clients_that_send_nothing_hold_no_thread(lasting: Service) -> None:
    with ExitStack() as stack:
        for _ in range(5 * THREADS):
            stack.enter_context(connection(lasting))
        asking = stack.enter_context(connection(lasting))
        asking.settimeout(5)
        asking.sendall(ASKED)
        assert answer(asking).startswith(b"HTTP/1.1 200 ")


def test_requests_that_are_sent_at_once_are_answered_one_after_the_other(lasting: Service) -> None:
    with connection(lasting) as one:
        one.sendall(ASKED * 3 + ASKED.replace(b"/healthz", b"/nowhere"))
        answers = [answer(one)[:12] for _ in range(4)]
    assert answers == [b"HTTP/1.1 200"] * 3 + [b"HTTP/1.1 404"]


def test_who_has_connected_is_answered_as_the_service_ends_and_told_that_the_connection_closes(
    service: Service,
) -> None:
    with connection(service) as kept, connection(service) as fresh:
        kept.sendall(ASKED)
        assert b"\r\nconnection: keep-alive\r\n" in answer(kept).lower()
        (worker,) = service.workers()
        os.kill(worker, signal.SIGTERM)
        time.sleep(0.5)
        for one in (kept, fresh):
            one.sendall(ASKED)
            head = answer(one)
            assert head.startswith(b"HTTP/1.1 200 ") and b"\r\nconnection: close\r\n" in head.lower()
            assert one.recv(1) == b""


def test_a_connection_that_is_kept_and_not_used_does_not_hold_the_end_up(service: Service) -> None:
    with connection(service) as kept:
        kept.sendall(ASKED)
        answer(kept)
        started = time.monotonic()
        service.stop()
    # A worker that waits for its clients is killed after 30 s; no figure of speed.
    assert time.monotonic() - started < 20
