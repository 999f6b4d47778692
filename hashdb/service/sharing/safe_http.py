"""HTTP requests to URLs that others chose: the name is resolved once, and only the checked address is connected to."""

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
from hashdb.domain.sharing.webhooks import Trouble

PORTS = {"http": 80, "https": 443}


class NotPermittedError(OSError):
    """The service does not connect to this address."""


class UnknownNameError(OSError):
    """The host name has no address."""


_TROUBLES: tuple[tuple[type[Exception], Trouble], ...] = (
    (NotPermittedError, Trouble.ADDRESS_REFUSED),
    (UnknownNameError, Trouble.NAME_UNKNOWN),
    (ssl.SSLCertVerificationError, Trouble.CERTIFICATE),
    (TimeoutError, Trouble.TOO_SLOW),
    (ConnectionRefusedError, Trouble.NOT_CONNECTED),
)


def trouble_of(error: Exception) -> Trouble:
    """Why a request failed, from the OSError, HTTPException or ValueError that it raised."""
    return next((trouble for kind, trouble in _TROUBLES if isinstance(error, kind)), Trouble.NO_ANSWER)


def resolve(parts: SplitResult, permits: Callable[[Address], bool]) -> str:
    """The address to connect to for the host of a URL. All addresses of its name must be permitted.

    Raises NotPermittedError, UnknownNameError.
    """
    host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    try:
        addresses = sorted({str(info[4][0]) for info in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)})
    except (OSError, UnicodeError):
        raise UnknownNameError from None
    # An IPv6 address may end with the zone that it is valid in, as in `fe80::1%eth0`.
    if not addresses or not all(permits(ip_address(address.partition("%")[0])) for address in addresses):
        raise NotPermittedError
    return addresses[0]


@contextmanager
def connect(parts: SplitResult, address: str, seconds: float) -> Iterator[HTTPConnection]:
    """A connection to this address for the host of a URL, which is closed after `seconds`.

    It uses no proxy and follows no redirect. Raises OSError, also for a certificate that is not the host's, and
    TimeoutError if the block took longer.
    """
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    with closing(HTTPConnection(host, port, timeout=seconds)) as connection:
        # For the usual port of either scheme, the Host header names none.
        connection.default_port = PORTS[parts.scheme]
        # A connection that the host closed must not be opened again: its name would be resolved without a check.
        connection.auto_open = 0
        connection.sock = socket.create_connection((address, port), timeout=seconds)
        # Kept here too: the connection drops its socket when a response begins, and the deadline may be later.
        sock: socket.socket = connection.sock
        with deadline(seconds, lambda: sock) as late:
            if parts.scheme == "https":
                secured = _tls().wrap_socket(connection.sock, server_hostname=host, do_handshake_on_connect=False)
                connection.sock = sock = secured
                secured.do_handshake()
            yield connection
            if late.is_set():
                raise TimeoutError


@contextmanager
def deadline(seconds: float, socket_in_use: Callable[[], socket.socket | None]) -> Iterator[Event]:
    """Shut down the socket that is in use when `seconds` have passed; an error of the block is then a TimeoutError.

    A timeout for each read is not enough: a host that sends one byte at a time would occupy this thread for ever.
    Yields the event that is set when the time is over.
    """
    late = Event()

    def cut() -> None:
        late.set()
        if (sock := socket_in_use()) is not None:
            with suppress(OSError):
                # Not SSLSocket's method: it would drop the TLS state while another thread reads.
                socket.socket.shutdown(sock, socket.SHUT_RDWR)

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield late
    except (OSError, HTTPException, ValueError):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def request_target(parts: SplitResult) -> str:
    """The request target of a URL: its path and query."""
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
