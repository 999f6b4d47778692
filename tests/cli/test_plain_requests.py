"""Plain requests: hashdb parses and answers them exactly as gunicorn does."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.wsgi import Response, create

from hashdb.cli.plain_requests import Parser, PlainRequest, answer

CONFIG = Config()
SERVER = ("127.0.0.1", 8000)
TRUSTED, OTHER = ("127.0.0.1", 1234), ("192.0.2.1", 1234)
NOT_COMPARED = ("wsgi.errors", "wsgi.early_hints", "wsgi.multithread", "gunicorn.socket")
BODY = b"[1,2,3]"
PLAIN = (
    b"POST /v1/matches HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
    + BODY
)


def with_header(line: bytes) -> bytes:
    """The plain request with one more header line."""
    return PLAIN.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n", 1)


def read(octets: bytes, client: tuple[str, int], *, as_plain: bool) -> tuple[list[object], list[bool]]:
    """The requests on a connection, up to the end or the error, and for each whether it was parsed as plain."""
    server_end, client_end = socket.socketpair()
    outcome, plain = list[object](), list[bool]()
    with closing(server_end), closing(client_end):
        client_end.sendall(octets)
        client_end.shutdown(socket.SHUT_WR)
        parser = Parser(CONFIG, server_end, client, SERVER) if as_plain else RequestParser(CONFIG, server_end, client)
        try:
            while True:
                request: Any = next(parser)
                is_plain = isinstance(request, PlainRequest)
                environ = request.environ if is_plain else create(request, server_end, client, SERVER, CONFIG)[1]
                body = environ.pop("wsgi.input").read()
                compared = {name: value for name, value in environ.items() if name not in NOT_COMPARED}
                outcome.append((compared, body, request.should_close()))
                plain.append(is_plain)
        except StopIteration:
            outcome.append("end")
        except Exception as error:
            outcome.append(type(error))
    return outcome, plain


@pytest.mark.parametrize("client", [TRUSTED, OTHER])
@pytest.mark.parametrize(
    "octets",
    [
        PLAIN,
        PLAIN * 3,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET //a/./b-c_d~/..?x=%2F&y=a:b[]/?' HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN,
        b"GET /a? HTTP/1.1\r\nHost:a\r\nX-Empty:\r\nX-Tab: \ta\tb \t\r\n\r\n",
        with_header(b"Connection: Keep-Alive"),
        with_header(b"X-Forwarded-Proto: https"),
        with_header(b"X-Forwarded-Proto: http"),
        with_header(b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on"),
    ],
)
def test_a_plain_request_is_parsed_as_gunicorn_parses_it(octets: bytes, client: tuple[str, int]) -> None:
    outcome, plain = read(octets, client, as_plain=True)
    assert outcome == read(octets, client, as_plain=False)[0]
    assert plain and all(plain)


@pytest.mark.parametrize(
    "octets",
    [
        with_header(b"Connection: close"),
        with_header(b"Host: b.example"),
        with_header(b"X-A: 1\r\nx-a: 2"),
        with_header(b"X_Forwarded-For: 1"),
        with_header(b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off"),
        with_header(b"Transfer-Encoding: chunked"),
        with_header(b"Expect: 100-continue"),
        with_header(b"Content-Length: 7"),
        with_header(b"X-A : 1"),
        with_header(b"X-A: 1\r\n folded"),
        with_header(b"X-A: \xe9"),
        with_header(b"X-A: \x00"),
        with_header(b"X-A: 1\nX-B: 2"),
        with_header(b"\r\n".join(b"X-%d: 1" % n for n in range(70))),
        with_header(b"\r\n".join(b"X-%d: 1" % n for n in range(120))),
        PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"),
        PLAIN.replace(b"/v1", b"/%76"),
        PLAIN.replace(b"/v1", b"/v1#"),
        PLAIN.replace(b"/v1/matches", b"http://b.example/v1"),
        PLAIN.replace(b"/v1", b"/" + b"a" * 5_000),
        PLAIN.replace(b"POST", b"PATCH"),
        PLAIN.replace(b"POST", b"post"),
        PLAIN.replace(b": 7", b": +7"),
        PLAIN.replace(b": 7", b": -7"),
        PLAIN.replace(b": 7", b": 8"),
        PLAIN.replace(b": 7\r\n\r\n" + BODY, b": 9000\r\n\r\n" + b"1" * 9_000),
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN[:40],
        b"\r\n" + PLAIN,
        b"",
    ],
)
def test_a_request_that_is_not_plain_is_left_to_gunicorn(octets: bytes) -> None:
    outcome, plain = read(octets, TRUSTED, as_plain=True)
    assert outcome == read(octets, TRUSTED, as_plain=False)[0]
    assert not plain[:1] or plain[0] is False


def test_a_damaged_request_is_parsed_as_gunicorn_parses_it() -> None:
    rng, alphabet = random.Random(44), b"\r\n :;,%#?/\\_-+\x00\t\x7f\xe9AZaz019"
    whole, plain = with_header(b"X-Forwarded-Proto: https\r\nAuthorization: Bearer x") * 2, 0
    for _ in range(3_000):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            position = rng.randrange(len(damaged))
            damaged[position : position + rng.randint(0, 2)] = bytes(rng.choices(alphabet, k=rng.randint(0, 2)))
        outcome, flags = read(bytes(damaged), TRUSTED, as_plain=True)
        assert outcome == read(bytes(damaged), TRUSTED, as_plain=False)[0], bytes(damaged)
        plain += sum(flags)
    assert plain > 1_000


def response_of(body: Iterable[bytes], headers: list[tuple[str, str]], *, as_plain: bool) -> tuple[bytes, object]:
    """The response to a plain request without its date, and whether the connection is kept, or the error."""

    def application(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return body

    server_end, client_end = socket.socketpair()
    with closing(server_end), closing(client_end):
        client_end.sendall(PLAIN)
        request = next(Parser(CONFIG, server_end, TRUSTED, SERVER))
        response = Response(request, server_end, CONFIG)
        outcome: object
        try:
            if as_plain:
                outcome = answer(application, request, response)
            else:
                for part in application(request.environ, response.start_response):
                    response.write(part)
                response.close()
                outcome = not response.should_close()
        except Exception as error:
            outcome = type(error)
        server_end.shutdown(socket.SHUT_WR)
        octets = b"".join(iter(lambda: client_end.recv(65536), b""))
    return re.sub(rb"\r\nDate: [^\r]*", b"", octets), outcome


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ([b"abc"], [("Content-Type", "text/plain"), ("Content-Length", "3")]),
        ([b""], [("Content-Length", "0")]),
        ([b"abc"], [("Content-Length", "2")]),
        ([b"abc"], [("Content-Length", "4")]),
        ([b"abc"], [("content-length", "3")]),
        ([b"abc"], [("X-A", "b")]),
        ([b"a", b"bc"], [("Content-Length", "3")]),
        ((b"a", b"", b"bc"), []),
        ([b"abc"], [("Content-Length", "3"), ("X-A", "b\r\nX-B: c")]),
        ([b"abc"], [("Content-Length", "3"), ("X-A", "b\nX-B: c")]),
        ([b"abc"], [("Content-Length", "3"), ("X-A", "b\x00")]),
        ([b"abc"], [("Content-Length", "3"), ("X-A", "\u20ac")]),
    ],
)
def test_a_response_is_sent_as_gunicorn_sends_it(body: Sequence[bytes], headers: list[tuple[str, str]]) -> None:
    """A tuple stands for a response that is sent part by part."""
    responses = [
        response_of(body if isinstance(body, list) else iter(body), headers, as_plain=as_plain)
        for as_plain in (True, False)
    ]
    assert responses[0] == responses[1]
