"""A proxy before a real service, which fails as networks and proxies do."""

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
