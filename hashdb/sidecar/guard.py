"""Refuses requests of web pages: a browser on the same machine can reach the port of the sidecar.

A page of any site can send requests to 127.0.0.1. It can read the answers, too, if the name of its own site is made to
resolve to 127.0.0.1 (DNS rebinding). The browser then sends this name in the header Host. In the headers Origin and
Sec-Fetch-Site, it says which site a request comes from.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_address
from wsgiref.types import WSGIEnvironment

from hashdb.errors import WebPageRefused

HEADERS = (
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("X-Content-Type-Options", "nosniff"),
    ("Cache-Control", "no-store"),
)
"""Headers of every answer. They do not allow a page of another site to read it."""
_NO_SITE = "none"
"""The value of Sec-Fetch-Site for a request that no page caused, such as for a typed address."""


def require_program(environ: WSGIEnvironment, *, on_unix_socket: bool) -> None:
    """Raise WebPageRefused for a request of a web page.

    `on_unix_socket` says that the sidecar listens on a Unix socket, which no page can reach: then any Host is allowed.
    """
    if (
        "HTTP_ORIGIN" in environ
        or environ.get("HTTP_SEC_FETCH_SITE", _NO_SITE) != _NO_SITE
        or not (on_unix_socket or _is_loopback(environ.get("HTTP_HOST", "")))
    ):
        raise WebPageRefused()


@lru_cache(256)
def _is_loopback(host: str) -> bool:
    """Whether a Host header is localhost or a loopback address, with or without a port. No site has such a name."""
    # A colon after the last `]` begins a port. Those of an IPv6 address are within the brackets.
    has_port = ":" in host.rpartition("]")[2]
    name = host.lower().rstrip("0123456789").removesuffix(":") if has_port else host.lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name).is_loopback
    except ValueError:
        return False
