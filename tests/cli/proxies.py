"""Proxies in front of a real service: one fails as networks and proxies do, one behaves as version 0.1.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

from hashdb.errors import HashDBError
from hashdb.http_server.problems import status_of
from hashdb.wire.problems import problem

LOSE_ANSWER = "lose the answer"


@dataclass
class FaultyProxy:
    """The address of the proxy, and the Idempotency-Key of each POST that it received."""

    url: str
    idempotency_keys: list[str | None] = field(default_factory=list)


@contextmanager
def faulty_proxy(service: str, failure: Callable[[int], HashDBError | str | None]) -> Iterator[FaultyProxy]:
    """A proxy that asks `failure` for each POST, numbered from 1.

    An error is the answer. With LOSE_ANSWER, the service handles the request and the client gets no answer.
    With None, the proxy passes the answer on.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(httpx.get(f"{service}{self.path}", headers=self._forwarded_headers()))

        def do_POST(self) -> None:
            proxy.idempotency_keys.append(self.headers["Idempotency-Key"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            outcome = failure(len(proxy.idempotency_keys))
            if isinstance(outcome, HashDBError):
                status = status_of(type(outcome))
                self._answer(httpx.Response(status, content=json.dumps(problem(outcome, status))))
                return
            answer = httpx.post(f"{service}{self.path}", content=body, headers=self._forwarded_headers())
            if outcome is None:
                self._answer(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _forwarded_headers(self) -> dict[str, str]:
            forwarded = ("Authorization", "Content-Type", "Idempotency-Key")
            return {name: self.headers[name] for name in forwarded if name in self.headers}

        def _answer(self, answer: httpx.Response) -> None:
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        proxy = FaultyProxy(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def service_of_version_0_1_0(url: str) -> Iterator[str]:
    """The address of a service that, like version 0.1.0, rejects signatures and lists none in /v1/me."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            headers = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            answer = httpx.request(self.command, url + self.path, content=body, headers=headers)
            status, content = (422, b"{}") if b"signatures" in body else (answer.status_code, answer.content)
            if self.path == "/v1/me":
                content = json.dumps(
                    answer.json() | {"signatures": [], "texts": {}, "digests": [], "version": "0.1.0"}
                ).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
