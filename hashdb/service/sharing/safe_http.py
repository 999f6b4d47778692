"""HTTP requests to URLs from outside: the name is resolved once, and the checked address is used, within a deadline."""

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
    """The service does not connect to this address."""


class UnknownNameError(OSError):
    """The host name has no address."""


def resolve(parts: SplitResult, permits: Callable[[Address], bool]) -> str:
    """The address to connect to for the host of a URL; all addresses of its name must be permitted.

    Raises NotPermittedError, UnknownNameError.
    """
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    try:
        addresses = sorted({str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        raise UnknownNameError from None
    if not addresses or not all(permits(ip_address(address.partition("%")[0])) for address in addresses):
        raise NotPermittedError
    return addresses[0]


@contextmanager
def connect(parts: SplitResult, address: str, seconds: float) -> Iterator[HTTPConnection]:
    """A connection to this address for the host of a URL, which is cut after `seconds`, whatever is sent by then.

    It uses no proxy and follows no redirect. Raises OSError, also for a certificate that is not the host's;
    TimeoutError if the block took longer.
    """
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    with closing(HTTPConnection(host, port, timeout=seconds)) as connection:
        # For the usual port of either scheme, the Host header names none.
        connection.default_port = PORTS[parts.scheme]
        # A connection that the host closed must not be opened again by its name, which nobody would check.
        connection.auto_open = 0
        connection.sock = socket.create_connection((address, port), timeout=seconds)
        # A timeout for each read is not enough: a host that sends one byte at a time would hold this thread for ever.
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
    """The request target of a URL: its path and query."""
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


def _cut(held: list[socket.socket], late: Event) -> None:
    """Shut the held socket down; the connection may no longer have it, as it drops it once a response begins."""
    late.set()
    with suppress(OSError):
        # Not SSLSocket's method: it would drop the TLS state while another thread reads.
        socket.socket.shutdown(held[0], socket.SHUT_RDWR)


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
