"""Verifications that are asked for in the console: one at a time, in the background, bounded in time."""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from threading import Thread
from time import monotonic

from hashdb.domain.audit import Action, Details, Entry, canonical, tag
from hashdb.domain.members import Actor, Scope
from hashdb.domain.verifications import Outcome, Verification
from hashdb.errors import HashDBError
from hashdb.index.segments import low_priority
from hashdb.service import HashDB
from hashdb.service.background import Task
from hashdb.service.verification import verify

LONGEST = timedelta(minutes=15)
_TELL_EVERY = 1.0
"""Seconds."""
_FINDINGS_KEPT = 20
log = logging.getLogger("hashdb.audit")


class _TooLongError(Exception):
    """It took longer than it may, or the process is told to end."""


def start(db: HashDB, actor: Actor) -> Verification:
    """Begin to verify the log in the background, unless that goes on already; how far it is."""
    actor.require(Scope.AUDIT)
    with db.store.begin() as tx:
        tx.audit.hold()
        last = tx.verifications.latest(1)
        if last and last[0].running(db.now()):
            return last[0]
        begun = tx.verifications.add(str(actor), tx.audit.head().seq, db.now())
    run = partial(db.background.run, Task.VERIFICATION, partial(_run, db, actor, begun))
    Thread(target=run, name="verify", daemon=True).start()
    return begun


def latest(db: HashDB, actor: Actor, limit: int = 5) -> tuple[Verification, ...]:
    """The last verifications, the last first."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.verifications.latest(limit)


def _run(db: HashDB, actor: Actor, begun: Verification) -> None:
    low_priority()
    progress = _Progress(db, begun)
    outcome, checkpoints, findings = Outcome.STOPPED, 0, ["it took too long, or the service was stopped"]
    try:
        verdict = verify(db, actor, progress.advance)
        outcome = Outcome.BROKEN if verdict.findings else Outcome.HOLDS
        checkpoints, findings = verdict.checkpoints, [str(found) for found in verdict.findings]
    except _TooLongError:
        pass
    except HashDBError as error:
        findings = [str(error)]
    except Exception as error:
        db.background.failed(Task.VERIFICATION, error)
        findings = ["a fault of the service, which it has noted"]
    if outcome is Outcome.BROKEN:
        log.error("the log does not hold: %s", findings[0])
    kept = findings[:_FINDINGS_KEPT]
    with db.store.begin() as tx:
        now = db.now()
        tx.verifications.end(begun.id, outcome, progress.done, checkpoints, kept, now)
        details: Details = {
            "size": begun.size,
            "done": progress.done,
            "outcome": str(outcome),
            "checkpoints": checkpoints,
            "findings": tag(canonical({"reasons": kept}).encode()),
        }
        tx.audit.append(now, actor, [Entry(Action.VERIFICATION_ENDED, "verification", begun.id, details)])


class _Progress:
    """Tells of each second how far a verification is, and ends it when its time is over."""

    def __init__(self, db: HashDB, begun: Verification) -> None:
        self._db = db
        self._id = begun.id
        self._until = monotonic() + LONGEST.total_seconds()
        self._told = monotonic()
        self.done = 0

    def advance(self, count: int) -> None:
        """Take in that so many events more have been read."""
        self.done += count
        now = monotonic()
        if now > self._until or self._db.stopping():
            raise _TooLongError
        if now - self._told >= _TELL_EVERY:
            self._told = now
            with self._db.store.begin() as tx:
                tx.verifications.advance(self._id, self.done, self._db.now())
