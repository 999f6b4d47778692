"""The log follower: it gives new events to the views of a process before the process uses them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from threading import Lock
from typing import Generic, NamedTuple, Protocol, TypeVar

from hashdb.domain.ledger.events import Head
from hashdb.errors import IndexNotReady

RETRY_AFTER = 5
"""Seconds after which a client may retry while the views start."""
S = TypeVar("S")
"""The source from which views read events: for example, a transaction."""


class LogSnapshot(NamedTuple, Generic[S]):
    """A log at one moment."""

    head: Head
    leaf_of: Callable[[int], str]
    """Returns the leaf of the event with a seq, in hex; empty if there is no such event."""
    source: S


class View(Protocol[S]):
    """A part of a log's content that a process keeps in memory."""

    def start(self, log: LogSnapshot[S]) -> None:
        """Replace the content by that of the log up to its head."""

    def advance(self, log: LogSnapshot[S], after: int) -> bool:
        """Apply the events after seq `after`. Return False if the view cannot, and must `start` again."""


class LogFollower(Generic[S]):
    """Keeps views at the head of a log, for all threads of a process."""

    def __init__(
        self,
        head: Callable[[], Head],
        snapshot: Callable[[int | None], AbstractContextManager[LogSnapshot[S]]],
        views: Sequence[View[S]],
        *,
        moved: Callable[[], bool] | None = None,
        patience: float = -1,
    ) -> None:
        """A follower that reads nothing before the first `catch_up`.

        `head` reads the head of the log. `snapshot` opens the log for views that know the events up to a seq (None: no
        event). `moved` returns whether the views must be fed although the log has no new event, for example because
        another process wrote files of the index. `patience` is how many seconds a request waits while views start (-1:
        without a limit).
        """
        # What the views know: the head up to which they have events (None: they have not started), and the leaf of its
        # last event in hex.
        self.head: Head | None = None
        self.leaf = ""
        self.lock = Lock()
        self._read_head, self._snapshot, self._views = head, snapshot, views
        self._moved, self._patience = moved, patience

    def catch_up(self, head: Head | None = None) -> Head:
        """Feed the views the new events of the log, and return its head.

        After this, the views know each event that any process wrote before the call. Give the `head` if you have just
        read it: if the views know it, it is not read again. Raises IndexNotReady while another thread starts the views,
        and what the log raises.
        """
        # `known` is read before the head: then a lower head means that the log was restored from a backup, and not that
        # another thread has fed the views meanwhile.
        known = self.head
        if head is None or head != known:
            head = self._read_head()
        if head == known and not (self._moved and self._moved()):
            return head
        # Catching up takes milliseconds. Starting an index of millions takes minutes: then the client gets an error.
        if not self.lock.acquire(timeout=-1 if head.continues(known) else self._patience):
            raise IndexNotReady(RETRY_AFTER)
        try:
            # Another thread may have caught up meanwhile.
            return head if head == self.head and not (self._moved and self._moved()) else self.feed()
        finally:
            self.lock.release()

    def feed(self) -> Head:
        """Feed the views, and return the head; the caller holds `lock`. Raises what the log raises.

        The views start again if the log does not continue what they know, as after a restore from a backup.
        """
        known = self.head
        with self._snapshot(None if known is None else known.seq) as log:
            if not (
                log.head.continues(known)
                and log.leaf_of(known.seq) == self.leaf
                and all(view.advance(log, known.seq) for view in self._views)
            ):
                # Until the views have started they know no head, so that no other thread uses them.
                self.head = None
                for view in self._views:
                    view.start(log)
            self.leaf = log.leaf_of(log.head.seq)
        self.head = log.head
        return log.head
