"""Fetch a picture by its URL, from a host that the operator listed and from nowhere else."""

from __future__ import annotations

from collections.abc import Collection
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from hashdb.domain.addresses import is_public
from hashdb.errors import FetchRefused, MalformedRequest, TooLarge
from hashdb.service.sharing.safe_http import PORTS, NotPermittedError, connect, request_target, resolve

_TIMEOUT_SECONDS = 20.0
_CHUNK_BYTES = 65536
_FETCH_FAILED = "the picture cannot be fetched from that address"


def fetch(url: str, hosts: Collection[str], max_bytes: int) -> bytes:
    """Return the picture at a URL, of at most `max_bytes`, within 20 seconds and without following redirects.

    `hosts` has the hosts that the operator listed, as `host`, or `host:port` if the port is not the scheme's. The host
    must be one of them, and all its addresses must be public. The connection uses an address that was checked, so a
    later change in the DNS has no effect.

    Raises FetchRefused before it connects, MalformedRequest, TooLarge.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise MalformedRequest(_FETCH_FAILED) from None
    host_and_port = host if port == PORTS.get(parts.scheme) else f"{host}:{port}"
    if parts.scheme not in PORTS or "@" in parts.netloc or host_and_port not in hosts:
        raise FetchRefused()
    try:
        with connect(parts, resolve(parts, is_public), _TIMEOUT_SECONDS) as connection:
            connection.request("GET", request_target(parts), headers={"Connection": "close"})
            return _read(connection.getresponse(), max_bytes)
    except NotPermittedError:
        raise FetchRefused() from None
    except (OSError, HTTPException, ValueError):
        raise MalformedRequest(_FETCH_FAILED) from None


def _read(response: HTTPResponse, max_bytes: int) -> bytes:
    with response:
        if response.status != 200:
            raise MalformedRequest(_FETCH_FAILED)
        picture = b""
        while chunk := response.read(_CHUNK_BYTES):
            picture += chunk
            if len(picture) > max_bytes:
                raise TooLarge("the bytes of a picture", max_bytes)
    return picture
