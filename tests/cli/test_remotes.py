"""Requests to upstream services: only to permitted addresses, and limited in size and time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_network
from socket import SHUT_RDWR, create_server, socket
from threading import Thread
from time import sleep

import pytest

from hashdb.cli import remotes
from hashdb.cli.remotes import HTTPRemote
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.upstreams import UpstreamTrouble
from hashdb.service.sharing.remotes import CannotFollow, ask_to_read
from hashdb.wire.problems import PREFIX
from tests.builders import RULES

LOOPBACK_RULES = replace(RULES, egress=EgressPolicy((ip_network("127.0.0.0/8"),), allows_http=True))
PAGE = b'{"changes": [], "checkpoint": 0, "more": false, "epoch": "x"}'


@contextmanager
def http_server(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers each request with this response. Yields its address and the headers of the requests."""
    requests: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(dict(self.headers))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *words: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield f"http://localhost:{server.server_address[1]}", requests
        server.shutdown()


def trouble_of(url: str, rules: Rules = LOOPBACK_RULES) -> UpstreamTrouble:
    """The reason why a page of this service cannot be read."""
    with pytest.raises(CannotFollow) as refusal:
        ask_to_read(lambda: HTTPRemote(url, "hdb_secret", rules).page(0, None, 10))
    return refusal.value.trouble


def test_a_request_goes_to_the_checked_address_with_the_name_as_host() -> None:
    with http_server(200, PAGE) as (url, requests):
        assert HTTPRemote(url, "hdb_secret", LOOPBACK_RULES).page(0, None, 10).epoch == "x"
    (headers,) = requests
    assert (headers["Host"], headers["Authorization"]) == (url.removeprefix("http://"), "Bearer hdb_secret")
    assert headers["Accept-Encoding"] == "identity"


def test_a_private_address_is_rejected_before_anything_is_sent() -> None:
    with http_server(200, PAGE) as (url, requests):
        assert (
            trouble_of(url, replace(LOOPBACK_RULES, egress=EgressPolicy(allows_http=True)))
            is UpstreamTrouble.ADDRESS_REFUSED
        )
    assert requests == []
    assert trouble_of("http://no.such.name.invalid") is UpstreamTrouble.UNREACHABLE


def test_a_redirect_is_not_followed_and_a_long_response_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with http_server(302, b"", Location="http://127.0.0.1:1/") as (url, requests):
        assert trouble_of(url) is UpstreamTrouble.NOT_HASHDB
        assert len(requests) == 1
    monkeypatch.setattr(remotes, "_RESPONSE_BYTES", 100_000)
    with http_server(200, PAGE + b" " * 200_000) as (url, _):
        assert trouble_of(url) is UpstreamTrouble.UNREACHABLE
    with http_server(200, PAGE, Content_Encoding="gzip") as (url, _):
        assert HTTPRemote(url, "hdb_secret", LOOPBACK_RULES).page(0, None, 10).checkpoint == 0


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_slow_response_is_cut_off_in_every_part(first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "_REQUEST_SECONDS", 0.3)

    def drip(server: socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = server.accept()
                with connection, suppress(OSError):
                    connection.sendall(first)
                    while True:
                        sleep(0.05)
                        connection.sendall(b"x" if first else b"H")

    with create_server(("127.0.0.1", 0)) as server:
        Thread(target=drip, args=[server], daemon=True).start()
        assert trouble_of(f"http://127.0.0.1:{server.getsockname()[1]}") is UpstreamTrouble.UNREACHABLE
        server.shutdown(SHUT_RDWR)


@pytest.mark.parametrize(
    ("status", "slug", "trouble"),
    [
        (401, "not-authenticated", UpstreamTrouble.KEY_REFUSED),
        (403, "scope-missing", UpstreamTrouble.SCOPE_MISSING),
        (403, "member-suspended", UpstreamTrouble.SUSPENDED),
        (404, "not-found", UpstreamTrouble.NOT_HASHDB),
        (200, "", UpstreamTrouble.NOT_HASHDB),
    ],
)
def test_each_error_of_an_upstream_has_its_reason(status: int, slug: str, trouble: UpstreamTrouble) -> None:
    with problem_server(status, slug) as url:
        assert trouble_of(url) is trouble


@pytest.mark.parametrize(("retry_after", "seconds"), [(90, 90), (10**9, 86_400), (10**400, 86_400), ("soon", None)])
def test_a_busy_upstream_is_retried_after_a_day_at_most(retry_after: object, seconds: float | None) -> None:
    with problem_server(503, "unavailable", retry_after) as url, pytest.raises(CannotFollow) as refusal:
        ask_to_read(lambda: HTTPRemote(url, "hdb_secret", LOOPBACK_RULES).page(0, None, 10))
    trouble = UpstreamTrouble.NOT_HASHDB if seconds is None else UpstreamTrouble.BUSY
    assert (refusal.value.trouble, refusal.value.seconds) == (trouble, seconds)


@contextmanager
def problem_server(status: int, slug: str, wait: object = 0) -> Iterator[str]:
    """A service that answers each request with this problem."""
    body = json.dumps(
        {"type": f"{PREFIX}{slug}", "title": "", "detail": "", "status": status, "scope": "feed"}
        | {"what": "it", "retry_after": wait}
    ).encode()
    with http_server(status, body, Content_Type="application/problem+json") as (url, _):
        yield url
