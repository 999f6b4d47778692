"""hashdb serve: run the service under gunicorn."""

from __future__ import annotations

import errno
import gc
import ipaddress
import os
import select
import signal
import socket
import stat
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from mmap import mmap
from pathlib import Path
from threading import Event, Thread
from typing import Any

import click
from flask import Flask
from flask.helpers import get_debug_flag
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter

from hashdb import __version__
from hashdb.cli.help import Command
from hashdb.cli.home import configured_engine, configured_signing, lock_home, open_home, prepare_home
from hashdb.cli.options import TEXT
from hashdb.cli.output import escape_controls, progress_bar
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.matching import details
from hashdb.errors import BadSetting, CannotStart, IndexNotReady, PortInUse, UnsafeStart
from hashdb.hashing.algorithms import built_in_benign
from hashdb.index.kernel import engine
from hashdb.service import HashDB, health, open_hashdb, schedule, system_clock
from hashdb.service.accounts import members
from hashdb.service.background import Background, Task
from hashdb.service.contributions import contributions, expiry
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import benign, seeds
from hashdb.service.sharing import deliveries
from hashdb.service.stats import counts
from hashdb.settings import Settings
from hashdb.web import check, create_app, metrics, prometheus_multiprocess
from hashdb.web.access_log import write_json_lines
from hashdb.web.context import AppState

_THREADS = 8
_GC_THRESHOLD = 10_000
"""New objects between two garbage collections. Python's default of 700 is less than one large request creates."""


@click.command("serve", cls=Command, examples=("hashdb serve", "hashdb serve --port 8080 --workers 4"))
@click.option("--host", type=TEXT, default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    default=8000,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Port to listen on; 0 picks a free port.",
)
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 256), help="Number of worker processes."
)
def serve_command(host: str, port: int, workers: int) -> None:
    """Run the service.

    The service runs until it is interrupted. With SQLite, it creates or upgrades the database schema at the start. With
    PostgreSQL, run `hashdb upgrade` first.
    """
    settings = Settings.read()
    for sentence in unknown_settings(os.environ):
        click.echo(f"hashdb: {escape_controls(sentence)}", err=True)
    prepare_home(settings.home)
    configured_engine(settings)
    check(settings)
    with lock_home(settings.home):
        port = check_port(host, port)
        if settings.metrics_port is not None:
            check_port(settings.metrics_host, settings.metrics_port, ("HASHDB_METRICS_HOST", "HASHDB_METRICS_PORT"))
        require_safe(settings, host)
        with open_home(settings) as db:
            checkpoints.start(db)
            benign.start(db, built_in_benign())
            expiry.start(db)
            contributions.start(db)
            seeds.start(db)
            health.start(db)
            no_members = not members.page(db, COMMAND_LINE, 0, 1)
        write_json_lines()
        prometheus_multiprocess.share_folder(settings.home / "metrics")
        index = engine() if settings.index == "tiered" else settings.index
        click.echo(f"hashdb {__version__} serves on http://{bracket_ipv6(host)}:{port} (index: {index})", err=True)
        if no_members:
            click.echo(
                "no member yet: `hashdb member add NAME --kind platform --scope contribute --scope match`", err=True
            )
        # The workers, which are forked, share the tables.
        details.warm()
        _Gunicorn(settings, host, port, workers).run()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master process. On SIGTERM it first gives the load balancer time to use other services."""

    def __init__(self, application: _Gunicorn, leaving: mmap, seconds: float) -> None:
        super().__init__(application)
        self._leaving, self._seconds = leaving, seconds

    def handle_term(self) -> None:
        self._leaving[0] = 1
        time.sleep(self._seconds)
        super().handle_term()


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    """The application as gunicorn runs it. Each worker opens its own database connections and index."""

    def __init__(self, settings: Settings, host: str, port: int, workers: int) -> None:
        self._settings = settings
        self.largest_body = settings.largest_body
        # Shared memory: the master process sets it, all workers read it.
        self._leaving = mmap(-1, 1)
        self._bind = f"{bracket_ipv6(host)}:{port}"
        self._workers = workers
        super().__init__()

    def load_config(self) -> None:
        options = {
            "bind": self._bind,
            "workers": self._workers,
            # macOS has no epoll: there, gunicorn's own worker serves.
            "worker_class": "hashdb.cli.worker.ThreadedWorker" if hasattr(select, "epoll") else "gthread",
            "threads": _THREADS,
            # Without it the kernel gives most short connections to one worker.
            "reuse_port": True,
            "control_socket_disable": True,
            "keepalive": 30,
            "timeout": 120,
            "graceful_timeout": 30,
            # gunicorn's log lines contain network addresses; hashdb.web.access_log logs the requests.
            "loglevel": "error",
            "post_worker_init": _start_worker,
            "worker_exit": lambda server, worker: _flush_worker(worker),
            "child_exit": lambda server, worker: prometheus_multiprocess.remove_process(worker.pid),
            "on_exit": lambda arbiter: Background(None, system_clock).run(Task.STOP, self._sign_final_checkpoint),
            "worker_tmp_dir": "/dev/shm" if os.access("/dev/shm", os.W_OK) else tempfile.gettempdir(),
            "proc_name": "hashdb",
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Flask:
        settings = self._settings
        signing, index = configured_signing(settings), settings.home / "index"
        rules, busy_seconds = settings.rules(), settings.busy_seconds
        # A replacement worker may start while the database is unreachable. It must not fail, or the service stops.
        db = open_hashdb(
            settings.database,
            rules,
            busy_seconds=busy_seconds,
            index=index,
            signing=signing,
            match_log=settings.match_log,
            may_be_away=True,
            engine=configured_engine(settings),
        )
        db.store.take_turns(settings.home / "writers")
        db.leaving = lambda: self._leaving[0] == 1
        # Each worker flushes every second (the task `counts`).
        db.hits_within = 2.0
        app = create_app(db, settings)
        app_metrics: metrics.Metrics = app.extensions["hashdb"].metrics
        schedule.start(db, Event(), _serving_tasks(app_metrics))
        if rules.reach is not None:
            post = partial(deliveries.post, reach=rules.reach)
            args = db, settings.home / "webhooks", post, app_metrics.count_delivery, Event()
            Thread(target=schedule.deliver, args=args, name="webhooks", daemon=True).start()
        if settings.metrics_port is not None:
            metrics.serve(app_metrics, settings.metrics_host, settings.metrics_port)
        # The objects that exist now live as long as the worker: exclude them from every later collection.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_GC_THRESHOLD)
        return app

    def _sign_final_checkpoint(self) -> None:
        """Sign the events that the workers wrote before they stopped."""
        with open_home(self._settings) as db:
            checkpoints.keep(db, at_once=True)

    def run(self) -> None:
        _Arbiter(self, self._leaving, self._settings.drain_seconds).run()


def _start_worker(worker: Any) -> None:
    """Answer readers that wait for a change when the worker stops. Count the worker if it replaces another one."""
    state: AppState = worker.wsgi.extensions["hashdb"]
    state.db.stopping = lambda: not worker.alive
    if worker.age > worker.cfg.workers:
        state.metrics.count_replacement()


def _flush_worker(worker: Any) -> None:
    """Write the worker's counts and spans before it ends, and that its jobs have failed."""
    state: AppState = worker.wsgi.extensions["hashdb"]
    state.later.close()
    state.metrics.record()
    state.db.background.run(Task.STOP, partial(counts.flush, state.db))
    if state.traces is not None:
        state.db.background.run(Task.STOP, state.traces.close)


def _serving_tasks(app_metrics: metrics.Metrics) -> dict[Task, schedule.Act]:
    """The background tasks that only a worker of the service can run."""
    parent = os.getppid()

    def write_metrics(db: HashDB) -> None:
        if os.getppid() != parent:
            # gunicorn's master was killed. Its worker notices, but a busy connection would keep it alive, and the home
            # locked, for half a minute.
            os.kill(os.getpid(), signal.SIGTERM)
        app_metrics.record()

    return {
        Task.METRICS: write_metrics,
        Task.SUSPICIONS: lambda db: app_metrics.count_suspected(db.suspicions.log(db.store, db.now())),
        Task.FILL: fill_index,
    }


def fill_index(db: HashDB) -> None:
    """Fill the index, and show the progress."""
    bar, advance = progress_bar("building the index", db.index.backlog())
    with suppress(IndexNotReady), bar:
        db.index.fill(advance)


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
    return BadSetting(host_setting, f"{host} cannot be listened on: {(error.strerror or 'unknown error').lower()}")


def bracket_ipv6(host: str) -> str:
    """The host as it is written before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


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
            suggestions = get_close_matches(setting, known, 1)
            yield f"{name} is not a setting and is ignored" + (
                f": did you mean HASHDB_{suggestions[0]}?" if suggestions else ""
            )


def require_safe(settings: Settings, host: str) -> None:
    """Raise UnsafeStart if the start would expose the service, or one of its secrets, to others."""
    _require_tls(settings, host)
    _require_private_key(settings.signing_key)
    if get_debug_flag():
        raise UnsafeStart("FLASK_DEBUG is set, so error pages would show data", "unset it")
    if sys.flags.dev_mode:
        raise UnsafeStart("Python's development mode is on", "unset PYTHONDEVMODE")


def _require_tls(settings: Settings, host: str) -> None:
    if not settings.behind_tls and not is_loopback(host):
        raise UnsafeStart(
            f"--host {host} is open to other machines, and hashdb speaks plain HTTP",
            "put a TLS proxy in front of it and set HASHDB_BEHIND_TLS=true, or listen on 127.0.0.1",
        )


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


def _require_private_key(key: Path) -> None:
    try:
        mode = stat.S_IMODE(key.stat().st_mode)
    except OSError:
        # A missing key is created, or reported, when it is read.
        return
    if mode & 0o077:
        raise UnsafeStart(
            f"the signing key {key} can be read or replaced by others (mode {mode:04o})", f"chmod 600 {key}"
        )
