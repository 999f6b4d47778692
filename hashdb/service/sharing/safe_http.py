"""Calls to addresses that others name: resolved once, checked, and asked at what was checked, within a time."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import cache
from http.client import HTTPConnection, HTTPException
from ipaddress import ip_address
from threading import Event, Timer
from urllib.parse import SplitResult

from hashdb.domain.addresses import Address

PORTS = {"http": 80, "https": 443}


class NotPermittedError(OSError):
    """An address to which this service does not connect."""


class UnknownNameError(OSError):
    """A name that has no address."""


def resolved(parts: SplitResult, permits: Callable[[Address], bool]) -> str:
    """The address at which to ask the host of a URL; each that its name has must be permitted.

    Raises NotPermittedError, UnknownNameError.
    """
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    try:
        addresses = sorted({str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        raise UnknownNameError from None
    if not addresses or not all(permits(ip_address(one.partition("%")[0])) for one in addresses):
        raise NotPermittedError
    return addresses[0]


@contextmanager
def connected(parts: SplitResult, address: str, seconds: float) -> Iterator[HTTPConnection]:
    """A connection to that address for the host of a URL, which ends after so many seconds, whatever is sent by then.

    No proxy is asked, and no redirect followed. Raises OSError, also for a certificate that is not the host's;
    TimeoutError where the time was over before the block was.
    """
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    with closing(HTTPConnection(host, port, timeout=seconds)) as connection:
        # For the usual port of either scheme, the Host header names none.
        connection.default_port = PORTS[parts.scheme]
        connection.sock = socket.create_connection((address, port), timeout=seconds)
        # A time for each read alone would let a host that sends a byte at a time keep us for ever.
        late, held = Event(), [connection.sock]
        timer = Timer(seconds, _cut, [held, late])
        timer.daemon = True
        timer.start()
        try:
            if parts.scheme == "https":
                secured = _tls().wrap_socket(connection.sock, server_hostname=host, do_handshake_on_connect=False)
                connection.sock = held[0] = secured
                secured.do_handshake()
            yield connection
        except (OSError, HTTPException, ValueError):
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            timer.cancel()
        if late.is_set():
            raise TimeoutError


def target(parts: SplitResult) -> str:
    """What is asked of the host of a URL."""
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _cut(held: list[socket.socket], late: Event) -> None:
    """End what is held: not the connection's own, of which it lets go once an answer begins."""
    late.set()
    with suppress(OSError):
        # Past the class of TLS, which would forget its state while another thread reads.
        socket.socket.shutdown(held[0], socket.SHUT_RDWR)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
