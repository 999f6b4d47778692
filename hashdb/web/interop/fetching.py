"""Fetching a picture from a host that the operator listed, and from nowhere else."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection
from contextlib import closing
from http.client import HTTPConnection, HTTPException, HTTPResponse
from ipaddress import IPv4Address, IPv6Address, ip_address
from socket import SOCK_STREAM, create_connection, getaddrinfo
from urllib.parse import SplitResult, urlsplit

from hashdb.errors import FetchRefused, MalformedRequest, TooLarge

_SECONDS = 20.0
_CHUNK = 65536
_PORTS = {"http": 80, "https": 443}
_FAILED = "the picture cannot be fetched from that address"

Address = IPv4Address | IPv6Address


def public(address: Address) -> bool:
    """Whether it is an address of the internet, and of one machine."""
    if isinstance(address, IPv6Address) and (address.ipv4_mapped or address.sixtofour or address.teredo):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def fetch(url: str, hosts: Collection[str], most: int, permitted: Callable[[Address], bool] = public) -> bytes:
    """The bytes at an address, at most so many, fetched in 20 seconds, without redirects.

    The host must be one of `hosts`, and every address that its name has must be permitted; it is asked at one of those,
    whatever the name has a moment later. Raises FetchRefused before it connects, MalformedRequest, TooLarge.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:
        raise MalformedRequest(_FAILED) from None
    named = host if port == _PORTS.get(parts.scheme) else f"{host}:{port}"
    if parts.scheme not in _PORTS or "@" in parts.netloc or named not in hosts:
        raise FetchRefused()
    try:
        addresses = sorted({str(found[4][0]) for found in getaddrinfo(host, port, type=SOCK_STREAM)})
    except (OSError, UnicodeError):
        raise MalformedRequest(_FAILED) from None
    if not addresses or not all(permitted(ip_address(one.partition("%")[0])) for one in addresses):
        raise FetchRefused()
    try:
        return _asked(parts, host, addresses[0], port, most)
    except (OSError, HTTPException, ValueError):
        raise MalformedRequest(_FAILED) from None


def _asked(parts: SplitResult, host: str, address: str, port: int, most: int) -> bytes:
    with closing(HTTPConnection(host, port, timeout=_SECONDS)) as connection:
        connection.sock = create_connection((address, port), timeout=_SECONDS)
        if parts.scheme == "https":
            connection.sock = ssl.create_default_context().wrap_socket(connection.sock, server_hostname=host)
        path = parts.path or "/"
        connection.request("GET", f"{path}?{parts.query}" if parts.query else path, headers={"Connection": "close"})
        return _read(connection.getresponse(), most)


def _read(response: HTTPResponse, most: int) -> bytes:
    until = time.monotonic() + _SECONDS
    with response:
        if response.status != 200:
            raise MalformedRequest(_FAILED)
        octets = b""
        while part := response.read(_CHUNK):
            octets += part
            if len(octets) > most:
                raise TooLarge("a picture, in bytes,", most)
            if time.monotonic() > until:
                raise MalformedRequest(_FAILED)
    return octets
