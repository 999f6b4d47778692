"""The sidecar as gunicorn runs it: workers that answer, and one that follows the feed."""

from __future__ import annotations

import fcntl
import select
import socket
import tempfile
from importlib import import_module
from pathlib import Path
from threading import Event, Thread
from typing import Any
from wsgiref.types import WSGIApplication

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers import gthread

from hashdb.cli.listening import keep_objects, server_options
from hashdb.cli.sockets import remove
from hashdb.client import Client
from hashdb.settings import Settings
from hashdb.sidecar.application import Sidecar
from hashdb.sidecar.following import Follower
from hashdb.sidecar.metrics import Metrics
from hashdb.sidecar.state import SidecarState
from hashdb.wsgi import prometheus_multiprocess
from hashdb.wsgi.log_lines import write_json_lines

# macOS has no epoll: there, gunicorn's own worker serves.
_Base: Any = import_module("hashdb.cli.worker").ThreadedWorker if hasattr(select, "epoll") else gthread.ThreadWorker


def run(settings: Settings, max_age: int, workers: int, address: str, listener: socket.socket | None) -> None:
    """Serve on an address, or on a listening Unix socket, until a signal ends it."""
    write_json_lines()
    prometheus_multiprocess.share_folder(settings.home / "sidecar" / "metrics")
    _Gunicorn(settings, max_age, workers, address, listener).run()


class _Worker(_Base):  # type: ignore[misc]
    """A worker that answers; the first of them follows the feed instead, and so does the one that replaces it."""

    def run(self) -> None:
        if not self.app.may_follow():
            super().run()
            return
        for listener in self.sockets:
            listener.close()
        stop = Event()
        thread = Thread(target=self.app.follower.run, args=[stop], name="follow", daemon=True)
        thread.start()
        while self.alive and self.is_parent_alive() and thread.is_alive():
            self.notify()
            stop.wait(1.0)
        stop.set()


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master process. It removes its own socket at the end, and keeps its workers on SIGHUP."""

    def stop(self, graceful: bool = True) -> None:
        self.app.remove_socket()
        for listener in self.LISTENERS:
            listener.close()
        self.LISTENERS: list[Any] = []
        super().stop(graceful)

    def handle_hup(self) -> None:
        """Change nothing: there is nothing to read again."""


class _Gunicorn(BaseApplication):  # type: ignore[misc]
    """The sidecar as gunicorn runs it: so many workers, and one process more that follows the feed."""

    def __init__(
        self, settings: Settings, max_age: int, workers: int, address: str, listener: socket.socket | None
    ) -> None:
        self._settings, self._max_age, self._workers = settings, max_age, workers
        self._bind, self._socket = address, None
        if listener is not None:
            path = Path(listener.getsockname())
            self._socket = path, path.lstat().st_ino
            # gunicorn closes it.
            self._bind = f"fd://{listener.detach()}"
        self.largest_body = settings.largest_body
        # Nobody else can open it, so its lock is that of these processes.
        self._role = tempfile.TemporaryFile(dir=settings.home)  # noqa: SIM115
        self.follower = Follower(
            settings.home / "local",
            Client.from_environment,
            settings.remember_webhook,
            settings.remember_secret_file,
        )
        super().__init__()

    def load_config(self) -> None:
        options = server_options(self._bind, self._workers + 1) | {
            "worker_class": _Worker,
            "reuse_port": self._socket is None,
            "proc_name": "hashdb-sidecar",
        }
        for name, value in options.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> WSGIApplication:
        state = SidecarState(self._settings, self._max_age, on_socket=self._socket is not None)
        metrics = Metrics()
        metrics.start()
        self.follower.count_uploads = metrics.count_uploads
        sidecar = Sidecar(state, metrics)
        keep_objects()
        return sidecar

    def may_follow(self) -> bool:
        """Whether this process is the one that follows. The lock is released when the process ends, however it ends."""
        try:
            fcntl.lockf(self._role, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def remove_socket(self) -> None:
        """Remove the file of the Unix socket, if there is one."""
        if self._socket is not None:
            remove(*self._socket)

    def run(self) -> None:
        _Arbiter(self).run()
