"""Erasures: remove what a contribution held, and later the signals that were kept to tell readers by."""

from __future__ import annotations

from datetime import datetime

from hashdb.domain.audit import Action, Details, Entry
from hashdb.domain.cases import CaseState
from hashdb.domain.contributions import TOMBSTONES_KEPT, Contribution, Status
from hashdb.domain.instants import format_instant
from hashdb.domain.members import SYSTEM, Actor, Scope
from hashdb.errors import Fault, InvalidInput, NotYours, RetiredKept
from hashdb.service import HashDB
from hashdb.service.contributions import take_back
from hashdb.service.sight import owns
from hashdb.store import Transaction


def erase(db: HashDB, actor: Actor, id: int, reason: str = "other", *, at_once: bool = False) -> None:
    """Remove signals, reference and notes of a contribution for good, withdrawing it first; its events stay.

    Nobody is shown its signals from now on; they are kept for 90 days after the withdrawal, unless `at_once`: readers
    that know no ids are told by the value what they are to drop.
    The member's own, or any with `admin`; `reason` is that of the withdrawal. Erasing again changes nothing.
    What is kept out, or is before a reviewer, is erased `at_once` with `admin` only: by its signals it is noticed when
    it comes back.
    Raises InvalidInput, NotFound, NotYours, RetiredKept, ScopeMissing.
    """
    actor.require(Scope.CONTRIBUTE, Scope.ADMIN)
    if fault := db.rules.vocabulary.fault("reason", reason):
        raise InvalidInput((Fault("reason", fault),))
    with db.store.begin() as tx:
        now = db.now()
        found = tx.contributions.one(id, now, lock=True)
        if not actor.has(Scope.ADMIN):
            if not owns(actor, found):
                raise NotYours("contribution", id)
            if at_once and _kept(tx, found):
                raise RetiredKept(id)
        entries = [] if found.erased else [_erase(tx, actor, found, reason, now)]
        due = now if at_once else (found.withdrawn_at or now) + TOMBSTONES_KEPT
        if due <= now and tx.contributions.purge([id]):
            entries = [_erased(id)]
        tx.audit.append(now, actor, entries)
    db.store.scrub()


def purge(db: HashDB, limit: int = 500) -> int:
    """Remove the signals of at most `limit` erased contributions whose 90 days are over.

    Returns how many there were; call again while that is `limit`.
    """
    with db.store.read() as tx:
        if not tx.contributions.due(db.now(), 1):
            return 0
    with db.store.begin() as tx:
        now = db.now()
        purged = tx.contributions.purge(tx.contributions.due(now, limit))
        tx.audit.append(now, SYSTEM, [_erased(id) for id in purged])
    db.store.scrub()
    return len(purged)


def _kept(tx: Transaction, found: Contribution) -> bool:
    on = tx.cases.of([found.id]).get(found.id, ())
    return not found.standing.matches or any(case.state is CaseState.OPEN for case in on)


def _erased(id: int, kept_until: str | None = None) -> Entry:
    details: Details = {} if kept_until is None else {"signals_kept_until": kept_until}
    return Entry(Action.CONTRIBUTION_ERASED, "contribution", id, details)


def _erase(tx: Transaction, actor: Actor, found: Contribution, reason: str, now: datetime) -> Entry:
    if found.status is not Status.WITHDRAWN:
        take_back(tx, actor, found, reason, now)
    kept_until = (found.withdrawn_at or now) + TOMBSTONES_KEPT
    tx.contributions.erase(found.id, now, kept_until)
    tx.opinions.erase(found.id)
    tx.cases.erase(found.id)
    return _erased(found.id, format_instant(kept_until))
