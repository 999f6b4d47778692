"""Calls: at the address that was checked, within a time, and nowhere else."""

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


def anywhere(address: Address) -> bool:
    return True


@contextmanager
def dripping(octets: bytes) -> Iterator[int]:
    """The port of a host that answers with these, and then a byte each tenth of a second."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            taken, _ = server.accept()
            with taken:
                try:
                    taken.sendall(octets)
                    while True:
                        taken.sendall(b"x")
                        taken.settimeout(0.1)
                        try:
                            if taken.recv(4096) == b"":
                                return
                        except TimeoutError:
                            pass
                except OSError:
                    return

        thread = Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let every name have these addresses, and nothing be connected to."""

    def found(host: str, port: int, **more: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


@pytest.mark.parametrize(
    "addresses", [("127.0.0.1",), ("8.8.8.8", "10.0.0.1"), ("::ffff:8.8.8.8",), ("fe80::1%eth0",), ("100.64.1.1",), ()]
)
def test_a_name_of_which_one_address_is_not_permitted_is_refused(
    monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, ...]
) -> None:
    names(monkeypatch, *addresses)
    with pytest.raises(NotPermittedError):
        resolve(urlsplit("https://example.org/"), is_public)


def test_a_name_is_looked_up_once_and_asked_where_it_was_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, "8.8.8.8", "1.1.1.1")
    assert resolve(urlsplit("https://example.org/"), is_public) == "1.1.1.1"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.undo()
        parts = urlsplit(f"http://example.org:{port}/")
        with connect(parts, "127.0.0.1", 5) as connection:
            taken, _ = server.accept()
            connection.request("GET", request_target(parts))
            assert f"Host: example.org:{port}".encode() in taken.recv(4096)
            taken.close()


def test_a_name_without_an_address_is_told() -> None:
    for url in ("http://hashdb.invalid/", f"http://{'x' * 70}.example/"):
        with pytest.raises(UnknownNameError):
            resolve(urlsplit(url), anywhere)


@pytest.mark.parametrize("octets", [b"", b"HTTP/1.1 200 OK\r\nX-", b"HTTP/1.1 200 OK\r\n\r\n"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_host_that_never_ends_is_left_when_the_time_is_over(octets: bytes, scheme: str) -> None:
    with dripping(octets) as port:
        parts = urlsplit(f"{scheme}://127.0.0.1:{port}/")
        with pytest.raises(OSError), connect(parts, "127.0.0.1", 0.3) as connection:  # noqa: PT011
            connection.request("GET", "/")
            with connection.getresponse() as response:
                response.read()


def test_what_is_asked_of_a_host_is_its_path_and_query() -> None:
    assert request_target(urlsplit("https://example.org")) == "/"
    assert request_target(urlsplit("https://example.org/a?b=c#d")) == "/a?b=c"
