"""The sidecar as gunicorn runs it: workers that answer, and one that follows the feed."""

from __future__ import annotations

import fcntl
import tempfile
from threading import Event, Thread
from wsgiref.types import WSGIApplication

from hashdb.cli.listening import ListenAddress, freeze_objects
from hashdb.cli.servers import BaseWorker, SmallServer
from hashdb.client import Client
from hashdb.domain.ledger.policies import Policy
from hashdb.http_server import prometheus_multiprocess
from hashdb.http_server.log_lines import write_json_lines
from hashdb.settings import Settings
from hashdb.sidecar.application import Sidecar
from hashdb.sidecar.following import Follower
from hashdb.sidecar.metrics import Metrics
from hashdb.sidecar.state import SidecarState


class _Worker(BaseWorker):  # type: ignore[misc]
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
        # The end of the process ends the thread: the copy and its look-back survive that at any moment.
        while self.alive and self.is_parent_alive() and thread.is_alive():
            self.notify()
            stop.wait(1.0)
        stop.set()


class SidecarServer(SmallServer):
    """`workers` processes that answer, and one that follows the feed; `run` serves until a signal ends it.

    From a copy that is older than `max_age` seconds, `/readyz` answers 503.
    """

    def __init__(
        self, settings: Settings, max_age: int, workers: int, address: ListenAddress, policy: Policy | None
    ) -> None:
        write_json_lines()
        prometheus_multiprocess.share_folder(settings.home / "sidecar" / "metrics")
        self._settings, self._max_age, self._policy = settings, max_age, policy
        # The process that holds the lock of this file follows the feed. The file has no name, so only the workers of
        # this server compete for the lock. A second server of this home has a follower, too: it gets CopyInUse.
        self._follow_lock = tempfile.TemporaryFile(dir=settings.home)  # noqa: SIM115
        self.follower = Follower(
            settings.copy_folder,
            Client.from_environment,
            settings.remember_webhook,
            settings.remember_secret_file,
            policy,
        )
        super().__init__("hashdb-sidecar", _Worker, workers + 1, address, settings.largest_body)

    def load(self) -> WSGIApplication:
        state = SidecarState(self._settings, self._max_age, on_unix_socket=self.on_unix_socket, policy=self._policy)
        metrics = Metrics()
        metrics.start()
        # The follower exists before the workers are forked; each worker makes its own metrics.
        self.follower.report_remembered = metrics.count_uploads
        sidecar = Sidecar(state, metrics)
        # The garbage collector no longer looks at the objects that exist now.
        freeze_objects()
        return sidecar

    def may_follow(self) -> bool:
        """Whether this process is the one that follows. The lock is released when the process ends, however it ends."""
        try:
            fcntl.lockf(self._follow_lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
