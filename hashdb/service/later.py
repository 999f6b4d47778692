"""Requests that are answered later: a thread does the work of each, and any worker can say how far it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import inf
from threading import Event, Lock, Thread, current_thread
from time import monotonic, sleep
from typing import Final, Generic, TypeVar

from hashdb.domain.accounts.members import Actor
from hashdb.domain.jobs import KEEP_ANSWERS, AnswerJob, JobStatus
from hashdb.errors import HashingBusy, JobLost, TooManyAtOnce, Unavailable
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.jobs import LONGEST_JOB

KEY_REQUESTS = 4
"""Requests of one key that a process works on at once."""
ALL_REQUESTS = 16
"""Requests of all keys that a process works on at once. Each holds its files in memory and on the disk."""
_RETRY_AFTER: Final = 5
"""Seconds after which a client may repeat a request for which there was no room."""
KEPT_JOBS = 100
"""Jobs of one key that are kept: the newest."""
_LOOK_EVERY: Final = 1.0
"""Seconds after which the progress of the work is read again."""
_TOUCH_EVERY: Final = 10.0
"""Seconds after which a job that made no progress is stored again, to show that its process runs.

A job that was not stored for a minute counts as lost.
"""
_RETRY_SECONDS: Final = 60.0
"""Seconds for which `retry_for_a_minute` calls again."""

Advance = Callable[[float], None]
"""Notes the share of the work that is done, 0 to 1. Raises JobLost if nobody waits for the answer any more."""
Work = Callable[[Advance], str]
"""Makes the text of an answer."""
Encrypt = Callable[[str | Exception], str]
"""The text in which an answer or an error is stored: encrypted for the key that asked."""
_Answer = TypeVar("_Answer")


class _Running(Generic[_Answer]):
    """The work on one request, in a thread of its own."""

    def __init__(self, work: Callable[[Advance], _Answer]) -> None:
        self._work = work
        self.ended = Event()
        self.given_up = False
        """Whether nobody waits for the answer any more."""
        self.status, self.percent = JobStatus.WAITING, 0
        self.outcome: _Answer | Exception = JobLost(retry_after=1)

    def advance(self, share: float) -> None:
        """Note the share of the work that is done, 0 to 1. Raises JobLost, which ends the work, if it was given up."""
        if self.given_up:
            raise JobLost(retry_after=1)
        self.status, self.percent = JobStatus.RUNNING, int(100 * share)

    def run(self, release: Callable[[], None]) -> None:
        """Do the work, and call `release` at its end."""
        try:
            self.outcome = self._work(self.advance)
        except Exception as error:
            self.outcome = error
        finally:
            release()
            self.ended.set()

    def answer(self) -> _Answer:
        """What the work returned; raises what it raised."""
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome


class Later:
    """The requests of this process that take long."""

    def __init__(self, db: HashDB) -> None:
        """None yet."""
        self._db = db
        self._lock = Lock()
        self._working = Counter[str]()  # Requests in work, by the name of the actor.
        self._followers = set[Thread]()
        self._closed = False

    def answer(self, actor: Actor, work: Work, encrypt: Encrypt, patience: float) -> str | int:
        """The answer that `work` makes, or the id of a job if that takes more than `patience` seconds.

        With a patience of 0 it is always a job, also if the work ends at once. Raises what `work` raises within this
        time, HashingBusy if the actor has its share of requests in this process, Unavailable, and StoreBusy.
        """
        running = self._start(actor, work)
        if patience and running.ended.wait(patience):
            return running.answer()
        try:
            with self._db.store.begin() as tx:
                id = tx.answer_jobs.add(actor.name, self._db.now())
                tx.answer_jobs.keep_newest(actor.name, KEPT_JOBS)
        except BaseException:
            running.given_up = True
            raise
        follower = Thread(target=self._run_follower, args=(id, running, encrypt), name="later", daemon=True)
        self._followers.add(follower)
        try:
            follower.start()
        except RuntimeError:
            running.given_up = True
            self._followers.discard(follower)
            raise Unavailable(_RETRY_AFTER) from None
        return id

    def within(self, actor: Actor, work: Callable[[Advance], _Answer], seconds: float) -> _Answer:
        """What `work` makes within `seconds`. Later work is given up, but counts as a request in work until it ends.

        Raises what `work` raises, TimeoutError, and HashingBusy if the actor has its share of requests in this process.
        """
        running = self._start(actor, work)
        if running.ended.wait(seconds):
            return running.answer()
        running.given_up = True
        raise TimeoutError

    def close(self) -> None:
        """Store that the unfinished jobs of this process failed; it is about to end."""
        self._closed = True
        for follower in list(self._followers):
            follower.join(2 * _LOOK_EVERY)

    def _start(self, actor: Actor, work: Callable[[Advance], _Answer]) -> _Running[_Answer]:
        self._enter(actor)
        running = _Running(work)
        thread = Thread(target=running.run, args=(partial(self._leave, actor),), name="later", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._leave(actor)
            raise HashingBusy("the number of threads", _RETRY_AFTER) from None
        return running

    def _enter(self, actor: Actor) -> None:
        with self._lock:
            if self._working[actor.name] >= KEY_REQUESTS or self._working.total() >= ALL_REQUESTS:
                limits = f"{KEY_REQUESTS} requests with videos per key, {ALL_REQUESTS} in all"
                raise HashingBusy(limits, _RETRY_AFTER)
            self._working[actor.name] += 1

    def _leave(self, actor: Actor) -> None:
        with self._lock:
            self._working[actor.name] -= 1
            if not self._working[actor.name]:
                del self._working[actor.name]

    def _run_follower(self, id: int, running: _Running[str], encrypt: Encrypt) -> None:
        try:
            self._db.background.run(Task.ANSWERS, partial(self._follow, id, running, encrypt))
        finally:
            self._followers.discard(current_thread())

    def _follow(self, id: int, running: _Running[str], encrypt: Encrypt) -> None:
        """Store the progress of a job until it ends, then its outcome. Give it up after 15 minutes without progress."""
        # When it is given up, when it was stored last (both by `monotonic`), and what was stored then.
        until, touched, stored = inf, 0.0, (JobStatus.WAITING, 0)
        while not running.ended.wait(_LOOK_EVERY):
            now, state = monotonic(), (running.status, running.percent)
            if state != stored:
                until = now + LONGEST_JOB.total_seconds()
            if now > until or self._closed or self._db.stopping():
                # The outcome of work that has not ended is JobLost.
                running.given_up = True
                break
            if state != stored or now - touched > _TOUCH_EVERY:
                touched, stored = now, state
                # If the progress cannot be stored now, it is stored the next time.
                with suppress(Unavailable):
                    self._store(id, *state)
        outcome = running.outcome
        failed = isinstance(outcome, Exception)
        state = (JobStatus.FAILED, running.percent) if failed else (JobStatus.DONE, 100)
        retry_for_a_minute(partial(self._store, id, *state, encrypt(outcome)))

    def _store(self, id: int, status: JobStatus, percent: int, text: str | None = None) -> None:
        with self._db.store.begin() as tx:
            tx.answer_jobs.change(id, status, percent, self._db.now(), text)


def retry_for_a_minute(act: Callable[[], _Answer]) -> _Answer:
    """What `act` returns. While it is refused for now, it is called again: the work before it took long."""
    until = monotonic() + _RETRY_SECONDS
    while True:
        try:
            return act()
        except (TooManyAtOnce, Unavailable) as error:
            if monotonic() + error.retry_after > until:
                raise
            sleep(error.retry_after)


def get(db: HashDB, actor: Actor, id: int) -> AnswerJob:
    """A job of this actor; one whose process has ended is `failed`. Raises NotFound."""
    with db.read(actor) as tx:
        job = tx.answer_jobs.one(id, actor.name)
    return replace(job, status=JobStatus.FAILED) if job.lost(db.now()) else job


def prune(db: HashDB) -> int:
    """Delete the jobs that were answered an hour ago or earlier; return how many."""
    with db.store.begin() as tx:
        return tx.answer_jobs.prune(db.now() - KEEP_ANSWERS)
