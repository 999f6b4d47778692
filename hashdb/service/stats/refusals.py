"""Refusals: which requests were refused and why, logged from time to time, never with an address."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.contributions import Draft
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.stats.counts import AccessRefusal
from hashdb.errors import (
    FormRefused,
    HashDBError,
    InvalidInput,
    LimitReached,
    MemberSuspended,
    NotAllowed,
    NotAuthenticated,
    ScopeMissing,
    Unavailable,
)
from hashdb.service import HashDB
from hashdb.service.background import is_due
from hashdb.service.stats.buffer import Refusal, Tally
from hashdb.store import Transaction

_NOT_ABOUT_BODY = (NotAuthenticated, NotAllowed, Unavailable)
"""Errors that say nothing about the body; the first two are counted by `note_access`."""
_ANONYMOUS_EVERY = timedelta(minutes=1)
"""Refusals without a valid key are logged at most this often."""
_NAMED_EVERY = timedelta(hours=1)
"""A refusal of one key or user is logged at most this often."""


def note_access(db: HashDB, actor: Actor | None, error: Exception) -> None:
    """Count the refusal of a key, user or form, if the error is one."""
    if isinstance(error, FormRefused):
        # No actor: the user of a form is not looked up before the form is known to be the service's own.
        db.stats.note_refused_request(db.now(), 0, Refusal(None, AccessRefusal.FORM_REFUSED))
        return
    if actor is None or (actor.member is None and not actor.name.startswith("user:")):
        return
    if isinstance(error, ScopeMissing):
        refusal = Refusal(actor, AccessRefusal.SCOPE_MISSING, tuple(error.scope.split(" or ")))
    elif isinstance(error, MemberSuspended):
        refusal = Refusal(actor, AccessRefusal.MEMBER_SUSPENDED)
    else:
        return
    db.stats.note_refused_request(db.now(), 0 if actor.member is None else actor.member.id, refusal)


def note_form(db: HashDB, error: HashDBError) -> None:
    """Count a refused form of the console, by the kind of error; sign-ins have their own events."""
    if not isinstance(error, (*_NOT_ABOUT_BODY, LimitReached)):
        db.stats.note_refused_form(db.now(), error.slug)


def note_contribution(db: HashDB, actor: Actor | None, error: HashDBError) -> None:
    """Count refused contributions, by the kind of error and by the fields at fault."""
    if isinstance(error, _NOT_ABOUT_BODY):
        return
    codes = {error.slug}
    if isinstance(error, InvalidInput):
        codes |= {f"{error.slug}.{name}" for fault in error.faults if (name := _field(fault.at))}
    member = 0 if actor is None or actor.member is None else actor.member.id
    for code in sorted(codes):
        db.stats.note_refused_contributions(db.now(), member, code)


def write(tx: Transaction, tally: Tally, now: datetime) -> None:
    """Store the refusals without a valid key. Log those, and the first one of each key and user, where that is due."""
    tx.refusals.add(tally.anonymous_refusals)
    for name, refusal in tally.first_refusals.items():
        kind, _, id = name.partition(":")
        last = tx.audit.last_time(kind, Action.AUTH_REFUSED, int(id))
        if refusal.actor is not None and is_due(last, now, _NAMED_EVERY):
            scopes: Details = {"scopes": list(refusal.scopes)} if refusal.scopes else {}
            details: Details = {"reason": str(refusal.reason), **scopes}
            tx.audit.append(now, refusal.actor, [LogEntry(Action.AUTH_REFUSED, kind, int(id), details)])
    _log_anonymous(tx, now)


def log_anonymous(db: HashDB) -> bool:
    """Log the requests without a valid key, at most once a minute; return whether it did."""
    now = db.now()
    with db.store.read() as tx:
        if not _pending(tx, now):
            return False
    with db.store.begin() as tx:
        tx.counts.lock()
        return _log_anonymous(tx, now)


def _log_anonymous(tx: Transaction, now: datetime) -> bool:
    pending = _pending(tx, now)
    if pending:
        tx.refusals.delete_logged()
        tx.audit.append(now, SYSTEM, [LogEntry(Action.AUTH_REFUSED, "service", 1, dict(sorted(pending.items())))])
    return bool(pending)


def _pending(tx: Transaction, now: datetime) -> Mapping[str, int]:
    """The number of refusals without a valid key that are to be logged now, by reason; empty if that is not due."""
    pending = tx.refusals.not_logged()
    last = tx.audit.last_time("service", Action.AUTH_REFUSED, 1)
    return pending if pending and is_due(last, now, _ANONYMOUS_EVERY) else {}


_FIELDS = {field.name for field in dataclasses.fields(Draft)} | {"file", "metadata"}


def _field(at: str) -> str | None:
    """The field of a place like `contributions[3].signals[0]`; None for a name that is no field of a draft."""
    names = [part.partition("[")[0] for part in at.split(".")]
    return next((name for name in reversed(names) if name in _FIELDS), None)
