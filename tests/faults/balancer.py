"""A balancer before some services, as small as can be: each request goes, once, to one that was ready lately."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread, local

import httpx

LOOKS_EVERY = 0.1
"""Seconds from one look at who is ready to the next."""
_PASSED = ("Authorization", "Content-Type", "Idempotency-Key", "Retry-After")


@contextmanager
def balancer(services: Sequence[str]) -> Iterator[str]:
    """The address of one that spreads requests over services by chance; what it cannot pass on is 502."""
    ready, stop, held, clients = list(services), Event(), local(), list[httpx.Client]()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name: self.headers[name] for name in _PASSED if name in self.headers}
            if not hasattr(held, "client"):
                held.client = httpx.Client(timeout=30)
                clients.append(held.client)
            try:
                url = f"{random.choice(ready)}{self.path}"
                answer = held.client.request(self.command, url, content=body, headers=headers)
            except (httpx.TransportError, IndexError) as error:
                answer = httpx.Response(502, content=repr(error).encode())
            self.send_response(answer.status_code)
            for name in _PASSED:
                if name in answer.headers:
                    self.send_header(name, answer.headers[name])
            self.send_header("Content-Length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, format: str, *args: object) -> None:
            pass

    def look() -> None:
        while not stop.wait(LOOKS_EVERY):
            ready[:] = [url for url in services if _is_ready(url)]

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threads = [Thread(target=server.serve_forever), Thread(target=look)]
        for thread in threads:
            thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            stop.set()
            server.shutdown()
            for thread in threads:
                thread.join()
            for client in clients:
                client.close()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/readyz", timeout=2).is_success
    except httpx.TransportError:
        return False
