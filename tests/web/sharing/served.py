"""What the unmodified clients of `threatexchange` need: the application on a port, and a clock that they share."""

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
    """The address of a service's application for as long as the block lasts."""
    with listening_at("127.0.0.1", service.app) as server:
        yield f"http://127.0.0.1:{server.server_port}"


@contextmanager
def listening_at(host: str, application: WSGIApplication) -> Iterator[BaseWSGIServer]:
    """An application on a free port of a host, or at the socket of a `unix://` path, for as long as the block lasts."""
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
    """The hex digits of a signal's text."""
    return signal.partition(":")[2]
