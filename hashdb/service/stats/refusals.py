"""Refusals: who was turned away and why, told to the log now and then, never of whom it came from."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.contributions import Draft
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.stats.counts import Reason
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
from hashdb.service.stats.buffer import Refusal, Tally
from hashdb.store import Transaction

_SERVICE = ("service", 1)
"""The subject of what is told of everybody who came without a valid key."""
_OTHERWISE = (NotAuthenticated, NotAllowed, Unavailable)
"""Of these, the first two count as turned away, and the last is no word on the contributions."""
_TOLD_EVERY = timedelta(minutes=1)
_EACH_EVERY = timedelta(hours=1)


def note(db: HashDB, actor: Actor | None, error: Exception) -> None:
    """Count that a key or a user was turned away, where that is what the error says."""
    if isinstance(error, FormRefused):
        # Of whom it came is not asked before the form is known to be one of ours.
        db.stats.turn_away(db.now(), 0, Refusal(None, Reason.FORM_REFUSED))
        return
    if actor is None or (actor.member is None and not actor.name.startswith("user:")):
        return
    if isinstance(error, ScopeMissing):
        refusal = Refusal(actor, Reason.SCOPE_MISSING, tuple(error.scope.split(" or ")))
    elif isinstance(error, MemberSuspended):
        refusal = Refusal(actor, Reason.MEMBER_SUSPENDED)
    else:
        return
    db.stats.turn_away(db.now(), 0 if actor.member is None else actor.member.id, refusal)


def note_form(db: HashDB, error: HashDBError) -> None:
    """Count that a form of the console was refused, by the kind of error; sign-ins have events of their own."""
    if not isinstance(error, (*_OTHERWISE, LimitReached)):
        db.stats.refuse_form(db.now(), error.slug)


def note_contribution(db: HashDB, actor: Actor | None, error: HashDBError) -> None:
    """Count that contributions were refused: by the kind of error, and by the fields at fault."""
    if isinstance(error, _OTHERWISE):
        return
    codes = {error.slug}
    if isinstance(error, InvalidInput):
        codes |= {f"{error.slug}.{name}" for fault in error.faults if (name := _field(fault.at))}
    member = 0 if actor is None or actor.member is None else actor.member.id
    for code in sorted(codes):
        db.stats.refuse(db.now(), member, code)


def write(tx: Transaction, tally: Tally, now: datetime) -> None:
    """Keep what is to be told of those without a key, and tell of it, of each key and of each user, if that is due."""
    tx.refusals.add(tally.keyless)
    for name, refusal in tally.named.items():
        kind, _, id = name.partition(":")
        if refusal.actor is not None and _due(tx.refusals.last_told(kind, int(id)), now, _EACH_EVERY):
            tx.audit.append(now, refusal.actor, [Entry(Action.AUTH_REFUSED, kind, int(id), _details(refusal))])
    _tell(tx, now)


def log_anonymous(db: HashDB) -> bool:
    """Tell the log of those who came without a valid key, once a minute where there were any; whether it did."""
    now = db.now()
    with db.store.read() as tx:
        if not tx.refusals.untold() or not _due(tx.refusals.last_told(*_SERVICE), now, _TOLD_EVERY):
            return False
    with db.store.begin() as tx:
        tx.counts.hold()
        return _tell(tx, now)


def _tell(tx: Transaction, now: datetime) -> bool:
    untold = tx.refusals.untold()
    if not untold or not _due(tx.refusals.last_told(*_SERVICE), now, _TOLD_EVERY):
        return False
    tx.refusals.forget()
    tx.audit.append(now, SYSTEM, [Entry(Action.AUTH_REFUSED, *_SERVICE, dict(sorted(untold.items())))])
    return True


def _due(last: datetime | None, now: datetime, every: timedelta) -> bool:
    # A clock that was set back does not keep the next one away.
    return last is None or not timedelta(0) <= now - last < every


def _details(refusal: Refusal) -> Details:
    scopes = {"scopes": list(refusal.scopes)} if refusal.scopes else {}
    return {"reason": str(refusal.reason)} | scopes


_FIELDS = {field.name for field in dataclasses.fields(Draft)} | {"file", "metadata"}


def _field(at: str) -> str | None:
    """The field at fault of a place like `contributions[3].signals[0]`; of a name that is no field there is none."""
    names = [part.partition("[")[0] for part in at.split(".")]
    return next((name for name in reversed(names) if name in _FIELDS), None)
