"""Outgoing connections go only to the checked address and end within their time limit."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest

from hashdb.domain.addresses import Address, is_public
from hashdb.service.sharing.safe_http import NotPermittedError, UnknownNameError, connect, request_target, resolve


def permit_any(address: Address) -> bool:
    return True


@contextmanager
def slow_server(octets: bytes) -> Iterator[int]:
    """The port of a server that sends these octets, and then a byte every tenth of a second."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    connection.sendall(octets)
                    while True:
                        connection.sendall(b"x")
                        connection.settimeout(0.1)
                        try:
                            if connection.recv(4096) == b"":
                                return
                        except TimeoutError:
                            pass
                except OSError:
                    return

        thread = Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every host name resolve to these addresses."""

    def getaddrinfo(host: str, port: int, **named: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("::ffff:8.8.8.8",), ("fe80::1%eth0",), ("100.64.1.1",), ()]
)
def test_a_name_with_one_forbidden_address_or_none_is_rejected(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    resolve_to(monkeypatch, *addresses)
    with pytest.raises(NotPermittedError):
        resolve(urlsplit("https://example.org/"), is_public)


def test_a_name_is_resolved_once_and_the_checked_address_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    resolve_to(monkeypatch, "8.8.8.8", "1.1.1.1")
    assert resolve(urlsplit("https://example.org/"), is_public) == "1.1.1.1"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.undo()
        parts = urlsplit(f"http://example.org:{port}/")
        with connect(parts, "127.0.0.1", 5) as connection:
            accepted, _ = server.accept()
            connection.request("GET", request_target(parts))
            assert f"Host: example.org:{port}".encode() in accepted.recv(4096)
            accepted.close()


def test_an_unknown_name_is_reported() -> None:
    for url in ("http://hashdb.invalid/", f"http://{'x' * 70}.example/"):
        with pytest.raises(UnknownNameError):
            resolve(urlsplit(url), permit_any)


@pytest.mark.parametrize("octets", [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_connection_to_an_endless_answer_ends_at_the_time_limit(octets: bytes, scheme: str) -> None:
    with slow_server(octets) as port:
        parts = urlsplit(f"{scheme}://127.0.0.1:{port}/")
        with pytest.raises(OSError), connect(parts, "127.0.0.1", 0.3) as connection:  # noqa: PT011
            connection.request("GET", "/")
            with connection.getresponse() as response:
                response.read()


def test_the_request_target_is_the_path_and_the_query() -> None:
    assert request_target(urlsplit("https://example.org")) == "/"
    assert request_target(urlsplit("https://example.org/a?b=c#d")) == "/a?b=c"
