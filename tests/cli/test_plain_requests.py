"""Plain requests are read, and answered, as gunicorn itself does."""

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
OF_THE_SERVER = ("wsgi.errors", "wsgi.early_hints", "wsgi.multithread", "gunicorn.socket")
BODY = b"[1,2,3]"
PLAIN = (
    b"POST /v1/matches HTTP/1.1\r\nHost: a.example\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n"
    + BODY
)


def with_line(line: bytes) -> bytes:
    """The plain request, with another header."""
    return PLAIN.replace(b"\r\n\r\n", b"\r\n" + line + b"\r\n\r\n", 1)


def read(sent: bytes, client: tuple[str, int], *, plainly: bool) -> tuple[list[object], list[bool]]:
    """What the requests on a connection are, up to the error that ends it; and which of them were plain."""
    ours, theirs = socket.socketpair()
    outcome, plain = list[object](), list[bool]()
    with closing(ours), closing(theirs):
        theirs.sendall(sent)
        theirs.shutdown(socket.SHUT_WR)
        parser = Parser(CONFIG, ours, client, SERVER) if plainly else RequestParser(CONFIG, ours, client)
        try:
            while True:
                request: Any = next(parser)
                is_plain = isinstance(request, PlainRequest)
                environ = request.environ if is_plain else create(request, ours, client, SERVER, CONFIG)[1]
                body = environ.pop("wsgi.input").read()
                kept = {name: value for name, value in environ.items() if name not in OF_THE_SERVER}
                outcome.append((kept, body, request.should_close()))
                plain.append(is_plain)
        except StopIteration:
            outcome.append("end")
        except Exception as error:
            outcome.append(type(error))
    return outcome, plain


@pytest.mark.parametrize("client", [TRUSTED, OTHER])
@pytest.mark.parametrize(
    "sent",
    [
        PLAIN,
        PLAIN * 3,
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET //a/./b-c_d~/..?x=%2F&y=a:b[]/?' HTTP/1.1\r\nHost: a\r\n\r\n" + PLAIN,
        b"GET /a? HTTP/1.1\r\nHost:a\r\nX-Empty:\r\nX-Tab: \ta\tb \t\r\n\r\n",
        with_line(b"Connection: Keep-Alive"),
        with_line(b"X-Forwarded-Proto: https"),
        with_line(b"X-Forwarded-Proto: http"),
        with_line(b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: on"),
    ],
)
def test_a_plain_request_is_what_gunicorn_reads(sent: bytes, client: tuple[str, int]) -> None:
    outcome, plain = read(sent, client, plainly=True)
    assert outcome == read(sent, client, plainly=False)[0]
    assert plain and all(plain)


@pytest.mark.parametrize(
    "sent",
    [
        with_line(b"Connection: close"),
        with_line(b"Host: b.example"),
        with_line(b"X-A: 1\r\nx-a: 2"),
        with_line(b"X_Forwarded-For: 1"),
        with_line(b"X-Forwarded-Proto: https\r\nX-Forwarded-Ssl: off"),
        with_line(b"Transfer-Encoding: chunked"),
        with_line(b"Expect: 100-continue"),
        with_line(b"Content-Length: 7"),
        with_line(b"X-A : 1"),
        with_line(b"X-A: 1\r\n folded"),
        with_line(b"X-A: \xe9"),
        with_line(b"X-A: \x00"),
        with_line(b"X-A: 1\nX-B: 2"),
        with_line(b"\r\n".join(b"X-%d: 1" % n for n in range(70))),
        with_line(b"\r\n".join(b"X-%d: 1" % n for n in range(120))),
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
def test_what_is_not_plain_is_left_to_gunicorn(sent: bytes) -> None:
    outcome, plain = read(sent, TRUSTED, plainly=True)
    assert outcome == read(sent, TRUSTED, plainly=False)[0]
    assert not plain[:1] or plain[0] is False


def test_damaged_requests_are_what_gunicorn_reads() -> None:
    rng, octets = random.Random(44), b"\r\n :;,%#?/\\_-+\x00\t\x7f\xe9AZaz019"
    whole, plain = with_line(b"X-Forwarded-Proto: https\r\nAuthorization: Bearer x") * 2, 0
    for _ in range(3_000):
        sent = bytearray(whole)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(sent))
            sent[at : at + rng.randint(0, 2)] = bytes(rng.choices(octets, k=rng.randint(0, 2)))
        outcome, which = read(bytes(sent), TRUSTED, plainly=True)
        assert outcome == read(bytes(sent), TRUSTED, plainly=False)[0], bytes(sent)
        plain += sum(which)
    assert plain > 1_000


def sent_by(answered: Iterable[bytes], headers: list[tuple[str, str]], *, plainly: bool) -> tuple[bytes, object]:
    """What is sent for a plain request, but for the time; and whether the connection is kept, or the error."""

    def application(_: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        start_response("200 OK", headers)
        return answered

    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        theirs.sendall(PLAIN)
        request = next(Parser(CONFIG, ours, TRUSTED, SERVER))
        response = Response(request, ours, CONFIG)
        outcome: object
        try:
            if plainly:
                outcome = answer(application, request, response)
            else:
                for part in application(request.environ, response.start_response):
                    response.write(part)
                response.close()
                outcome = not response.should_close()
        except Exception as error:
            outcome = type(error)
        ours.shutdown(socket.SHUT_WR)
        octets = b"".join(iter(lambda: theirs.recv(65536), b""))
    return re.sub(rb"\r\nDate: [^\r]*", b"", octets), outcome


@pytest.mark.parametrize(
    ("answered", "headers"),
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
def test_an_answer_is_what_gunicorn_sends(answered: Sequence[bytes], headers: list[tuple[str, str]]) -> None:
    """A tuple stands for an answer that is sent part by part."""
    told = [
        sent_by(answered if isinstance(answered, list) else iter(answered), headers, plainly=plainly)
        for plainly in (True, False)
    ]
    assert told[0] == told[1]
