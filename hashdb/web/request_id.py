"""Which request this is: an id that its answer, its lines in the log, its span and the proxy's own log have alike."""

from __future__ import annotations

import re
from random import getrandbits
from threading import local
from wsgiref.types import WSGIEnvironment

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_BITS = 64


class _Here(local):
    """Of a thread, which answers one request after another (a context variable costs more)."""

    id: str | None = None
    parent: str | None = None


_here = _Here()


def begin(environ: WSGIEnvironment, believed: bool) -> str:
    """The id of the request that begins in this thread: the one that it came with, where that is believed and sane.

    Only a proxy is believed: with 64 characters to choose freely, a stranger could write a hash into the log.
    """
    # Not a secret; and the system's randomness would make this thread wait for the others.
    id = f"{getrandbits(_BITS):016x}"
    if believed:
        given = environ.get("HTTP_X_REQUEST_ID")
        id = given if given and _SANE.fullmatch(given) else id
        _here.parent = environ.get("HTTP_TRACEPARENT")
    _here.id = id
    return id


def current() -> str | None:
    """The id of what this thread answers; None where it answers nothing."""
    return _here.id


def parent() -> str | None:
    """The span of the proxy that passed the request on (W3C `traceparent`), if it named one and is believed."""
    return _here.parent
