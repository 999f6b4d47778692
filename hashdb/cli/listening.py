"""Where a server of the command line listens, and how gunicorn runs it: what `serve` and `local serve` share."""

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
from hashdb.cli.options import TEXT
from hashdb.cli.sockets import listen
from hashdb.domain.spelling import nearest
from hashdb.errors import BadSetting, CannotStart, PortInUse, os_reason
from hashdb.settings import Settings
from hashdb.wsgi import prometheus_multiprocess

THREADS = 8
"""Threads of a worker, each of which answers a request."""
_GC_THRESHOLD = 50_000
"""New objects between two garbage collections. Python's default of 700 is less than one large request creates."""


def server_options(bind: str, workers: int) -> dict[str, Any]:
    """The settings of gunicorn for so many workers that listen on `bind`."""
    balance = Balance(workers)

    def release(server: object, worker: Any) -> None:
        balance.release(worker)
        prometheus_multiprocess.remove_process(worker.pid)

    return {
        "bind": bind,
        "workers": workers,
        "threads": THREADS,
        # macOS has no epoll: there gunicorn's own worker serves, and the kernel gives most short connections to one.
        "reuse_port": not hasattr(select, "epoll"),
        "control_socket_disable": True,
        "keepalive": 30,
        "timeout": 120,
        "graceful_timeout": 30,
        # gunicorn's log lines contain network addresses; hashdb.wsgi.log_lines logs the requests.
        "loglevel": "error",
        "pre_fork": lambda server, worker: balance.assign(worker),
        "child_exit": release,
        "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir(),
        "proc_name": "hashdb",
    }


def keep_objects() -> None:
    """Exclude the objects that exist now from every later garbage collection: they live as long as the worker."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD)


_SERVE_OPTIONS = ("--host", "--port")


def check_port(host: str, port: int, settings: tuple[str, str] = _SERVE_OPTIONS) -> int:
    """The port to listen on; a free one if `port` is 0. `settings` are the names of the host's and the port's setting.

    Raises PortInUse: with reuse-port, two services would share the port without an error. Raises BadSetting for an
    address on which this machine cannot listen.
    """
    if not host:
        raise BadSetting(settings[0], "is empty, which would listen on every address: name one, like 127.0.0.1")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # A port with connections in TIME_WAIT is free; a port with a listener is not.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            bound: int = probe.getsockname()[1]
            return bound
    except (OSError, UnicodeError, TypeError) as error:
        raise bind_error(error, host, port, settings) from None


def bind_error(error: Exception, host: str, port: int, settings: tuple[str, str] = _SERVE_OPTIONS) -> CannotStart:
    """The error to raise for an address, from the error of the operating system."""
    host_setting, port_setting = settings
    if not isinstance(error, OSError) or isinstance(error, socket.gaierror):
        return BadSetting(host_setting, f"no machine has the name {host}")
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"{bracket_ipv6(host)}:{port}", port_setting)
    if error.errno in (errno.EACCES, errno.EPERM):
        return BadSetting(port_setting, f"{port} needs the rights of the administrator: choose a port above 1023")
    if error.errno == errno.EADDRNOTAVAIL:
        return BadSetting(host_setting, f"{host} is not an address of this machine")
    return BadSetting(host_setting, f"{host} cannot be listened on: {os_reason(error)}")


def bracket_ipv6(host: str) -> str:
    """The host as it is written before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\[\]:]+):([0-9]{1,5})")


def read_address(text: str, example: str) -> tuple[str, int]:
    """The host and the port of the value of --bind. Raises BadSetting."""
    parts = _ADDRESS.fullmatch(text)
    if parts is None or int(parts[2]) > 65_535:
        raise BadSetting("--bind", f"must be an address and a port, like {example}")
    return parts[1].strip("[]"), int(parts[2])


socket_option = click.option(
    "--socket", "path", type=click.Path(path_type=Path), help="Unix socket to listen on, with mode 0600."
)
socket_group_option = click.option("--socket-group", "group", type=TEXT, help="Group that may use the socket, too.")


class Place(NamedTuple):
    """Where a server listens: an address, or a Unix socket that is open."""

    address: str
    """The host and the port; empty with a socket."""
    listener: socket.socket | None
    text: str
    """As it is shown."""


def check_place(path: Path | None, group: str | None, bind: str | None) -> None:
    """Raise UsageError if --socket, --socket-group and --bind do not go together."""
    if path is not None and bind is not None:
        raise click.UsageError("--socket and --bind exclude each other")
    if group is not None and path is None:
        raise click.UsageError("--socket-group needs --socket")


def open_place(path: Path | None, group: str | None, read_bind: Callable[[], tuple[str, int]]) -> Place:
    """Open the Unix socket at `path`, or else check that the host and port which `read_bind` returns are free."""
    if path is not None:
        return Place("", listen(path, group), f"unix:{path}")
    host, port = read_bind()
    address = f"{bracket_ipv6(host)}:{check_port(host, port, ('--bind', '--bind'))}"
    return Place(address, None, f"http://{address}")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, an address or a name. An empty one means every address."""
    if not host:
        return False
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        # `check_port` reports a name that does not exist.
        return True
    return all(ipaddress.ip_address(str(address).partition("%")[0]).is_loopback for address in addresses)


_NOT_SETTINGS = frozenset({"KERNEL", "REQUIRE_ALL"})
_NOT_SETTINGS_PREFIXES = ("TEST", "SERVICE_", "PORT_")
"""Variables that are not settings: read by the kernels or the tests, or set by Kubernetes for a service `hashdb`."""


def unknown_settings(names: Iterable[str]) -> Iterator[str]:
    """A warning for each variable named like a setting that does not exist; it would be ignored silently."""
    known = list(map(str.upper, Settings.model_fields))
    for name in sorted(names):
        prefix, _, setting = name.upper().partition("_")
        if (
            prefix == "HASHDB"
            and not setting.startswith(_NOT_SETTINGS_PREFIXES)
            and setting not in (*known, *_NOT_SETTINGS)
        ):
            meant = nearest(setting, known)
            yield f"{name} is not a setting and is ignored" + (f": did you mean HASHDB_{meant}?" if meant else "")
