"""Which request this is: an id that its answer, its lines in the log, its span and the proxy's own log have alike."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from typing import NamedTuple
from wsgiref.types import WSGIEnvironment

HEADER = "X-Request-ID"
_SANE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_OCTETS = 8


class Identity(NamedTuple):
    """The id of a request, and the span of the proxy that passed it on (W3C `traceparent`), if it named one."""

    id: str
    parent: str | None = None


_current: ContextVar[Identity | None] = ContextVar("identity", default=None)


def begin(environ: WSGIEnvironment, believed: bool) -> str:
    """The id of the request that begins in this thread: the one that it came with, where that is believed and sane.

    Only a proxy is believed: with 64 characters to choose freely, a stranger could write a hash into the log.
    """
    given = environ.get("HTTP_X_REQUEST_ID") if believed else None
    id = given if given and _SANE.fullmatch(given) else os.urandom(_OCTETS).hex()
    _current.set(Identity(id, environ.get("HTTP_TRACEPARENT") if believed else None))
    return id


def current() -> Identity | None:
    """What this thread answers; None where it answers nothing."""
    return _current.get()
