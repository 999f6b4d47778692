"""Sight: which contributions an actor may see, how much of them, and whose it is told they are."""

from __future__ import annotations

import time

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.stats.counts import MatchLog
from hashdb.service import HashDB
from hashdb.service.stats import counts
from hashdb.store import Transaction

_LOOK_EVERY = 0.1


def owns(actor: Actor, contribution: Contribution) -> bool:
    """Whether it is a contribution of the actor's member."""
    return actor.member is not None and actor.member.id == contribution.member


def told_members(actor: Actor) -> bool:
    """Whether the actor is told which member contributed what."""
    return actor.has(Scope.FEED) or actor.has(Scope.AUDIT) or actor.has(Scope.REVIEW)


def knows(tx: Transaction, actor: Actor, contribution: Contribution) -> bool:
    """Whether the actor may know that there is this contribution, whatever has become of it.

    Its own; with `feed` or `audit` any; with `match` those that were answered to its member; with `review` those with
    a case.
    """
    if owns(actor, contribution) or actor.has(Scope.AUDIT) or actor.has(Scope.FEED):
        return True
    if _answered(tx, actor, contribution.id):
        return True
    return actor.has(Scope.REVIEW) and bool(tx.cases.of([contribution.id]))


def visible(tx: Transaction, actor: Actor, contribution: Contribution) -> bool:
    """Whether the actor may see what is said of this contribution, and the opinions on it."""
    if owns(actor, contribution) or actor.has(Scope.AUDIT):
        return True
    if contribution.status is Status.ACTIVE and contribution.standing.matches:
        if actor.has(Scope.FEED) or _answered(tx, actor, contribution.id):
            return True
    return actor.has(Scope.REVIEW) and bool(tx.cases.of([contribution.id]))


def shown(actor: Actor, contribution: Contribution) -> Contribution:
    """As much of a contribution as the actor may see."""
    close = owns(actor, contribution) or actor.has(Scope.AUDIT)
    return contribution.shown(
        signals=close or actor.has(Scope.FEED), reference=close, member=close or told_members(actor)
    )


def await_hits(db: HashDB, actor: Actor, contribution: int) -> None:
    """Wait until a match that any process has just answered is stored, where only that lets the actor see it.

    A process stores its own hits at once here, and others store theirs within `db.hits_within` seconds. Who asks for
    what it was not answered waits as long, whether there is such a contribution or not.
    Raises TooManyAtOnce where the key holds its share of the process already, and StoreBusy.
    """
    if not actor.has(Scope.MATCH) or actor.has(Scope.FEED) or actor.has(Scope.AUDIT):
        return
    if db.match_log is not MatchLog.HITS or _stored(db, actor, contribution):
        return
    counts.flush(db)
    with db.places.place(actor):
        until = time.monotonic() + db.hits_within
        while not _stored(db, actor, contribution) and time.monotonic() < until:
            time.sleep(_LOOK_EVERY)


def _stored(db: HashDB, actor: Actor, contribution: int) -> bool:
    """Whether waiting would change nothing: it was answered to the member, or is the member's own."""
    with db.store.read() as tx:
        if _answered(tx, actor, contribution):
            return True
        contributor = tx.hits.contributors([contribution]).get(contribution)
        return actor.member is not None and contributor == actor.member.id


def _answered(tx: Transaction, actor: Actor, contribution: int) -> bool:
    if actor.member is None or not actor.has(Scope.MATCH):
        return False
    return bool(tx.hits.answered(actor.member.id, [contribution]))
