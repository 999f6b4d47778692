"""Refuses what a web page sends: a browser on the same machine can reach a port of it, and a name can point there.

A page of another site may send requests to 127.0.0.1, and reads the answers if its own name resolves to 127.0.0.1
(DNS rebinding). The browser then sends the page's name as Host. It also says where a request comes from.
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
"""What every answer has. None of them allows another origin to read it."""
_BY_HAND = "none"
"""How a browser marks a request that no page caused, such as a typed address."""


def require_program(environ: WSGIEnvironment, *, on_socket: bool) -> None:
    """Raise WebPageRefused for a request of a web page. On a Unix socket the Host may be any."""
    if (
        "HTTP_ORIGIN" in environ
        or environ.get("HTTP_SEC_FETCH_SITE", _BY_HAND) != _BY_HAND
        or not (on_socket or _is_loopback(environ.get("HTTP_HOST", "")))
    ):
        raise WebPageRefused()


@lru_cache(256)
def _is_loopback(host: str) -> bool:
    """Whether a Host header names this machine by a name or an address that nobody else can own."""
    name = host.lower().rstrip("0123456789").removesuffix(":") if ":" in host.rpartition("]")[2] else host.lower()
    if name == "localhost":
        return True
    try:
        return ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name).is_loopback
    except ValueError:
        return False
