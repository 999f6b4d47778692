"""What `hashdb serve` refuses to start with: plain HTTP to the world, a signing key that others read, debugging."""

from __future__ import annotations

import ipaddress
import socket
import stat
import sys
from pathlib import Path

from flask.helpers import get_debug_flag

from hashdb.errors import UnsafeStart
from hashdb.settings import Settings


def require_safe(settings: Settings, host: str) -> None:
    """Raise UnsafeStart for whatever would open the service, or a secret of it, to others."""
    _require_tls(settings, host)
    _require_private(settings.signing_key)
    if get_debug_flag():
        raise UnsafeStart("FLASK_DEBUG is set, by which errors show what they hold", "unset it")
    if sys.flags.dev_mode:
        raise UnsafeStart("Python's development mode is on", "unset PYTHONDEVMODE")


def _require_tls(settings: Settings, host: str) -> None:
    if not settings.behind_tls and not is_loopback(host):
        raise UnsafeStart(
            f"--host {host} is open to other machines, and hashdb speaks plain HTTP",
            "put a proxy with TLS before it and set HASHDB_BEHIND_TLS=true, or listen on 127.0.0.1",
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on an address or a name; none at all is every address."""
    if not host:
        return False
    try:
        found = {one[4][0] for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        # That there is no such machine is told by who binds it.
        return True
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in found)


def _require_private(key: Path) -> None:
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError:
        # One that is not there is made, or told of, where it is read.
        return
    if mode & 0o077:
        raise UnsafeStart(
            f"the signing key {key} can be read or replaced by others (mode {mode:04o})", f"chmod 600 {key}"
        )
