"""Requests to the services of upstreams: only where the rules permit, and bounded."""

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
from hashdb.service.sharing.remotes import Stop, ask_to_read
from hashdb.wire.problems import PREFIX
from tests.builders import RULES

HERE = replace(RULES, egress=EgressPolicy((ip_network("127.0.0.0/8"),), plain=True))
PAGE = b'{"changes": [], "checkpoint": 0, "more": false, "epoch": "x"}'


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A server that answers each request so: its address, and the headers that came."""
    came: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            came.append(dict(self.headers))
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
        yield f"http://localhost:{server.server_address[1]}", came
        server.shutdown()


def trouble(url: str, rules: Rules = HERE) -> UpstreamTrouble:
    """Why a page of this service cannot be read."""
    with pytest.raises(Stop) as stopped:
        ask_to_read(lambda: HTTPRemote(url, "hdb_secret", rules).page(0, None, 10))
    return stopped.value.trouble


def test_a_page_is_asked_for_by_name_at_the_address_that_was_checked() -> None:
    with answering(200, PAGE) as (url, came):
        assert HTTPRemote(url, "hdb_secret", HERE).page(0, None, 10).epoch == "x"
    (headers,) = came
    assert (headers["Host"], headers["Authorization"]) == (url.removeprefix("http://"), "Bearer hdb_secret")
    assert headers["Accept-Encoding"] == "identity"


def test_private_addresses_are_refused_before_anything_is_sent() -> None:
    with answering(200, PAGE) as (url, came):
        assert trouble(url, replace(HERE, egress=EgressPolicy(plain=True))) is UpstreamTrouble.ADDRESS_REFUSED
    assert came == []
    assert trouble("http://no.such.name.invalid") is UpstreamTrouble.UNREACHABLE


def test_a_redirect_is_not_followed_and_a_long_answer_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(302, b"", Location="http://127.0.0.1:1/") as (url, came):
        assert trouble(url) is UpstreamTrouble.NOT_HASHDB
        assert len(came) == 1
    monkeypatch.setattr(remotes, "_RESPONSE_BYTES", 100_000)
    with answering(200, PAGE + b" " * 200_000) as (url, _):
        assert trouble(url) is UpstreamTrouble.UNREACHABLE
    with answering(200, PAGE, Content_Encoding="gzip") as (url, _):
        assert HTTPRemote(url, "hdb_secret", HERE).page(0, None, 10).checkpoint == 0


@pytest.mark.parametrize("first", [b"", b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_an_answer_that_drips_is_cut_wherever_it_is(first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remotes, "_REQUEST_SECONDS", 0.3)

    def drip(served: socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = served.accept()
                with connection, suppress(OSError):
                    connection.sendall(first)
                    while True:
                        sleep(0.05)
                        connection.sendall(b"x" if first else b"H")

    with create_server(("127.0.0.1", 0)) as served:
        Thread(target=drip, args=[served], daemon=True).start()
        assert trouble(f"http://127.0.0.1:{served.getsockname()[1]}") is UpstreamTrouble.UNREACHABLE
        served.shutdown(SHUT_RDWR)


@pytest.mark.parametrize(
    ("status", "slug", "why"),
    [
        (401, "not-authenticated", UpstreamTrouble.KEY_REFUSED),
        (403, "scope-missing", UpstreamTrouble.SCOPE_MISSING),
        (403, "member-suspended", UpstreamTrouble.SUSPENDED),
        (404, "not-found", UpstreamTrouble.NOT_HASHDB),
        (200, "", UpstreamTrouble.NOT_HASHDB),
    ],
)
def test_why_a_service_cannot_be_followed(status: int, slug: str, why: UpstreamTrouble) -> None:
    with refusing(status, slug) as url:
        assert trouble(url) is why


@pytest.mark.parametrize(("asked", "seconds"), [(90, 90), (10**9, 86_400), (10**400, 86_400), ("soon", None)])
def test_a_service_is_asked_again_after_a_day_at_the_latest(asked: object, seconds: float | None) -> None:
    with refusing(503, "unavailable", asked) as url, pytest.raises(Stop) as stopped:
        ask_to_read(lambda: HTTPRemote(url, "hdb_secret", HERE).page(0, None, 10))
    why = UpstreamTrouble.NOT_HASHDB if seconds is None else UpstreamTrouble.BUSY
    assert (stopped.value.trouble, stopped.value.seconds) == (why, seconds)


@contextmanager
def refusing(status: int, slug: str, wait: object = 0) -> Iterator[str]:
    """A service that answers with a problem."""
    body = json.dumps(
        {"type": f"{PREFIX}{slug}", "title": "", "detail": "", "status": status, "scope": "feed"}
        | {"what": "it", "retry_after": wait}
    ).encode()
    with answering(status, body, Content_Type="application/problem+json") as (url, _):
        yield url
