"""Webhook receivers on this machine. They record each request and answer with a status that the test sets."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any

LOOPBACK = "127.0.0.0/8"
_WITHIN = 20.0


@dataclass(frozen=True, slots=True)
class Received:
    """A request that a receiver got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The parsed body."""
        return json.loads(self.body)


class Receiver:
    """A receiver. It answers each request with `status`."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/hook"
        self.status = 204
        self.received: list[Received] = []
        self._changed = Condition()

    def record(self, received: Received) -> int:
        """Record a request, and return the status to answer it with."""
        with self._changed:
            self.received.append(received)
            self._changed.notify_all()
            return self.status

    def wait(self, count: int) -> list[Received]:
        """Wait for `count` requests, and return all requests so far."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.received) >= count, _WITHIN), self.received
            return list(self.received)


@contextmanager
def receiver() -> Iterator[Receiver]:
    """A receiver that listens while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(result.record(Received(self.path, dict(self.headers), body)))
            self.send_header("Location", result.url)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        result = Receiver(server.server_port)
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield result
        finally:
            server.shutdown()
            thread.join()
