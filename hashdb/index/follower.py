"""A follower of a log: what a process keeps of the log's events is brought up to date before it is used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock
from typing import Generic, NamedTuple, Protocol, TypeVar

from hashdb.domain.ledger.events import Head
from hashdb.errors import IndexNotReady

RETRY_AFTER = 5
"""Seconds after which a client asks again while views start."""
S = TypeVar("S")
"""What views read events from: a transaction, or what a statement returned."""


class LogSnapshot(NamedTuple, Generic[S]):
    """A log at one moment: its head, the leaf of an event by its seq (empty where there is none), and its source."""

    head: Head
    leaf: Callable[[int], str]
    source: S


class View(Protocol[S]):
    """What a process keeps of a log."""

    def start(self, log: LogSnapshot[S]) -> None:
        """Replace what is kept by what the log has up to its head."""

    def advance(self, log: LogSnapshot[S], after: int) -> bool:
        """Take in the events past seq `after`; return whether that was possible (if not, `start` follows)."""


class LogFollower(Generic[S]):
    """Keeps views at the head of a log, for all threads of a process."""

    def __init__(
        self,
        head: Callable[[], Head],
        snapshot: Callable[[int | None], AbstractContextManager[LogSnapshot[S]]],
        views: Sequence[View[S]],
        moved: Callable[[], bool] | None = None,
        patience: float = -1,
    ) -> None:
        """Nothing is read before the first `catch_up`.

        `head` reads the head of the log; `snapshot` opens the log to feed views that know the events up to a seq
        (None: no event). `moved` says whether views must be fed although the log has no new event. `patience` is for
        how many seconds a request waits while views start (-1: as long as it takes).
        """
        self.head: Head | None = None
        self.lock = Lock()
        self.leaf = ""
        self._read_head, self._snapshot, self._views = head, snapshot, views
        self._moved, self._patience = moved, patience

    def catch_up(self, head: Head | None = None) -> Head:
        """Feed the views what the log has and they have not, and return the head.

        After this, the views know each event that was written before the call, by any process. A `head` that the
        caller has just read is not read again where the views know it. Raises IndexNotReady while another thread
        starts the views, and what the log raises.
        """
        # In this order: a head below what was known before has been set back, by a restore.
        known = self.head
        if head is None or head != known:
            head = self._read_head()
        if head == known and not (self._moved and self._moved()):
            return head
        # Catching up takes milliseconds. To start an index of millions takes minutes: then the client is told.
        if not self.lock.acquire(timeout=-1 if head.continues(known) else self._patience):
            raise IndexNotReady(RETRY_AFTER)
        try:
            # Another thread may have done it meanwhile.
            return head if head == self.head and not (self._moved and self._moved()) else self.feed()
        finally:
            self.lock.release()

    def feed(self) -> Head:
        """The same, for a thread that holds `lock`."""
        known = self.head
        with self._snapshot(None if known is None else known.seq) as log:
            if not (
                log.head.continues(known)
                and log.leaf(known.seq) == self.leaf
                and all(view.advance(log, known.seq) for view in self._views)
            ):
                # Until all is there again: nobody may take the old head for that of views which start.
                self.head = None
                for view in self._views:
                    view.start(log)
            self.leaf = log.leaf(log.head.seq)
        self.head = log.head
        return log.head
