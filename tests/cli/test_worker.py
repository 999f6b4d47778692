"""The worker of gunicorn: many connections on few threads, and how it stops."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.workers import gthread

from hashdb.cli.balance import Balance
from hashdb.cli.listening import check_port
from hashdb.cli.worker import Leader, ThreadedWorker
from tests.faults.services import Service

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
THREADS = 8


@contextmanager
def _running_service(home: Path) -> Iterator[Service]:
    service = Service(home, workers=1)
    yield service.start()
    service.stop()


@pytest.fixture(scope="module")
def shared_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one worker, for tests that do not change it."""
    with _running_service(tmp_path_factory.mktemp("worker") / "home") as service:
        yield service


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service with one worker, which a test may stop."""
    with _running_service(tmp_path / "home") as service:
        yield service


def connect(service: Service) -> socket.socket:
    """Open a connection to the service."""
    return socket.create_connection((service.host, service.port), timeout=20)


def read_response(connection: socket.socket) -> bytes:
    """Read the next response on a connection and return its head."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1)
        assert head
    length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    assert len(connection.recv(int(length.partition(b":")[2]), socket.MSG_WAITALL)) > 0
    return head


def test_more_clients_than_threads_keep_connections_and_get_answers(shared_service: Service) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(shared_service)) for _ in range(5 * THREADS)]
        for _ in range(3):
            for client in clients:
                client.sendall(REQUEST)
            assert all(read_response(client).startswith(b"HTTP/1.1 200 ") for client in clients)


def test_clients_that_send_nothing_block_no_thread(shared_service: Service) -> None:
    with ExitStack() as stack:
        for _ in range(5 * THREADS):
            stack.enter_context(connect(shared_service))
        client = stack.enter_context(connect(shared_service))
        client.settimeout(5)
        client.sendall(REQUEST)
        assert read_response(client).startswith(b"HTTP/1.1 200 ")


def test_clients_that_send_half_a_request_do_not_delay_others(shared_service: Service) -> None:
    half = b"POST /v1/matches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with ExitStack() as stack:
        for partial in [REQUEST[:20], half] * 3:
            stack.enter_context(connect(shared_service)).sendall(partial)
        for _ in range(3):
            client = stack.enter_context(connect(shared_service))
            client.settimeout(5)
            client.sendall(REQUEST)
            assert read_response(client).startswith(b"HTTP/1.1 200 ")


class _Clients:
    """Clients of a server with two workers, which answer with their process ids. Each client keeps its connection."""

    def __init__(self, stack: ExitStack, patience: float) -> None:
        self._stack, self._port = stack, check_port("127.0.0.1", 0)
        command = [sys.executable, "-m", "tests.cli.two_workers", str(self._port), str(patience)]
        process = stack.enter_context(subprocess.Popen(command, cwd=Path(__file__).parents[2]))
        stack.callback(process.terminate)
        self.answers = Counter[int]()
        deadline = time.monotonic() + 30
        while len(self.answers) < 2:
            assert process.poll() is None and time.monotonic() < deadline, "the server did not start"
            with suppress(ConnectionRefusedError):
                self.ask()
            time.sleep(0.05)

    def ask(self) -> None:
        """Connect one more client and send its request."""
        connection = self._stack.enter_context(socket.create_connection(("127.0.0.1", self._port), timeout=20))
        connection.sendall(REQUEST)
        self.answers[int(connection.recv(1_000).rpartition(b"\r\n\r\n")[2])] += 1


def test_connections_are_spread_evenly_over_the_workers() -> None:
    with ExitStack() as stack:
        clients = _Clients(stack, patience=10.0)
        # The worker that was ready first may have accepted more connections at the start.
        before = max(clients.answers.values())
        for _ in range(2 * before + 12):
            clients.ask()
        first, second = clients.answers.values()
        assert abs(first - second) <= 2


def _wait_until_stopped(process: int) -> None:
    """Wait until all threads of a process have stopped. A running thread may continue for a while after the signal."""
    deadline = time.monotonic() + 20
    states = set[str]()
    while states != {"T"}:
        assert time.monotonic() < deadline, states
        # The state follows the name of the program, which is in brackets.
        states = {file.read_text().rpartition(") ")[2][0] for file in Path(f"/proc/{process}/task").glob("*/stat")}


def test_a_hanging_worker_gets_no_connection_that_another_can_accept() -> None:
    with ExitStack() as stack:
        clients = _Clients(stack, ThreadedWorker.patience)
        hanging, other = clients.answers
        os.kill(hanging, signal.SIGSTOP)
        stack.callback(os.kill, hanging, signal.SIGCONT)
        _wait_until_stopped(hanging)
        before = clients.answers[other]
        for _ in range(6):
            clients.ask()
        assert clients.answers[other] == before + 6


def test_each_listener_can_leave_a_connection_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gthread.ThreadWorker, "init_process", lambda self: None)
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        clients = [stack.enter_context(socket.create_connection(listener.getsockname())) for listener in listeners]
        worker = ThreadedWorker(1, os.getpid(), listeners, None, 30, Config(), None)
        stack.callback(worker.tmp.close)
        worker.init_process()
        stack.callback(worker._epoll.close)
        worker._watch_listeners()
        worker.balance, worker.place, worker.patience = Balance(1), 0, 60.0
        # Another worker has no connection, and this one has three.
        worker.balance.count(1, 0)
        worker._open.update(("first", "second", "third"))
        for _ in clients:
            worker._take_event()
        assert len(worker._open) == 3
        # The other worker leaves. The next event is a new connection.
        worker.balance.leave(1)
        clients.append(stack.enter_context(socket.create_connection(listeners[1].getsockname())))
        worker._take_event()
        for accepted in worker._waiting.values():
            stack.enter_context(accepted.sock)
        assert len(worker._open) == 3 + len(clients)


class _LeaderThread:
    """A thread that becomes the leader, and answers until the test lets it continue."""

    def __init__(self, leader: Leader) -> None:
        self.leads, self.may_continue = Event(), Event()
        self._leader = leader
        Thread(target=self._lead, daemon=True).start()

    def _lead(self) -> None:
        self._leader.become()
        self.leads.set()
        self._leader.begin_answer()
        self.may_continue.wait(20)
        self.still_leads = self._leader.end_answer()
        self.leads.clear()


def test_one_thread_leads_until_it_hands_over() -> None:
    leader = Leader()
    leader.become()
    assert leader.is_this_thread()
    other = _LeaderThread(leader)
    assert not other.leads.wait(0.1)
    leader.hand_over()
    assert other.leads.wait(20)
    assert not leader.is_this_thread()
    other.may_continue.set()


def test_a_leader_that_takes_long_to_answer_is_replaced() -> None:
    leader = Leader()
    first = _LeaderThread(leader)
    assert first.leads.wait(20)
    second = _LeaderThread(leader)
    assert second.leads.wait(20)
    first.may_continue.set()
    while first.leads.is_set():
        time.sleep(0.01)
    assert not first.still_leads
    # The first thread no longer leads, so its actions do not affect the second one.
    leader.hand_over()
    assert not leader.is_this_thread()
    second.may_continue.set()


def test_a_late_leader_can_hand_over_while_it_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    leader, answers, is_replaced, handed_over = Leader(), Event(), Event(), Event()

    def lead_and_hand_over() -> None:
        leader.become()
        leader.begin_answer()
        answers.set()
        is_replaced.wait(20)
        leader.hand_over()
        handed_over.set()

    def monotonic() -> float:
        if not answers.is_set():
            return 0.0
        # The other thread finds that the leader is late. At this moment, the leader tries to hand over.
        is_replaced.set()
        handed_over.wait(0.5)
        return 1.0

    monkeypatch.setattr("hashdb.cli.worker.time", SimpleNamespace(monotonic=monotonic))
    late = Thread(target=lead_and_hand_over, daemon=True)
    late.start()
    assert answers.wait(20)
    leader.become()
    late.join()
    assert leader.is_this_thread()
    leader.hand_over()
    assert not leader.is_this_thread()


def test_pipelined_requests_are_answered_in_order(shared_service: Service) -> None:
    with connect(shared_service) as client:
        client.sendall(REQUEST * 3 + REQUEST.replace(b"/healthz", b"/nowhere"))
        answers = [read_response(client)[:12] for _ in range(4)]
    assert answers == [b"HTTP/1.1 200"] * 3 + [b"HTTP/1.1 404"]


def test_a_stopping_worker_answers_connected_clients_and_closes_connections(
    service: Service,
) -> None:
    with connect(service) as used, connect(service) as fresh:
        used.sendall(REQUEST)
        assert b"\r\nconnection: keep-alive\r\n" in read_response(used).lower()
        (worker,) = service.workers()
        os.kill(worker, signal.SIGTERM)
        time.sleep(0.5)
        for client in (used, fresh):
            client.sendall(REQUEST)
            head = read_response(client)
            assert head.startswith(b"HTTP/1.1 200 ") and b"\r\nconnection: close\r\n" in head.lower()
            assert client.recv(1) == b""


def test_an_idle_connection_does_not_delay_the_stop(service: Service) -> None:
    with connect(service) as idle:
        idle.sendall(REQUEST)
        read_response(idle)
        started = time.monotonic()
        service.stop()
    # A worker that waited for its clients would be killed after 30 s. This limit does not measure speed.
    assert time.monotonic() - started < 20
