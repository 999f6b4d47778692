"""Fetching a picture from a host that the operator listed, and from nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Collection
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from hashdb.domain.addresses import Address, public
from hashdb.errors import FetchRefused, MalformedRequest, TooLarge
from hashdb.service.calls import PORTS, NotPermittedError, connected, resolved, target

_SECONDS = 20.0
_CHUNK = 65536
_FAILED = "the picture cannot be fetched from that address"


def fetch(url: str, hosts: Collection[str], most: int, permitted: Callable[[Address], bool] = public) -> bytes:
    """The bytes at an address, at most so many, fetched in 20 seconds, without redirects.

    The host must be one of `hosts`, and every address that its name has must be permitted; it is asked at one of those,
    whatever the name has a moment later. Raises FetchRefused before it connects, MalformedRequest, TooLarge.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise MalformedRequest(_FAILED) from None
    named = host if port == PORTS.get(parts.scheme) else f"{host}:{port}"
    if parts.scheme not in PORTS or "@" in parts.netloc or named not in hosts:
        raise FetchRefused()
    try:
        with connected(parts, resolved(parts, permitted), _SECONDS) as connection:
            connection.request("GET", target(parts), headers={"Connection": "close"})
            return _read(connection.getresponse(), most)
    except NotPermittedError:
        raise FetchRefused() from None
    except (OSError, HTTPException, ValueError):
        raise MalformedRequest(_FAILED) from None


def _read(response: HTTPResponse, most: int) -> bytes:
    with response:
        if response.status != 200:
            raise MalformedRequest(_FAILED)
        octets = b""
        while part := response.read(_CHUNK):
            octets += part
            if len(octets) > most:
                raise TooLarge("a picture, in bytes,", most)
    return octets
