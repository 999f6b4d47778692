"""Small servers as gunicorn runs them: workers that answer on an address, or on a listening Unix socket."""

from __future__ import annotations

import select
from importlib import import_module
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.workers import gthread

from hashdb.cli.listening import ListenAddress, gunicorn_settings
from hashdb.cli.sockets import refuse_new, remove_socket_file

# macOS has no epoll: there, gunicorn's own worker serves.
BaseWorker: Any = (
    import_module("hashdb.cli.worker").ThreadedWorker if hasattr(select, "epoll") else gthread.ThreadWorker
)


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's master process. It removes its own socket at the end, and keeps its workers on SIGHUP."""

    def stop(self, graceful: bool = True) -> None:
        self.app.remove_socket()
        if graceful:
            refuse_new(listener.sock for listener in self.LISTENERS)
        for listener in self.LISTENERS:
            listener.close()
        self.LISTENERS: list[Any] = []
        super().stop(graceful)

    def handle_hup(self) -> None:
        """Change nothing: there is nothing to read again."""


class SmallServer(BaseApplication):  # type: ignore[misc]
    """A server as gunicorn runs it; a subclass has `load`, which makes the WSGI application in each worker."""

    def __init__(self, name: str, worker: Any, workers: int, address: ListenAddress, largest_body: int) -> None:
        """`worker` is the class of gunicorn's workers; `largest_body` is in bytes, for workers that read it."""
        self._name, self._worker, self._workers = name, worker, workers
        self._bind, self._socket = address.host_and_port, None
        if address.unix_socket is not None:
            path = Path(address.unix_socket.getsockname())
            # By the inode, `remove_socket_file` knows whether another process has replaced the file.
            self._socket = path, path.lstat().st_ino
            # gunicorn closes it.
            self._bind = f"fd://{address.unix_socket.detach()}"
        self.largest_body = largest_body
        super().__init__()

    @property
    def on_unix_socket(self) -> bool:
        """Whether it listens on a Unix socket."""
        return self._socket is not None

    def load_config(self) -> None:
        options = gunicorn_settings(self._bind, self._workers) | {
            "worker_class": self._worker,
            "proc_name": self._name,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def remove_socket(self) -> None:
        """Remove the file of the Unix socket, if there is one."""
        if self._socket is not None:
            remove_socket_file(*self._socket)

    def run(self) -> None:
        _Arbiter(self).run()
