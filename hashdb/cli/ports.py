"""Ports: which one a service listens on, and why it cannot."""

from __future__ import annotations

import errno
import socket

from hashdb.errors import BadSetting, CannotStart, PortInUse

_SERVICE = ("--host", "--port")


def free(host: str, port: int, settings: tuple[str, str] = _SERVICE) -> int:
    """The port to listen on. Raises PortInUse: with reuse-port, two services would share it without a word.

    Raises BadSetting for an address on which this machine cannot listen. `settings` are the names of both.
    """
    if not host:
        raise BadSetting(settings[0], "is empty, which would be every address")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # A port whose last connections linger is free; one on which somebody listens is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            bound: int = probe.getsockname()[1]
            return bound
    except (OSError, UnicodeError, TypeError) as error:
        raise not_bound(error, host, port, settings) from None


def not_bound(error: Exception, host: str, port: int, settings: tuple[str, str] = _SERVICE) -> CannotStart:
    """What is wrong with an address, by what the system says of it."""
    of_host, of_port = settings
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
        return BadSetting(of_host, f"there is no machine of the name {host}")
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"{bracketed(host)}:{port}", of_port)
    if error.errno in (errno.EACCES, errno.EPERM):
        return BadSetting(of_port, f"{port} is not for everybody to listen on: choose one above 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return BadSetting(of_host, f"{host} is not an address of this machine")
    return BadSetting(of_host, f"{host} cannot be listened on: {(error.strerror or 'unknown error').lower()}")


def bracketed(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host
