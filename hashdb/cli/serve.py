"""hashdb serve: run the service under gunicorn."""

from __future__ import annotations

import gc
import os
import select
import signal
import stat
import sys
import time
from collections.abc import Callable
from contextlib import suppress
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
from hashdb.cli.home import configured_engine, lock_home, open_configured, open_home, prepare_home
from hashdb.cli.listening import (
    bracket_ipv6,
    check_port,
    freeze_objects,
    gunicorn_settings,
    have_common_address,
    is_loopback,
    warn_of_unknown_settings,
)
from hashdb.cli.options import TEXT
from hashdb.cli.output import escape_controls, progress_bar
from hashdb.cli.remotes import HTTPRemote
from hashdb.cli.sockets import refuse_new
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.matching import details
from hashdb.errors import BadSetting, IndexNotReady, UnsafeStart
from hashdb.hashing.algorithms import require_installed
from hashdb.hashing.benign import built_in_benign
from hashdb.http_server import prometheus_multiprocess
from hashdb.http_server.log_lines import write_json_lines
from hashdb.index.kernel import implementation_name
from hashdb.service import HashDB, health, schedule, system_clock
from hashdb.service.accounts import members
from hashdb.service.background import Background, Task
from hashdb.service.contributions import contributions, expiry
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import benign, seeds
from hashdb.service.review import due
from hashdb.service.sharing import deliveries, following
from hashdb.service.sharing.mail import PORTS, MailServer
from hashdb.service.stats import counts
from hashdb.settings import Settings
from hashdb.web import check_settings, create_app, fast_path, metrics
from hashdb.web.context import AppState


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
    for sentence in warn_of_unknown_settings(os.environ):
        click.echo(f"hashdb: {escape_controls(sentence)}", err=True)
    prepare_home(settings.home)
    # A setting that a worker could not use, or an extra that it lacks, is an error here, before any worker starts.
    configured_engine(settings)
    check_settings(settings)
    if settings.accept_media:
        require_installed(settings.algorithms)
    with lock_home(settings.home):
        port = check_port(host, port)
        if settings.metrics_port is not None:
            check_port(settings.metrics_host, settings.metrics_port, ("HASHDB_METRICS_HOST", "HASHDB_METRICS_PORT"))
            if settings.metrics_port == port and have_common_address(settings.metrics_host, host):
                raise BadSetting("HASHDB_METRICS_PORT", f"{port} is the port of the service: choose another one")
        require_safe(settings, host)
        with open_home(settings) as db:
            # Each of these prepares the database for this version and these settings.
            checkpoints.start(db)
            benign.add_built_in(db, built_in_benign())
            expiry.put_retention_in_force(db)
            contributions.delete_leftovers(db)
            seeds.make_first(db)
            health.log_safeguards(db)
            no_members = not members.page(db, COMMAND_LINE, after=0, limit=1)
        write_json_lines()
        prometheus_multiprocess.share_folder(settings.home / "metrics")
        index = implementation_name() if settings.index == "tiered" else settings.index
        click.echo(f"hashdb {__version__} serves on http://{bracket_ipv6(host)}:{port} (index: {index})", err=True)
        if no_members:
            click.echo(
                "no member yet: `hashdb member add NAME --kind platform --scope contribute --scope match`", err=True
            )
        # What exists before the fork is shared by all workers: the tables of the comparison of signatures, too. Without
        # `freeze`, each garbage collection of a worker would write to these objects, and so copy them.
        details.warm()
        gc.freeze()
        _Gunicorn(settings, host, port, workers).run()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master process. On SIGTERM it first gives the load balancer time to use other services.

    For `drain_seconds`, the first byte of `leaving` is 1, and `/readyz` answers 503.
    """

    def __init__(self, application: _Gunicorn, leaving: mmap, drain_seconds: float) -> None:
        super().__init__(application)
        self._leaving, self._drain_seconds = leaving, drain_seconds

    def handle_term(self) -> None:
        self._leaving[0] = 1
        time.sleep(self._drain_seconds)
        super().handle_term()

    def stop(self, graceful: bool = True) -> None:
        if graceful:
            refuse_new(listener.sock for listener in self.LISTENERS)
        super().stop(graceful)


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    """The application as gunicorn runs it. Each worker opens its own database connections and index."""

    def __init__(self, settings: Settings, host: str, port: int, workers: int) -> None:
        self._settings = settings
        self.largest_body = settings.largest_body
        self.is_quick = fast_path.is_quick
        # A byte of shared memory: the master process sets it to 1 before the service stops, and all workers read it.
        self._leaving = mmap(-1, 1)
        self._bind = f"{bracket_ipv6(host)}:{port}"
        self._workers = workers
        super().__init__()

    def load_config(self) -> None:
        options = gunicorn_settings(self._bind, self._workers) | {
            # macOS has no epoll: there, gunicorn's own worker serves.
            "worker_class": "hashdb.cli.worker.ThreadedWorker" if hasattr(select, "epoll") else "gthread",
            "post_worker_init": _start_worker,
            "worker_exit": lambda server, worker: _flush_worker(worker),
            "on_exit": lambda arbiter: Background(None, system_clock).run(Task.STOP, self._sign_final_checkpoint),
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        settings, rules = self._settings, self._settings.rules()
        # A replacement worker may start while the database is unreachable. It must not fail, or the service stops.
        options = {"engine": configured_engine(settings), "may_be_away": True}
        db = open_configured(settings, index=settings.home / "index", **options)
        db.store.take_turns(settings.home / "writers")
        db.leaving = lambda: self._leaving[0] == 1
        # Each worker stores its hits every second (the task `counts`).
        db.hits_within = 2.0
        app = create_app(db, settings)
        app_metrics: metrics.Metrics = app.extensions["hashdb"].metrics
        # The threads below end with the process: nobody sets their events to stop.
        schedule.start(db, Event(), _serving_tasks(app_metrics))
        follow = partial(following.look, connect=partial(HTTPRemote, rules=rules))
        _start("upstreams", schedule.work, db, schedule.Lane.UPSTREAMS, Event(), {Task.FOLLOW: follow})
        if (server := _mail_server(settings)) is not None:
            mails = {Task.MAILS: partial(due.mail, send=server.send)}
            _start("mails", schedule.work, db, schedule.Lane.MAILS, Event(), mails)
        if rules.webhook_egress is not None:
            post = partial(deliveries.post, egress=rules.webhook_egress)
            folder = settings.home / "webhooks"
            _start("webhooks", schedule.deliver, db, folder, post, app_metrics.count_delivery, Event())
        if settings.metrics_port is not None:
            metrics.serve(app_metrics, settings.metrics_host, settings.metrics_port)
        freeze_objects()
        return app

    def _sign_final_checkpoint(self) -> None:
        """Sign the events that the workers wrote before they stopped."""
        with open_home(self._settings) as db:
            checkpoints.keep(db, at_once=True)

    def run(self) -> None:
        _Arbiter(self, self._leaving, self._settings.drain_seconds).run()


def _start(name: str, target: Callable[..., object], *args: object) -> None:
    """Run a function in a thread of this name, which does not keep the process alive."""
    Thread(target=target, args=args, name=name, daemon=True).start()


def _start_worker(worker: Any) -> None:
    """Let requests that wait for a change be answered when the worker stops. Count a worker that replaces another."""
    state: AppState = worker.wsgi.extensions["hashdb"]
    state.db.stopping = lambda: not worker.alive
    if worker.age > worker.cfg.workers:
        state.metrics.count_replacement()


def _flush_worker(worker: Any) -> None:
    """Before the worker ends: store that its jobs have failed, store its counts, and send its spans."""
    state: AppState = worker.wsgi.extensions["hashdb"]
    state.later.close()
    state.metrics.record()
    state.db.background.run(Task.STOP, partial(counts.flush, state.db))
    if state.traces is not None:
        state.db.background.run(Task.STOP, state.traces.close)


def _mail_server(settings: Settings) -> MailServer | None:
    """The server that takes the service's mail; None: it sends none."""
    if settings.smtp_host is None:
        return None
    return MailServer(
        settings.smtp_host,
        settings.smtp_port or PORTS[settings.smtp_security],
        settings.smtp_security,
        settings.smtp_from or "",
        settings.console_url or "",
        settings.smtp_user,
        settings.smtp_password_file,
    )


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
        Task.SUSPICIONS: lambda db: app_metrics.count_suspected_keys(db.suspicions.log(db.store, db.now())),
        Task.FILL: fill_index,
    }


def fill_index(db: HashDB) -> None:
    """Fill the index, and show the progress."""
    with suppress(IndexNotReady), progress_bar("building the index", db.index.backlog()) as advance:
        db.index.fill(advance)


def require_safe(settings: Settings, host: str) -> None:
    """Raise UnsafeStart if the start would expose the service, or one of its secrets, to others."""
    _require_tls(settings, host)
    _require_private(settings.signing_key, "signing key", "read or replaced")
    if settings.smtp_password_file is not None:
        # Whoever mounted a file of another owner here, like a container's secret, decided who reads it.
        with suppress(OSError):
            if settings.smtp_password_file.stat().st_uid == os.geteuid():
                _require_private(settings.smtp_password_file, "password of the mail server", "read")
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


def _require_private(path: Path, what: str, done_to: str) -> None:
    """Raise UnsafeStart if others may access a file. The error says `what` it is, and what can be `done_to` it."""
    try:
        mode = path.stat().st_mode
    except OSError:
        # A missing file is created, or reported, when it is read.
        return
    # So is a folder or a device, whose mode must not be changed.
    if stat.S_ISREG(mode) and (mode := stat.S_IMODE(mode)) & 0o077:
        raise UnsafeStart(f"the {what} {path} can be {done_to} by others (mode {mode:04o})", f"chmod 600 {path}")
