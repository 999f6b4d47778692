"""A shorter way through gunicorn for plain requests: read in one piece, and answered in one piece.

gunicorn itself reads every other request, and sends every other answer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from io import BytesIO
from ipaddress import ip_address
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.wsgi import Response, base_environ
from gunicorn.util import http_date

MOST_RECEIVED = 8_000
"""The most bytes that are read at once, and the most bytes of a plain request."""
_HEAD = re.compile(
    r"(GET|POST) ((/[A-Za-z0-9._~/-]{0,1000})(?:\?([!-\"$-~]{0,2000}))?) HTTP/1\.1\r\n"
    r"((?:[A-Za-z0-9-]+:[\t -~]*\r\n){1,64})\r\n"
)
"""Printable ASCII, within every limit of gunicorn: no escape in the path, no `_` in the name of a header."""
_HEAD_LINES = re.compile(r"[\t -~]*(?:\r\n[\t -~]*)*")
"""The lines of the head of an answer, in printable ASCII."""
_NOT_PLAIN = ("HTTP_TRANSFER_ENCODING", "HTTP_EXPECT")
"""Headers that no plain request has: gunicorn reads such a request."""
Environ = dict[str, Any]


class PlainRequest:
    """A request whose head and body have been read whole."""

    version = (1, 1)

    def __init__(self, environ: Environ) -> None:
        """With the WSGI environment for the application."""
        self.environ = environ
        self.method, self.uri, self.query = environ["REQUEST_METHOD"], environ["RAW_URI"], environ["QUERY_STRING"]
        self.body = environ["wsgi.input"]
        self.must_close = False

    def force_close(self) -> None:
        """Close the connection after the answer."""
        self.must_close = True

    def should_close(self) -> bool:
        """Whether the connection is closed after the answer."""
        return self.must_close


class Parser(RequestParser):  # type: ignore[misc]
    """Reads the requests of a connection: a plain one itself, all others as gunicorn does."""

    def __init__(
        self,
        cfg: Config,
        sock: Any,
        client: tuple[Any, ...],
        server: tuple[Any, ...],
        before_waiting: Callable[[], None] = lambda: None,
    ) -> None:
        """For a connection between two addresses. `before_waiting` is called before the parser waits for the client."""
        super().__init__(cfg, sock, client)
        self._before_waiting = before_waiting
        self._sock = sock
        # A proxy that gunicorn trusts says by these whether the client used TLS.
        self._schemes = {f"HTTP_{name.replace('-', '_')}": value for name, value in cfg.secure_scheme_headers.items()}
        allowed = cfg.forwarded_allow_ips
        self._trusted = "*" in allowed or any(ip_address(client[0]) in net for net in cfg.forwarded_allow_networks())
        # gunicorn takes this prefix off the path.
        self._prefixed = bool(os.environ.get("SCRIPT_NAME"))
        self._environ: Environ = base_environ(cfg) | {
            "wsgi.multithread": True,
            "gunicorn.socket": sock,
            "SCRIPT_NAME": "",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": server[0],
            "SERVER_PORT": str(server[1]),
            "REMOTE_ADDR": client[0],
            "REMOTE_PORT": str(client[1]),
        }

    def __next__(self) -> Any:
        data = self.unreader.take_buffered() or self._sock.recv(MOST_RECEIVED)
        environ, rest = self._read(data)
        self.unreader.unread(rest)
        if environ is None:
            self._before_waiting()
            return super().__next__()
        self.mesg = PlainRequest(environ)
        return self.mesg

    def finish_body(self, deadline: float | None = None, max_bytes: int | None = None) -> bool:
        """Whether nothing of the request is left to read."""
        return isinstance(self.mesg, PlainRequest) or bool(super().finish_body(deadline, max_bytes))

    def _read(self, data: bytes) -> tuple[Environ | None, bytes]:
        """The environment of the plain request with which `data` begins, and what follows; else None and all of it."""
        head = _HEAD.match(data.decode("latin-1"))
        if head is None or self._prefixed:
            return None, data
        method, uri, path, query, lines = head.groups()
        headers = dict[str, str]()
        for line in lines.split("\r\n")[:-1]:
            name, _, value = line.partition(":")
            name = f"HTTP_{name.upper().replace('-', '_')}"
            if name in headers or name in _NOT_PLAIN:
                return None, data
            headers[name] = value.strip(" \t")
        length = headers.get("HTTP_CONTENT_LENGTH", "0")
        if (
            headers.get("HTTP_CONNECTION", "keep-alive").lower() != "keep-alive"
            or not (scheme := self._scheme(headers))
            or not length.isdecimal()
            or len(length) > 4
            or (end := head.end() + int(length)) > MOST_RECEIVED
        ):
            return None, data
        while len(data) < end:
            self._before_waiting()
            if not (more := self._sock.recv(MOST_RECEIVED)):
                return None, data
            data += more
        environ = self._environ | headers
        for name in ("CONTENT_LENGTH", "CONTENT_TYPE"):
            if f"HTTP_{name}" in headers:
                environ[name] = environ.pop(f"HTTP_{name}")
        environ["REQUEST_METHOD"], environ["RAW_URI"] = method, uri
        environ["PATH_INFO"], environ["QUERY_STRING"] = path, query or ""
        environ["wsgi.input"] = BytesIO(data[head.end() : end])
        environ["wsgi.url_scheme"] = scheme
        return environ, data[end:]

    def _scheme(self, headers: dict[str, str]) -> str:
        """The scheme that a trusted proxy names, else http; empty if its headers contradict each other."""
        if not self._trusted or self._schemes.keys().isdisjoint(headers):
            return "http"
        names = self._schemes.keys() & headers
        named = {"https" if headers[name] == self._schemes[name] else "http" for name in names}
        return named.pop() if len(named) == 1 else ""


def answer(application: WSGIApplication, request: PlainRequest, response: Response) -> bool:
    """Send what the application answers; return whether the connection can be used for another request."""
    started: list[Any] = []

    def start(*status_and_headers: Any) -> Callable[[bytes], object]:
        started[:] = status_and_headers
        return lambda part: response.write(part)

    body = application(request.environ, start)
    if type(body) is list and len(body) == 1 and (head := _head(request, response, len(body[0]), *started[:2])):
        response.sock.sendall(head + body[0])
        return not request.must_close
    response.start_response(*started)
    try:
        for part in body:
            response.write(part)
        response.close()
    finally:
        if hasattr(body, "close"):
            body.close()
    return not response.should_close()


def _head(request: PlainRequest, response: Response, length: int, status: str, headers: list[tuple[str, str]]) -> bytes:
    """The head of an answer of this length; empty if gunicorn has to write it, or refuse it."""
    connection = "close" if request.must_close else "keep-alive"
    lines = [f"HTTP/1.1 {status}", f"Server: {response.version}", f"Date: {http_date()}", f"Connection: {connection}"]
    lines += [f"{name}: {value}" for name, value in headers]
    text = "\r\n".join(lines)
    is_whole = _HEAD_LINES.fullmatch(text) and text.count("\n") == len(lines) - 1
    return f"{text}\r\n\r\n".encode() if is_whole and f"Content-Length: {length}" in lines else b""
