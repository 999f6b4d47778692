"""Requests on a raw connection to a real server."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.serving import serving

Served = tuple[httpx.URL, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The address of a service, and the secret of one of its keys."""
    home = tmp_path_factory.mktemp("served") / "home"
    with serving(home) as url:
        settings = Settings(home=home)
        db = open_hashdb(settings.database, settings.rules())
        added = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM))
        issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope)))
        db.close()
        yield httpx.URL(url), issued.secret


def send(served: Served, address: str, body_bytes: bytes, *headers: str) -> bytes:
    """The whole answer to a request, as bytes, on a connection of its own."""
    url, secret = served
    lines = [f"POST {address} HTTP/1.1", f"Host: {url.host}", f"Authorization: Bearer {secret}", *headers]
    with socket.create_connection((url.host, url.port or 80), timeout=20) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body_bytes)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize("body_bytes", [b"zz\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"0\r\nX: y\r\n"])
@pytest.mark.parametrize("address", ["/v1/matches", "/v1/contributions", "/v1/signals"])
def test_a_body_in_broken_chunks_is_rejected(served: Served, address: str, body_bytes: bytes) -> None:
    content_type = "multipart/form-data; boundary=x" if address == "/v1/signals" else "application/json"
    response = send(served, address, body_bytes, f"Content-Type: {content_type}", "Transfer-Encoding: chunked")
    assert response.startswith(b"HTTP/1.1 400 "), response
    assert b"/problems/malformed-request" in response


def test_a_chunked_body_over_the_size_limit_is_rejected(served: Served) -> None:
    chunk = b"100000\r\n" + b"x" * 0x100000 + b"\r\n"
    response = send(
        served, "/v1/matches", chunk * 17 + b"0\r\n\r\n", "Content-Type: application/json", "Transfer-Encoding: chunked"
    )
    assert response.startswith(b"HTTP/1.1 413 ")


def test_a_truncated_body_is_rejected(served: Served) -> None:
    response = send(served, "/v1/matches", b'{"queries": [', "Content-Type: application/json", "Content-Length: 1000")
    assert response.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("line", "headers", "status"),
    [
        (f"/healthz?{'a' * 9000}", [], b"414"),
        ("/healthz", [f"X-A: {'a' * 100_000}"], b"431"),
        ("/healthz", [f"X-{n}: a" for n in range(200)], b"431"),
    ],
    ids=["address", "header", "headers"],
)
def test_a_request_line_or_headers_over_the_size_limit_are_rejected(
    served: Served, line: str, headers: list[str], status: bytes
) -> None:
    assert send(served, line, b"", *headers).startswith(b"HTTP/1.1 " + status)


@pytest.mark.parametrize(("prefix", "status"), [("", b"400"), ("/other", b"404")])
def test_no_header_sets_the_path(served: Served, prefix: str, status: bytes) -> None:
    for header in ("SCRIPT_NAME: /other", "PATH_INFO: /v1/members"):
        response = send(served, f"{prefix}/v1/matches", b"", "Content-Type: application/json", header)
        assert response.startswith(b"HTTP/1.1 " + status), header
