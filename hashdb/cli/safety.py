"""What `hashdb serve` refuses to start with, like plain HTTP to the world, and what it warns of."""

from __future__ import annotations

import ipaddress
import socket
import stat
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from pathlib import Path

from flask.helpers import get_debug_flag

from hashdb.errors import UnsafeStart
from hashdb.settings import Settings

_OTHERS = frozenset({"KERNEL", "REQUIRE_ALL"})
_OTHERS_BEGIN = ("TEST", "SERVICE_", "PORT_")
"""What is no setting, and is read by the kernels and by the tests, or set by Kubernetes for a service `hashdb`."""


def misspelt(names: Iterable[str]) -> Iterator[str]:
    """What to say of each variable that looks like a setting and is none: without a word, it would not be in force."""
    known = list(map(str.upper, Settings.model_fields))
    for name in sorted(names):
        prefix, _, rest = name.upper().partition("_")
        if prefix == "HASHDB" and not rest.startswith(_OTHERS_BEGIN) and rest not in (*known, *_OTHERS):
            near = get_close_matches(rest, known, 1)
            yield f"{name} is no setting" + (f": do you mean HASHDB_{near[0]}?" if near else "")


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
