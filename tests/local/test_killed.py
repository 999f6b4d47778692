"""Look-back is killed while it remembers, syncs and looks back, and between a report and its acknowledgement."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from wsgiref.simple_server import WSGIRequestHandler, make_server

import pytest

from tests.faults.remembering import count_kills
from tests.local.conftest import Service


class QuietHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    """The service, on a port of this machine."""
    with make_server("127.0.0.1", 0, service.wire.app.app, handler_class=QuietHandler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_reports_are_complete_and_without_repetition_after_kills(url: str, service: Service, tmp_path: Path) -> None:
    # One kill while it remembers, one while it looks back, one before the acknowledgement.
    # scripts/faults kills it at every step.
    assert count_kills(url, service.key, tmp_path / "member", (5, 24, 34)) == 3
