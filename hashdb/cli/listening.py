"""What the commands that start a server share: the address it listens on, gunicorn's settings, and start checks."""

from __future__ import annotations

import errno
import gc
import ipaddress
import os
import re
import select
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click

from hashdb.cli.balance import Balance
from hashdb.cli.options import PATH, TEXT
from hashdb.cli.sockets import listen
from hashdb.domain.spelling import nearest
from hashdb.errors import BadSetting, CannotStart, PortInUse, os_reason
from hashdb.http_server import prometheus_multiprocess
from hashdb.settings import Settings

THREADS = 8
"""Threads of a worker process: each one answers one request at a time."""
_GC_THRESHOLD = 50_000
"""How many new objects start a garbage collection. One large request creates more than Python's default of 700."""


def gunicorn_settings(bind: str, workers: int) -> dict[str, Any]:
    """Gunicorn's settings, by name, for `workers` processes that listen on `bind`: `host:port` or `fd://number`."""
    balance = Balance(workers)

    def forget_worker(server: object, worker: Any) -> None:
        balance.release(worker)
        prometheus_multiprocess.remove_process(worker.pid)

    return {
        "bind": bind,
        "workers": workers,
        "threads": THREADS,
        # Without epoll, as on macOS, gunicorn's own worker class runs. Each worker then has a socket of its own: on a
        # shared one, the kernel would give most short connections to the same worker.
        "reuse_port": not hasattr(select, "epoll"),
        "control_socket_disable": True,
        # By default, a client of this machine may set the path by a header, also through a proxy that passes it on.
        "forwarder_headers": "",
        # The next three are in seconds.
        "keepalive": 30,
        "timeout": 120,
        "graceful_timeout": 30,
        # gunicorn's lines below this level contain client addresses; hashdb.http_server.log_lines logs the requests.
        "loglevel": "error",
        # New connections go to the workers that have fewer of them.
        "pre_fork": lambda server, worker: balance.assign(worker),
        "child_exit": forget_worker,
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir(),
        "proc_name": "hashdb",
    }


def freeze_objects() -> None:
    """Exclude the objects that exist now from later garbage collections: they live as long as the worker.

    A worker calls this when it has loaded the application.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)


_SERVE_OPTIONS = ("--host", "--port")
"""The options of `hashdb serve` that errors name."""


def check_port(host: str, port: int, setting_names: tuple[str, str] = _SERVE_OPTIONS) -> int:
    """Check that a server can listen on an address, and return the port: `port`, or a free one if `port` is 0.

    `setting_names` are the settings of the host and the port, which an error names. Raises PortInUse, and BadSetting
    if this machine cannot listen on the address. Gunicorn itself would not notice another service on the port: with
    its setting `reuse_port`, both would listen without an error.
    """
    if not host:
        raise BadSetting(setting_names[0], "is empty, which would listen on every address: name one, like 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # A port with connections in TIME_WAIT is free; a port with a listener is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            bound: int = probe.getsockname()[1]
            return bound
    # Python raises UnicodeError or TypeError for a host that cannot be a name, like one with a NUL.
    except (OSError, UnicodeError, TypeError) as error:
        raise bind_error(error, host, port, setting_names) from None


def bind_error(error: Exception, host: str, port: int, setting_names: tuple[str, str] = _SERVE_OPTIONS) -> CannotStart:
    """The hashdb error that explains `error`, which binding a socket to this address raised.

    `setting_names` are the settings of the host and the port.
    """
    host_setting, port_setting = setting_names
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
        return BadSetting(host_setting, f"the host name {host} is unknown")
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"{bracket_ipv6(host)}:{port}", port_setting)
    if error.errno in (errno.EACCES, errno.EPERM):
        return BadSetting(port_setting, f"{port} needs administrator rights: choose a port above 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return BadSetting(host_setting, f"{host} is not an address of this machine")
    return BadSetting(host_setting, f"cannot listen on {host}: {os_reason(error)}")


def bracket_ipv6(host: str) -> str:
    """The host as it stands before `:port`: an IPv6 address in brackets, anything else unchanged."""
    return f"[{host}]" if ":" in host else host


_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+):([0-9]{1,5})")


def parse_bind(text: str, example: str) -> tuple[str, int]:
    """The host, without brackets, and the port in a value of --bind. Raises BadSetting, with `example` as a hint."""
    parts = _ADDRESS.fullmatch(text)
    if parts is None or int(parts[2]) > 65_535:
        raise BadSetting("--bind", f"must be an address and a port, like {example}")
    return parts[1].strip("[]"), int(parts[2])


socket_option = click.option("--socket", "socket_path", type=PATH, help="Unix socket to listen on, with mode 0600.")
socket_group_option = click.option("--socket-group", type=TEXT, help="Group that may use the socket, too.")


class ListenAddress(NamedTuple):
    """Where a server listens: on a host and a port, or on a Unix socket."""

    host_and_port: str
    """Like `127.0.0.1:8765`; empty for a Unix socket."""
    unix_socket: socket.socket | None
    """The Unix socket, which already listens; None for a host and a port."""
    text: str
    """The address in a message to the operator, like `http://127.0.0.1:8765` or `unix:/run/hashdb.sock`."""


def check_listen_options(socket_path: Path | None, socket_group: str | None, bind: str | None) -> None:
    """Raise UsageError if --socket and --bind are both given, or --socket-group without --socket."""
    if socket_path is not None and bind is not None:
        raise click.UsageError("give either --socket or --bind, not both")
    if socket_group is not None and socket_path is None:
        raise click.UsageError("--socket-group needs --socket")


def open_address(
    socket_path: Path | None, socket_group: str | None, read_bind: Callable[[], tuple[str, int]]
) -> ListenAddress:
    """Listen on the Unix socket `socket_path`; if it is None, check that the host and port of `read_bind` are free.

    `read_bind` is only called in the second case. Raises PortInUse, BadSetting, and what `read_bind` raises.
    """
    if socket_path is not None:
        return ListenAddress("", listen(socket_path, socket_group), f"unix:{socket_path}")
    host, port = read_bind()
    address = f"{bracket_ipv6(host)}:{check_port(host, port, ('--bind', '--bind'))}"
    return ListenAddress(address, None, f"http://{address}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`, an address or a name.

    Also True for a name that cannot be resolved: nothing can listen on it, and `check_port` reports it.
    """
    if not host:
        # The server would listen on every address.
        return False
    return all(address.is_loopback for address in _addresses(host))


def have_common_address(host: str, other_host: str) -> bool:
    """Whether two servers on the same port of these hosts, addresses or names, may get each other's connections."""
    addresses, others = _addresses(host), _addresses(other_host)
    return bool(addresses & others) or any(address.is_unspecified for address in addresses | others)


def _addresses(host: str) -> set[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """The addresses of a host; empty for a name that cannot be resolved."""
    try:
        entries = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in entries}


_OTHER_VARIABLES = frozenset({"KERNEL", "REQUIRE_ALL"})
"""Variables HASHDB_… that are no settings: the search kernel reads the first, the tests read the second."""
_OTHER_PREFIXES = ("TEST", "SERVICE_", "PORT_")
"""Beginnings of such variables: of the tests, and of those that Kubernetes sets for a service named `hashdb`."""


def warn_of_unknown_settings(variables: Iterable[str]) -> Iterator[str]:
    """A warning for each environment variable HASHDB_… that is no setting; otherwise a typing error goes unnoticed."""
    known = list(map(str.upper, Settings.model_fields))
    for name in sorted(variables):
        prefix, _, setting = name.upper().partition("_")
        if (
            prefix == "HASHDB"
            and not setting.startswith(_OTHER_PREFIXES)
            and setting not in (*known, *_OTHER_VARIABLES)
        ):
            meant = nearest(setting, known)
            yield f"{name} is not a setting and is ignored" + (f": did you mean HASHDB_{meant}?" if meant else "")
