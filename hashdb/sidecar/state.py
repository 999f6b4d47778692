"""What a process of the sidecar has: the local copy, what is remembered, the settings, and the processes that hash."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from functools import cached_property
from threading import Lock

from hashdb.domain.ledger.policies import Policy
from hashdb.domain.matching.matches import Answer, Query
from hashdb.domain.turns import Turns
from hashdb.errors import CopyNotReady, CopyTooOld, NoCopy
from hashdb.local import LocalIndex
from hashdb.local.remembered import FOLDER
from hashdb.local.reports import Reports
from hashdb.local.syncing import system_clock
from hashdb.local.tables import CopyState
from hashdb.settings import Settings
from hashdb.wire import ValidationContext
from hashdb.wsgi.media import Hashers

KNOWN_FOR = 1.0
"""Seconds for which a process uses the state of the copy that it has read: its age, its rules, its seeds."""
_RETRY_AFTER = 5
_SWITCH_INTERVAL = 0.0005
"""Seconds that the thread of a batch runs while others wait; Python's default is 0.005."""


class SidecarState:
    """The state of one process; thread-safe. The copy is opened at its first use."""

    def __init__(
        self,
        settings: Settings,
        max_age: int,
        clock: Callable[[], datetime] = system_clock,
        *,
        on_socket: bool = False,
        policy: Policy | None = None,
    ) -> None:
        """`max_age` is the age of the copy, in seconds, beyond which the sidecar is not ready.

        `on_socket`: it listens on a Unix socket, which only its users can reach, and no browser. `policy`: it only
        matches what the organisations of this policy signed.
        """
        self.settings, self.max_age, self.now, self.on_socket = settings, max_age, clock, on_socket
        self.folder = settings.home / "local"
        self.index = LocalIndex(self.folder, clock, policy)
        self.hashers = Hashers(settings)
        self._batches = Turns()
        self._lock = Lock()
        self._known: CopyState | None = None
        self._read_at = 0.0

    @cached_property
    def reports(self) -> Reports:
        """The reports of look-back."""
        return Reports(self.folder / FOLDER, self.now)

    def copy(self) -> CopyState:
        """The state of the copy, at most a second old. Raises CopyNotReady."""
        known = self._known
        if known is None or not 0 <= time.monotonic() - self._read_at < KNOWN_FOR:
            with self._lock, no_copy_is_not_ready():
                at = time.monotonic()
                known = self._known = self.index.state
                self._read_at = at
        return known

    def forget(self) -> None:
        """Read the state of the copy again at the next use."""
        self._known = None

    def age(self) -> int:
        """How many seconds ago the copy was last up to date with the service. Raises CopyNotReady."""
        return max(0, int((self.now() - self.copy().at).total_seconds()))

    def ready(self) -> CopyState:
        """The state of the copy. Raises CopyNotReady, CopyNotApproved, and CopyTooOld if it is older than the limit."""
        with no_copy_is_not_ready():
            self.index.require_approval()
        copy, age = self.copy(), self.age()
        if age > self.max_age:
            raise CopyTooOld(_RETRY_AFTER, age, self.max_age)
        return copy

    def context(self) -> ValidationContext:
        """The rules that a request is validated against: those of the service. Raises CopyNotReady."""
        return ValidationContext(self.copy().rules, self.now())

    def match(self, queries: Sequence[Query]) -> Answer:
        """A result for each query. Raises CopyNotReady, CopyNotApproved, InvalidInput."""
        with no_copy_is_not_ready():
            return self.index.match(queries, self.copy().rules)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait for the turn of a batch, and keep it for the block: otherwise single matches wait for its thread."""
        with self._batches.turn(""):
            usual = sys.getswitchinterval()
            sys.setswitchinterval(_SWITCH_INTERVAL)
            try:
                yield
            finally:
                sys.setswitchinterval(usual)

    def close(self) -> None:
        """End the processes that hash, and close the copy."""
        if "pool" in vars(self.hashers):
            self.hashers.pool.close()
        self.index.close()


@contextmanager
def no_copy_is_not_ready() -> Iterator[None]:
    """Raise CopyNotReady for a NoCopy in the block."""
    try:
        yield
    except NoCopy:
        raise CopyNotReady(_RETRY_AFTER) from None
