"""Serves the application on a port, for the unmodified clients of `threatexchange`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from wsgiref.types import WSGIApplication

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

from tests.web.callers import Service


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """Serve the application of a service for the length of the block, and return its address."""
    with listening_at("127.0.0.1", service.app) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def listening_at(host: str, application: WSGIApplication) -> Iterator[BaseWSGIServer]:
    """Serve an application on a free port of a host, or at the socket of a `unix://` path, during the block."""
    server = make_server(host, 0, application, threaded=True, request_handler=_Silent)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def digits(signal: str) -> str:
    """Return the hex digits of a signal's text."""
    return signal.partition(":")[2]
