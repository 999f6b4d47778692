"""Jobs: a report or verification requested in the console runs in a thread, one of each kind at a time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from threading import Thread
from time import monotonic
from typing import TypeVar

from hashdb.domain.jobs import Job
from hashdb.service import HashDB
from hashdb.service.background import Task, low_priority
from hashdb.store import Transaction
from hashdb.store.jobs import Jobs

LONGEST_JOB = timedelta(minutes=15)
"""How long a job may take; then it is stopped."""
_STORE_EVERY = 1.0
"""Seconds between two writes of the progress of a job."""
_Job = TypeVar("_Job", bound=Job)


class TooLongError(Exception):
    """A job took too long, or its process is about to end."""


class Progress:
    """Stores each second how many events a job has read, and stops it when its time is over."""

    def __init__(self, db: HashDB, store: Callable[[Transaction, int], None]) -> None:
        """`store` writes how many events the job has read: `done`."""
        self._db = db
        self._store = store
        self._until = monotonic() + LONGEST_JOB.total_seconds()
        self._stored_at = monotonic()
        self.done = 0

    def advance(self, count: int) -> None:
        """Add `count` events that were read. Raises TooLongError."""
        self.done += count
        now = monotonic()
        if now > self._until or self._db.stopping():
            raise TooLongError
        if now - self._stored_at >= _STORE_EVERY:
            self._stored_at = now
            with self._db.store.begin() as tx:
                self._store(tx, self.done)


def start(
    db: HashDB,
    task: Task,
    jobs: Callable[[Transaction], Jobs[_Job]],
    add: Callable[[Transaction], _Job],
    act: Callable[[_Job, Progress], object],
    *,
    wait: float = 0,
) -> _Job:
    """Start a job unless one of its kind is running, wait `wait` seconds for its end, and return the running one.

    `jobs` is the repository of the kind; `add` records the job; `act` does it and stores the outcome.
    """
    with db.store.begin() as tx:
        tx.audit.lock()
        newest = jobs(tx).latest(1)
        if newest and newest[0].running(db.now()):
            return newest[0]
        job = add(tx)
    progress = Progress(db, lambda tx, done: jobs(tx).advance(job.id, done, db.now()))
    run = partial(db.background.run, task, partial(_run, act, job, progress))
    thread = Thread(target=run, name=task, daemon=True)
    thread.start()
    thread.join(wait)
    return job


def _run(act: Callable[[_Job, Progress], object], job: _Job, progress: Progress) -> None:
    low_priority()
    act(job, progress)
