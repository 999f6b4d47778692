"""The worker of gunicorn: many connections and few threads, and what it does as it ends."""

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


def test_clients_that_send_half_of_a_request_do_not_hold_the_others_up(lasting: Service) -> None:
    half = b"POST /v1/matches HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"
    with ExitStack() as stack:
        for sent in [ASKED[:20], half] * 3:
            stack.enter_context(connection(lasting)).sendall(sent)
        for _ in range(3):
            asking = stack.enter_context(connection(lasting))
            asking.settimeout(5)
            asking.sendall(ASKED)
            assert answer(asking).startswith(b"HTTP/1.1 200 ")


class _Asking:
    """Clients of two workers that answer with the ids of their processes; each keeps its connection."""

    def __init__(self, stack: ExitStack, patience: float) -> None:
        self._stack, self._port = stack, check_port("127.0.0.1", 0)
        command = [sys.executable, "-m", "tests.cli.two_workers", str(self._port), str(patience)]
        process = stack.enter_context(subprocess.Popen(command, cwd=Path(__file__).parents[2]))
        stack.callback(process.terminate)
        self.answers = Counter[int]()
        until = time.monotonic() + 30
        while len(self.answers) < 2:
            assert process.poll() is None and time.monotonic() < until, "the server did not start"
            with suppress(ConnectionRefusedError):
                self.ask()
            time.sleep(0.05)

    def ask(self) -> None:
        """Let one more client ask."""
        opened = self._stack.enter_context(socket.create_connection(("127.0.0.1", self._port), timeout=20))
        opened.sendall(ASKED)
        self.answers[int(opened.recv(1_000).rpartition(b"\r\n\r\n")[2])] += 1


def test_connections_are_spread_evenly_over_the_workers() -> None:
    with ExitStack() as stack:
        asking = _Asking(stack, patience=10.0)
        # The worker that was ready first may have taken some before.
        before = max(asking.answers.values())
        for _ in range(2 * before + 12):
            asking.ask()
        first, second = asking.answers.values()
        assert abs(first - second) <= 2


def _wait_until_stopped(process: int) -> None:
    """Wait until all threads of a process have stopped; one that runs may go on for a while after the signal."""
    until = time.monotonic() + 20
    states = set[str]()
    while states != {"T"}:
        assert time.monotonic() < until, states
        # The state stands after the name of the program, which is in brackets.
        states = {one.read_text().rpartition(") ")[2][0] for one in Path(f"/proc/{process}/task").glob("*/stat")}


def test_a_worker_that_hangs_gets_no_connection_that_another_one_can_take() -> None:
    with ExitStack() as stack:
        asking = _Asking(stack, ThreadedWorker.patience)
        hanging, other = asking.answers
        os.kill(hanging, signal.SIGSTOP)
        stack.callback(os.kill, hanging, signal.SIGCONT)
        _wait_until_stopped(hanging)
        before = asking.answers[other]
        for _ in range(6):
            asking.ask()
        assert asking.answers[other] == before + 6


def test_each_listener_can_leave_a_connection_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gthread.ThreadWorker, "init_process", lambda self: None)
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        clients = [stack.enter_context(socket.create_connection(one.getsockname())) for one in listeners]
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
        # The other worker ends. The next event is that of one more connection.
        worker.balance.leave(1)
        clients.append(stack.enter_context(socket.create_connection(listeners[1].getsockname())))
        worker._take_event()
        for accepted in worker._waiting.values():
            stack.enter_context(accepted.sock)
        assert len(worker._open) == 3 + len(clients)


class _Turns:
    """A thread that leads, and then does what it is told."""

    def __init__(self, leader: Leader) -> None:
        self.leads, self.goes_on = Event(), Event()
        self._leader = leader
        Thread(target=self._lead, daemon=True).start()

    def _lead(self) -> None:
        self._leader.become()
        self.leads.set()
        self._leader.begin_answer()
        self.goes_on.wait(20)
        self.still_leads = self._leader.end_answer()
        self.leads.clear()


def test_one_thread_leads_until_it_hands_over() -> None:
    leader = Leader()
    leader.become()
    assert leader.is_this_thread()
    other = _Turns(leader)
    assert not other.leads.wait(0.1)
    leader.hand_over()
    assert other.leads.wait(20)
    assert not leader.is_this_thread()
    other.goes_on.set()


def test_a_leader_that_answers_for_long_is_replaced() -> None:
    leader = Leader()
    first = _Turns(leader)
    assert first.leads.wait(20)
    second = _Turns(leader)
    assert second.leads.wait(20)
    first.goes_on.set()
    while first.leads.is_set():
        time.sleep(0.01)
    assert not first.still_leads
    # What the first one does now is no matter of the second one's.
    leader.hand_over()
    assert not leader.is_this_thread()
    second.goes_on.set()


def test_a_late_leader_that_hands_over_while_it_is_replaced_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
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
