"""The state that the views of the sidecar share in a process: the local copy, look-back's reports, and the hashers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from threading import Lock

from hashdb.domain.ledger.policies import Policy
from hashdb.domain.matching.matches import Answer, Query
from hashdb.domain.turns import BatchTurns
from hashdb.errors import CopyNotReady, CopyTooOld, NoCopy
from hashdb.http_server.media import Hashers
from hashdb.local import LocalIndex
from hashdb.local.remembered import REMEMBERED_FOLDER
from hashdb.local.reports import Reports
from hashdb.local.syncing import system_clock
from hashdb.local.tables import CopyState
from hashdb.settings import Settings
from hashdb.wire import ValidationContext

CACHE_SECONDS = 1.0
"""How long a process uses the state of the copy that it has read: its age, the rules and the seeds of the service."""
_RETRY_AFTER = 5
"""Seconds after which a client may repeat a request that failed because the copy is not ready."""


class SidecarState:
    """The state of one process of the sidecar; thread-safe. The local copy is opened at its first use."""

    def __init__(
        self,
        settings: Settings,
        max_age: int,
        clock: Callable[[], datetime] = system_clock,
        *,
        on_unix_socket: bool = False,
        policy: Policy | None = None,
    ) -> None:
        """`max_age` is the age of the copy, in seconds, beyond which the sidecar is not ready.

        `on_unix_socket` says that it listens on a Unix socket, which browsers cannot reach. With a `policy`, it only
        matches contributions that the quorum of the policy signed.
        """
        # A sidecar is on the member's own machine, where documents and texts are hashed.
        self.settings = settings.model_copy(update={"accept_text": True})
        self.max_age, self.now, self.on_unix_socket = max_age, clock, on_unix_socket
        self.folder = settings.copy_folder
        self.index = LocalIndex(self.folder, clock, policy)
        self.hashers = Hashers(settings)
        self.batches = BatchTurns()
        self._lock = Lock()
        self._cached: CopyState | None = None
        self._cached_at = 0.0

    @cached_property
    def reports(self) -> Reports:
        """The reports of look-back, which clients read and acknowledge."""
        return Reports(self.folder / REMEMBERED_FOLDER, self.now)

    def copy_state(self) -> CopyState:
        """The state of the copy, read at most `CACHE_SECONDS` ago. Raises CopyNotReady."""
        state = self._cached
        if state is None or not 0 <= time.monotonic() - self._cached_at < CACHE_SECONDS:
            with self._lock, _raise_copy_not_ready():
                read_at = time.monotonic()
                state = self._cached = self.index.state
                self._cached_at = read_at
        return state

    def copy_age(self) -> int:
        """How many seconds ago the copy was last up to date with the service. Raises CopyNotReady."""
        return max(0, int((self.now() - self.copy_state().at).total_seconds()))

    def require_ready(self) -> CopyState:
        """The state of the copy, if the sidecar may match in it.

        Raises CopyNotReady without a copy, CopyNotApproved if the policy needs signatures that the copy lacks, and
        CopyTooOld if the copy is older than `max_age`.
        """
        with _raise_copy_not_ready():
            self.index.require_approval()
        state, age = self.copy_state(), self.copy_age()
        if age > self.max_age:
            raise CopyTooOld(_RETRY_AFTER, age, self.max_age)
        return state

    def validation_context(self) -> ValidationContext:
        """The rules of the service, as the copy has them, and the time, to validate a request. Raises CopyNotReady."""
        return ValidationContext(self.copy_state().rules, self.now())

    def match(self, queries: Sequence[Query]) -> Answer:
        """Match queries in the copy; one result per query, in order.

        Raises CopyNotReady, CopyNotApproved, InvalidInput.
        """
        with _raise_copy_not_ready():
            return self.index.match(queries, self.copy_state().rules)

    def close(self) -> None:
        """End the processes that hash pictures, and close the copy.

        The process that hashes videos ends with this process.
        """
        # Without this check, reading the cached property `pool` would make the pool.
        if "pool" in vars(self.hashers):
            self.hashers.pool.close()
        self.index.close()


@contextmanager
def _raise_copy_not_ready() -> Iterator[None]:
    """Raise CopyNotReady, which clients get as 503, where the block raises NoCopy."""
    try:
        yield
    except NoCopy:
        raise CopyNotReady(_RETRY_AFTER) from None
