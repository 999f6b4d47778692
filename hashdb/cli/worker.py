"""A worker of gunicorn whose threads wait for requests themselves."""

from __future__ import annotations

import logging
import select
import socket
import sys
import time
from contextlib import suppress
from threading import Lock, Thread, get_ident
from typing import Any

from gunicorn.http.wsgi import Response
from gunicorn.workers import gthread

from hashdb.cli.balance import Balance
from hashdb.cli.plain_requests import MOST_RECEIVED, Parser, PlainRequest, answer

_WHEN_READABLE = select.EPOLLIN | select.EPOLLONESHOT
"""One event, for one thread, as soon as there is something to read."""
_AT_ONCE = _WHEN_READABLE | select.EPOLLOUT
"""One event, for one thread, at once: a connection can always be written to."""
_THIS_MACHINE = ("127.0.0.1", 0)
_LATE_SECONDS = 0.02
"""If the leader takes longer to answer a request, another thread becomes the leader."""
_LOOK_AGAIN_SECONDS = 0.0005
"""After which a worker looks again whether others still have fewer connections."""
log = logging.getLogger("hashdb.serve")


class Leader:
    """The one thread that waits for events. It answers a quick request itself; before any other it hands over.

    With one thread at work, none waits for the interpreter's lock. If the leader is late, another thread leads, too:
    this is safe, because each event goes to one thread only.
    """

    def __init__(self) -> None:
        """Nobody leads."""
        # A leader holds `_free`. If a thread takes the place of a late leader, the lock passes to it.
        self._free = Lock()
        # The one thread that waits for `_free` holds `_next`: of all waiting threads, only one wakes to look.
        self._next = Lock()
        # Held while the leader changes, so that a leader cannot hand over while another thread takes its place.
        self._changing = Lock()
        self._thread = 0
        self._answers_since: float | None = None

    def become(self) -> None:
        """Wait until this thread leads."""
        with self._next:
            while not self._free.acquire(timeout=_LATE_SECONDS):
                with self._changing:
                    since = self._answers_since
                    if since is not None and time.monotonic() - since > _LATE_SECONDS:
                        self._thread, self._answers_since = get_ident(), None
                        return
            self._thread, self._answers_since = get_ident(), None

    def is_this_thread(self) -> bool:
        """Whether this thread leads."""
        return self._thread == get_ident()

    def begin_answer(self) -> None:
        """Note that the leader answers a request; if it takes long, another thread takes its place."""
        self._answers_since = time.monotonic()

    def end_answer(self) -> bool:
        """Note that the answer has ended; return whether this thread still leads."""
        if not self.is_this_thread():
            return False
        self._answers_since = None
        return True

    def hand_over(self) -> None:
        """Let another thread lead, if this one does."""
        with self._changing:
            if self.is_this_thread():
                self._thread, self._answers_since = 0, None
                self._free.release()


class ThreadedWorker(gthread.ThreadWorker):  # type: ignore[misc]
    """A gunicorn worker in which the thread that waits for a connection also reads its request and answers it.

    gunicorn's own worker passes each request from its main thread to another one and back. Each time, a thread is woken
    and waits for the interpreter's lock.

    When this worker stops, it answers every client that has connected and accepts no new ones. gunicorn's own keeps its
    socket open until the last connection ends, and accepts no connection meanwhile. Clients that connect then are cut
    off seconds later, and a proxy may not repeat a request that changes something.
    """

    alive: bool
    balance = Balance(1)
    """How many connections each worker has. Before the fork, `Balance.assign` sets the one that all workers share."""
    place: int | None = None
    """The position of this worker in `balance`; None if it has none, and its connections are not counted."""
    patience = 0.005
    """Seconds for which a worker leaves a new connection to workers with fewer connections."""

    def init_process(self) -> None:
        self._epoll = select.epoll()
        # All connections.
        self._open = set[Any]()
        # The connections of `_open` that no thread works on, by file descriptor. A thread, or `_close_waiting`, takes a
        # connection out of this mapping before it works on it: so no other does at the same time.
        self._waiting = dict[int, Any]()
        self._accepting = Lock()
        # The listeners with a new connection that is left to workers with fewer connections: by file descriptor, until
        # which time of `time.monotonic`. Such a listener is not watched until `_accept` watches it again, or
        # `_accept_again` does, each second.
        self._left_to_others = dict[int, float]()
        self._leader = Leader()
        # The application may say which requests are answered in a fraction of a millisecond, and the largest body.
        self._is_quick = getattr(self.app, "is_quick", lambda environ: False)
        self._largest_body = getattr(self.app, "largest_body", sys.maxsize)
        super().init_process()

    def run(self) -> None:
        # A signal to stop wakes this thread through the queue.
        self.poller.register(self.method_queue.fileno(), select.EPOLLIN, self.method_queue.run_callbacks)
        self._watch_listeners()
        self.balance.count(self.place, 0)
        for _ in range(self.cfg.threads):
            Thread(target=self._serve, name="requests", daemon=True).start()
        while self.alive and self.is_parent_alive():
            self.notify()
            self._close_waiting(time.monotonic())
            self._accept_again()
            # Until a second has passed, or a signal has come.
            self.wait_for_and_dispatch_events(1.0)
        self.alive = False
        self._stop()

    def _watch_listeners(self) -> None:
        self._listeners = {listener.fileno(): listener for listener in self.sockets}
        for number, listener in self._listeners.items():
            listener.setblocking(False)
            self._epoll.register(number, _WHEN_READABLE)

    def _stop(self) -> None:
        """Accept who has connected, and wait until every connection is closed."""
        self.balance.leave(self.place)
        with self._accepting:
            for listener in self.sockets:
                with suppress(OSError):
                    while True:
                        self._accept_one(listener)
                listener.close()
        stopped = now = time.monotonic()
        while self._open and now < stopped + self.cfg.graceful_timeout:
            self.notify()
            self.wait_for_and_dispatch_events(0.05)
            now = time.monotonic()
            # A connection times out `keepalive` seconds after its last request. This closes each that has been idle for
            # STOP_KEEPALIVE_LINGER; a request that comes on another is answered, and told that the connection closes.
            if now > stopped + gthread.STOP_KEEPALIVE_LINGER:
                self._close_waiting(now + self.cfg.keepalive - gthread.STOP_KEEPALIVE_LINGER)

    def _serve(self) -> None:
        """What each thread does: take an event, and answer one request or accept one connection."""
        leader = self._leader
        try:
            while True:
                if not leader.end_answer():
                    leader.become()
                try:
                    self._take_event()
                except Exception as error:
                    # The thread goes on: without it, the worker would answer fewer requests at once.
                    log.error("unexpected %s at a connection", type(error).__name__)
        finally:
            leader.hand_over()

    def _take_event(self) -> None:
        """Wait for one event, and answer the request or accept the connection that it is about.

        For `patience` seconds, a new connection is left to workers with fewer connections.
        """
        if self._left_to_others:
            self._accept_left()
        for number, _ in self._epoll.poll(_LOOK_AGAIN_SECONDS if self._left_to_others else -1, 1):
            self._leader.begin_answer()
            if (listener := self._listeners.get(number)) is not None:
                if self.balance.is_ahead(len(self._open)):
                    self._left_to_others[number] = time.monotonic() + self.patience
                else:
                    self._accept(listener)
            elif (connection := self._waiting.pop(number, None)) is not None:
                self._answer(connection)

    def _accept_left(self) -> None:
        """Accept what was left to other workers, once the time is over or no worker has fewer connections."""
        for number, until in list(self._left_to_others.items()):
            if not self.balance.is_ahead(len(self._open)) or time.monotonic() > until:
                # Another thread may have accepted it since.
                if self._left_to_others.pop(number, None) is not None:
                    self._accept(self._listeners[number])

    def _accept(self, listener: Any) -> None:
        """Accept a connection, unless another worker has accepted it."""
        with self._accepting:
            if not self.alive:
                return
            try:
                self._accept_one(listener)
            except BlockingIOError:
                # The client has gone, or another worker has accepted it.
                pass
            except OSError:
                # Such as too many open files: `_accept_again` goes on.
                return
            if len(self._open) < self.worker_connections:
                self._epoll.modify(listener.fileno(), _WHEN_READABLE)

    def _accept_again(self) -> None:
        """Watch all listeners again, also those on which it was not possible to accept another connection."""
        if len(self._open) < self.worker_connections:
            for number in self._listeners:
                self._epoll.modify(number, _WHEN_READABLE)

    def _accept_one(self, listener: Any) -> None:
        client, address = listener.accept()
        server = listener.getsockname()
        if isinstance(server, str):
            # The ends of a Unix socket have no address.
            address = server = _THIS_MACHINE
        connection = gthread.TConn(self.cfg, client, address, server)
        # A leader hands over before it waits for the rest of a request, and before gunicorn reads one.
        connection.parser = Parser(self.cfg, client, address, connection.server, before_waiting=self._leader.hand_over)
        connection.init()
        # For gunicorn: a thread takes the connection only when the client has sent something.
        connection.data_ready = True
        self._open.add(connection)
        self.balance.count(self.place, len(self._open))
        connection.set_timeout()
        self._waiting[client.fileno()] = connection
        self._epoll.register(client.fileno(), _WHEN_READABLE)

    def _answer(self, connection: Any) -> None:
        """Answer a request that has begun to arrive; then close the connection, or wait for the next request on it."""
        unreader = connection.parser.unreader
        goes_on = False
        try:
            if not unreader.buf.getvalue():
                unreader.unread(connection.sock.recv(MOST_RECEIVED, socket.MSG_DONTWAIT))
            goes_on = self.handle(connection)
        except BlockingIOError:
            # The event was of another connection, which had this number before.
            goes_on = True
        except ConnectionError:
            pass
        finally:
            if not goes_on:
                self._open.discard(connection)
                if self.alive:
                    self.balance.count(self.place, len(self._open))
                # gunicorn may have closed it.
                with suppress(OSError):
                    connection.close(graceful=True)
        if not goes_on:
            return
        number = connection.sock.fileno()
        # The client may have sent the next request with this one: then no other event would come.
        events = _AT_ONCE if unreader.buf.getvalue() else _WHEN_READABLE
        connection.set_timeout()
        self._waiting[number] = connection
        # Another thread may have closed it since.
        with suppress(OSError):
            self._epoll.modify(number, events)

    def handle_request(self, req: Any, conn: Any) -> bool:
        """Answer a request; return whether the connection can be used for another one."""
        if len(self._open) > self.max_keepalived:
            req.force_close()
        if isinstance(req, PlainRequest):
            if not self._is_quick(req.environ):
                self._leader.hand_over()
            return self._answer_plain(req, conn)
        # The connection cannot be used after a body that was not read to its end: tell the client that it closes.
        # A body of unknown length counts as too long.
        if getattr(req.body.reader, "length", sys.maxsize) > self._largest_body:
            req.force_close()
        return bool(super().handle_request(req, conn))

    def _answer_plain(self, request: PlainRequest, connection: Any) -> bool:
        if not self.alive:
            request.force_close()
        response = Response(request, connection.sock, self.cfg)
        try:
            return answer(self.wsgi, request, response)
        except Exception as error:
            if response.headers_sent:
                if not isinstance(error, OSError):
                    log.error("unexpected %s in the middle of an answer", type(error).__name__)
                # Another answer in the middle of this one would be read as part of it.
                # On StopIteration, gunicorn closes the connection without one.
                raise StopIteration from None
            raise

    def _close_waiting(self, now: float) -> None:
        """Shut down each waiting connection that has timed out at `now`: a thread then gets an event, and closes it.

        Only a thread that has taken a connection out of `_waiting` closes it.
        """
        for number, connection in list(self._waiting.items()):
            if connection.timeout <= now and (taken := self._waiting.pop(number, None)) is not None:
                # The number may have come to mean another connection since the list was made.
                if taken is connection:
                    with suppress(OSError):
                        taken.sock.shutdown(socket.SHUT_RDWR)
                self._waiting[number] = taken
                # An event that came meanwhile has found nothing, and comes again.
                with suppress(OSError):
                    self._epoll.modify(number, _AT_ONCE)
