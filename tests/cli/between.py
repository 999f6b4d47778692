"""Proxies before a real service: one fails as networks and proxies do, one answers as version 0.1.0."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx

from hashdb.errors import HashDBError
from hashdb.wire.problems import problem
from hashdb.wsgi.problems import status_of

LOST = "the answer is lost"


@dataclass
class Between:
    """Where it listens, and the Idempotency-Key of each POST that came."""

    url: str
    keys: list[str | None] = field(default_factory=list)


@contextmanager
def between(service: str, happens: Callable[[int], HashDBError | str | None]) -> Iterator[Between]:
    """A proxy that answers the POST of a number (from 1) with an error, loses its answer (LOST), or passes it on."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(httpx.get(f"{service}{self.path}", headers=self._kept()))

        def do_POST(self) -> None:
            proxy.keys.append(self.headers["Idempotency-Key"])
            body = self.rfile.read(int(self.headers["Content-Length"]))
            happening = happens(len(proxy.keys))
            if isinstance(happening, HashDBError):
                status = status_of(type(happening))
                self._answer(httpx.Response(status, content=json.dumps(problem(happening, status))))
                return
            answer = httpx.post(f"{service}{self.path}", content=body, headers=self._kept())
            if happening is None:
                self._answer(answer)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _kept(self) -> dict[str, str]:
            named = ("Authorization", "Content-Type", "Idempotency-Key")
            return {name: self.headers[name] for name in named if name in self.headers}

        def _answer(self, answer: httpx.Response) -> None:
            self.send_response(answer.status_code)
            self.end_headers()
            self.wfile.write(answer.content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        proxy = Between(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def of_version_0_1_0(url: str) -> Iterator[str]:
    """The address of a service that takes and tells of signatures as that version does: not at all."""

    class Older(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            kept = {name: self.headers[name] for name in ("Authorization", "Content-Type") if name in self.headers}
            answer = httpx.request(self.command, url + self.path, content=body, headers=kept)
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

    with ThreadingHTTPServer(("127.0.0.1", 0), Older) as server:
        Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
