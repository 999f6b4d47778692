"""The id of a request: its response, its log lines, its span and the log of the proxy share it."""

from __future__ import annotations

import re
from random import getrandbits
from threading import local
from wsgiref.types import WSGIEnvironment

HEADER = "X-Request-ID"
_VALID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BITS = 64


class _ThreadRequest(local):
    """The current request of a thread, which serves one at a time (a context variable costs more)."""

    id: str | None = None
    traceparent: str | None = None


_current = _ThreadRequest()


def begin(environ: WSGIEnvironment, *, trust_headers: bool) -> str:
    """Begin a request in this thread, and return its id: a new one, or that of X-Request-ID if it is valid.

    `trust_headers` is True only behind a proxy: a client that may choose 64 characters could write a hash into the log.
    If it is False, the headers X-Request-ID and traceparent are ignored.
    """
    # Not a secret; and the system's random source would make threads wait for each other.
    id = f"{getrandbits(_BITS):016x}"
    if trust_headers:
        sent = environ.get("HTTP_X_REQUEST_ID")
        id = sent if sent and _VALID.fullmatch(sent) else id
        _current.traceparent = environ.get("HTTP_TRACEPARENT")
    _current.id = id
    return id


def current() -> str | None:
    """The id of the request that this thread began last; None if it began none."""
    return _current.id


def proxy_span() -> str | None:
    """The span of the proxy: the W3C `traceparent` of the current request. None without one or without a proxy."""
    return _current.traceparent
