"""Fetching from listed hosts: what is not permitted is refused before anything is connected to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from hashdb.domain.addresses import Address
from hashdb.errors import FetchRefused, MalformedRequest, TooLarge
from hashdb.web.sharing.fetching import fetch


class Host:
    """A host on this machine, and who connected to it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.asked: list[str] = []


@contextmanager
def host() -> Iterator[Host]:
    """A host that has a picture, a redirect to it, and more than one may fetch."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            self.send_response({"/moved": 302, "/none": 404}.get(self.path, 200))
            self.send_header("Location", f"http://127.0.0.1:{made.port}/picture")
            self.end_headers()
            self.wfile.write(b"x" * (2000 if self.path == "/large" else 10))

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Host(server.server_port)
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


def anywhere(address: Address) -> bool:
    return True


def test_a_listed_host_is_asked_once_and_redirects_are_not_followed() -> None:
    with host() as made:
        hosts, base = {f"127.0.0.1:{made.port}"}, f"http://127.0.0.1:{made.port}"
        assert fetch(f"{base}/picture?size=1", hosts, 1000, anywhere) == b"x" * 10
        for path in ("/moved", "/none"):
            with pytest.raises(MalformedRequest):
                fetch(base + path, hosts, 1000, anywhere)
        with pytest.raises(TooLarge):
            fetch(f"{base}/large", hosts, 1000, anywhere)
        assert made.asked == ["/picture?size=1", "/moved", "/none", "/large"]


def test_a_listed_host_with_a_private_address_is_refused_before_it_is_connected_to() -> None:
    with host() as made:
        for name in ("127.0.0.1", "localhost"):
            with pytest.raises(FetchRefused):
                fetch(f"http://{name}:{made.port}/picture", {f"{name}:{made.port}"}, 1000)
        assert made.asked == []


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
def test_what_is_not_listed_is_refused_before_its_name_is_looked_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: object, **more: object) -> None:
        raise AssertionError("a name was looked up")

    monkeypatch.setattr("hashdb.service.sharing.safe_http.socket.getaddrinfo", never)
    monkeypatch.setattr(socket.socket, "connect", never)
    with pytest.raises(FetchRefused):
        fetch(url, {"cdn.example"}, 1000)


@pytest.mark.parametrize("url", ["http://[::1", "http://cdn.example:x/", "http://cdn.example:99999/"])
def test_what_is_no_address_is_told(url: str) -> None:
    with pytest.raises(MalformedRequest):
        fetch(url, {"cdn.example"}, 1000)


def test_a_host_that_does_not_answer_is_told() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        for scheme in ("http", "https"):
            with pytest.raises(MalformedRequest):
                fetch(f"{scheme}://127.0.0.1:{port}/", {f"127.0.0.1:{port}"}, 1000, anywhere)


def test_control_characters_do_not_reach_the_host() -> None:
    with host() as made:
        for path in ("/a b", "/a\x00", "/ä"):
            with pytest.raises(MalformedRequest):
                fetch(f"http://127.0.0.1:{made.port}{path}", {f"127.0.0.1:{made.port}"}, 1000, anywhere)
        assert made.asked == []
