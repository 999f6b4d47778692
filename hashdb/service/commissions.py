"""Reports that are asked for in the console: one at a time, in the background, bounded in time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from threading import Thread
from time import monotonic

from hashdb.domain.commissions import Commission, Outcome
from hashdb.domain.members import Actor, Scope
from hashdb.domain.reports import Report
from hashdb.index.segments import low_priority
from hashdb.service import HashDB, counts, reports
from hashdb.service.background import Task

LONGEST = timedelta(minutes=15)
KEPT = 50
"""Reports that are kept; they can be made anew."""
_AT_ONCE = 0.4
"""Seconds that a request waits for a report: of a small log it is there then."""
_TELL_EVERY = 1.0

Spell = Callable[[Report], str]


class _TooLongError(Exception):
    """It took longer than it may, or the process is told to end."""


def start(
    db: HashDB, actor: Actor, first: date | None, last: date | None, member: int | None, spell: Spell
) -> Commission:
    """Begin to make a report in the background, which is kept as `spell` spells it.

    By default it is from the log's beginning to today. While another is made that one is answered: `asks` tells.
    Raises InvalidInput, NotFound (of the member).
    """
    actor.require(Scope.AUDIT)
    counts.flush(db)
    with db.store.begin() as tx:
        tx.audit.hold()
        period = reports.period(db, tx, first, last)
        if member is not None:
            tx.members.get(member)
        newest = tx.commissions.latest(1)
        if newest and newest[0].running(db.now()):
            return newest[0]
        begun = tx.commissions.add(str(actor), period, member, tx.audit.head().seq, db.now())
        tx.commissions.keep(KEPT)
    run = partial(db.background.run, Task.REPORT, partial(_run, db, actor, begun, spell))
    thread = Thread(target=run, name="report", daemon=True)
    thread.start()
    thread.join(_AT_ONCE)
    return begun


def latest(db: HashDB, actor: Actor, limit: int = 20) -> tuple[Commission, ...]:
    """The last ones, the last first."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.commissions.latest(limit)


def get(db: HashDB, actor: Actor, id: int) -> Commission:
    """One of them. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.commissions.one(id)


def text(db: HashDB, actor: Actor, id: int, form: str | None = None) -> str:
    """The report as it was spelled; of a `form` in which it is taken away an event tells. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        found, spelled = tx.commissions.one(id), tx.commissions.text(id)
    if form is not None:
        reports.note(db, actor, found.period, found.member, form)
    return spelled


def _run(db: HashDB, actor: Actor, begun: Commission, spell: Spell) -> None:
    low_priority()
    progress = _Progress(db, begun)
    outcome, spelled = Outcome.STOPPED, None
    try:
        report = reports.made(db, begun.period, begun.member, progress.advance)
        outcome, spelled = Outcome.MADE, spell(report)
    except _TooLongError:
        pass
    except Exception as error:
        db.background.failed(Task.REPORT, error)
    with db.store.begin() as tx:
        tx.commissions.end(begun.id, outcome, progress.done, spelled, db.now())
    if spelled is not None:
        reports.note(db, actor, begun.period, begun.member, "console")


class _Progress:
    """Tells of each second how far a report is, and ends it when its time is over."""

    def __init__(self, db: HashDB, begun: Commission) -> None:
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
                tx.commissions.advance(self._id, self.done, self._db.now())
