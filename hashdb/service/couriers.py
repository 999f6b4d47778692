"""Courier: sends deliveries in the background, several at a time, one a webhook; one process of a machine does."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from threading import Event, Thread

from hashdb.domain.deliveries import Claimed, Outcome
from hashdb.index.folder import locked
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.deliveries import Post, claim, make, prune, send

_AT_ONCE = 8
_EVERY = 0.5
"""Seconds between two looks."""
_PRUNE_EVERY = 1_200
"""Looks."""
_TRY_AGAIN = 2.0


class Courier:
    """What one process sends. A receiver that is slow keeps only its own deliveries waiting."""

    def __init__(self, db: HashDB, post: Post, told: Callable[[Outcome], None]) -> None:
        """Sends nothing yet; `told` hears what became of each attempt."""
        self._db = db
        self._post = post
        self._told = told
        self._under_way: dict[int, Thread] = {}
        self._sent = Event()

    def look(self) -> int:
        """Make what is to be delivered and begin to send what is due; how many were begun. Raises StoreBusy."""
        self._under_way = {id: thread for id, thread in self._under_way.items() if thread.is_alive()}
        make(self._db)
        found = claim(self._db, self._under_way.keys(), _AT_ONCE - len(self._under_way))
        for claimed in found:
            # It does not hold up the end of the process: what is lost so is sent again.
            thread = Thread(target=self._send, args=(claimed,), name="deliver", daemon=True)
            self._under_way[claimed.webhook] = thread
            thread.start()
        return len(found)

    def wait(self, seconds: float) -> None:
        """Return when something was sent, at the latest after so many seconds."""
        self._sent.wait(seconds)
        self._sent.clear()

    def _send(self, claimed: Claimed) -> None:
        try:
            self._told(send(self._db, claimed, self._post))
        except Exception as error:
            # Not written down: after its lease another attempt is made.
            self._db.background.failed(Task.DELIVERY, error)
        finally:
            self._sent.set()


def deliver(
    db: HashDB,
    folder: Path,
    post: Post,
    told: Callable[[Outcome], None],
    stop: Event,
) -> None:
    """Deliver until told to stop, while no other process holds the folder's lock; when that ends, this one does."""
    while not stop.is_set():
        with locked(folder) as mine:
            courier, looks = Courier(db, post, told), 0
            while mine and not stop.is_set():
                db.background.run(Task.WEBHOOKS, courier.look)
                if looks % _PRUNE_EVERY == 0:
                    db.background.run(Task.DELIVERY_RECORDS, partial(prune, db))
                looks += 1
                courier.wait(_EVERY)
        if not mine:
            # Another process of this machine does.
            db.background.on_success(Task.WEBHOOKS)
        stop.wait(_TRY_AGAIN)
