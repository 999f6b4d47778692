"""Fetching files from listed hosts. A forbidden address is rejected before any connection."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from hashdb.errors import FetchRefused, MalformedRequest, TooLarge
from hashdb.web.sharing import fetching
from hashdb.web.sharing.fetching import fetch


class Host:
    """A host on this machine that records the requests to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.requested_paths: list[str] = []


@contextmanager
def host() -> Iterator[Host]:
    """Serve a picture, a redirect to it, a missing file, and a file above the limit."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host_served.requested_paths.append(self.path)
            self.send_response({"/moved": 302, "/none": 404}.get(self.path, 200))
            self.send_header("Location", f"http://127.0.0.1:{host_served.port}/picture")
            self.end_headers()
            self.wfile.write(b"x" * (2000 if self.path == "/large" else 10))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        host_served = Host(server.server_port)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield host_served
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def this_machine_permitted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permit addresses that are not public."""
    monkeypatch.setattr(fetching, "is_public", lambda address: True)


@pytest.mark.usefixtures("this_machine_permitted")
def test_a_listed_host_is_fetched_once_without_following_redirects() -> None:
    with host() as server:
        hosts, base = {f"127.0.0.1:{server.port}"}, f"http://127.0.0.1:{server.port}"
        assert fetch(f"{base}/picture?size=1", hosts, 1000) == b"x" * 10
        for path in ("/moved", "/none"):
            with pytest.raises(MalformedRequest):
                fetch(base + path, hosts, 1000)
        with pytest.raises(TooLarge):
            fetch(f"{base}/large", hosts, 1000)
        assert server.requested_paths == ["/picture?size=1", "/moved", "/none", "/large"]


def test_a_listed_host_with_a_private_address_is_never_connected() -> None:
    with host() as server:
        for name in ("127.0.0.1", "localhost"):
            with pytest.raises(FetchRefused):
                fetch(f"http://{name}:{server.port}/picture", {f"{name}:{server.port}"}, 1000)
        assert server.requested_paths == []


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/x",
        "http://cdn.example:81/x",
        "https://cdn.example:8443/x",
        "ftp://cdn.example/x",
        "file:///etc/passwd",
        "gopher://cdn.example/x",
        "http://user@cdn.example/x",
        "http://cdn.example@127.0.0.1/x",
        "http://127.0.0.1#cdn.example/x",
        "http://cdn.example.other.example/x",
        "//cdn.example/x",
        "cdn.example/x",
        "",
        "http://",
    ],
)
def test_an_unlisted_host_is_rejected_before_its_name_is_resolved(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **more: object) -> None:
        raise AssertionError("a name was resolved")

    monkeypatch.setattr("hashdb.service.sharing.safe_http.socket.getaddrinfo", never)
    monkeypatch.setattr(socket.socket, "connect", never)
    with pytest.raises(FetchRefused):
        fetch(url, {"cdn.example"}, 1000)


@pytest.mark.parametrize("url", ["http://[::1", "http://cdn.example:x/", "http://cdn.example:99999/"])
def test_an_invalid_address_is_rejected(url: str) -> None:
    with pytest.raises(MalformedRequest):
        fetch(url, {"cdn.example"}, 1000)


@pytest.mark.usefixtures("this_machine_permitted")
def test_a_host_that_does_not_answer_is_reported() -> None:
    with socket.socket() as unanswered:
        unanswered.bind(("127.0.0.1", 0))
        port = unanswered.getsockname()[1]
        for scheme in ("http", "https"):
            with pytest.raises(MalformedRequest):
                fetch(f"{scheme}://127.0.0.1:{port}/", {f"127.0.0.1:{port}"}, 1000)


@pytest.mark.usefixtures("this_machine_permitted")
def test_an_address_with_invalid_characters_does_not_reach_the_host() -> None:
    with host() as server:
        for path in ("/a b", "/a\x00", "/ä"):
            with pytest.raises(MalformedRequest):
                fetch(f"http://127.0.0.1:{server.port}{path}", {f"127.0.0.1:{server.port}"}, 1000)
        assert server.requested_paths == []
