"""Proposals: what takes two persons waits here for the second one's same request."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Entry
from hashdb.domain.review.incidents import REVIEWED, Proposal, ProposedChange, TwoPersonAction
from hashdb.service import HashDB
from hashdb.store import Transaction

WAITS = timedelta(hours=72)


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Proposal, ...]:
    """At most `limit` proposals that wait, with ids above `after`, in order: with `review` alone those on cases."""
    acts = _seen(actor)
    with db.store.read() as tx:
        return tx.proposals.page(after, limit, db.now(), acts)


def get(db: HashDB, actor: Actor, id: int) -> Proposal:
    """One that waits. Raises NotFound, as for one that is done, dropped or expired."""
    acts = _seen(actor)
    with db.store.read() as tx:
        return tx.proposals.one(id, db.now(), acts)


def on(db: HashDB, actor: Actor, kind: str, id: int) -> tuple[Proposal, ...]:
    """Those that wait on a subject."""
    acts = _seen(actor)
    with db.store.read() as tx:
        return tx.proposals.on(kind, id, db.now(), acts)


def drop(db: HashDB, actor: Actor, id: int) -> None:
    """Let a proposal be forgotten: any, or with `review` one on a case. Raises NotFound."""
    acts = _acts(actor)
    with db.store.begin() as tx:
        tx.audit.hold()
        now = db.now()
        found = tx.proposals.one(id, now, acts)
        tx.proposals.remove(id)
        tx.audit.append(now, actor, [_entry(Action.PROPOSAL_DROPPED, found)])


def expire(db: HashDB) -> int:
    """Forget the proposals that waited in vain, with an event each; how many there were."""
    with db.store.read() as tx:
        if not tx.proposals.expired(db.now()):
            return 0
    with db.store.begin() as tx:
        tx.audit.hold()
        now = db.now()
        ids = tx.proposals.expired(now)
        for id in ids:
            tx.proposals.remove(id)
        tx.audit.append(now, SYSTEM, [Entry(Action.PROPOSAL_EXPIRED, "proposal", id, {}) for id in ids])
    return len(ids)


def second(db: HashDB, tx: Transaction, actor: Actor, request: ProposedChange, now: datetime) -> Proposal | None:
    """None where the request may be done now: one person is enough here, or this is the second one's.

    Else the proposal that waits for a second person, made now or by the same one before. A person is a member,
    whatever key it uses, a user of the console, or the command line.
    """
    if not db.rules.two_persons:
        return None
    tx.audit.hold()
    person = actor.name if actor.member is None else f"member:{actor.member.id}"
    found = tx.proposals.like(request, now)
    if found is None:
        made = tx.proposals.add(request, str(actor), person, now, now + WAITS)
        tx.audit.append(now, actor, [_entry(Action.PROPOSAL_MADE, made)])
        return made
    if found.person == person:
        return found.proposal
    tx.proposals.remove(found.proposal.id)
    tx.audit.append(now, actor, [_entry(Action.PROPOSAL_APPROVED, found.proposal)])
    return None


def _seen(actor: Actor) -> Collection[TwoPersonAction]:
    actor.require(Scope.AUDIT, Scope.REVIEW)
    return tuple(TwoPersonAction) if actor.has(Scope.AUDIT) else REVIEWED


def _acts(actor: Actor) -> Collection[TwoPersonAction]:
    actor.require(Scope.ADMIN, Scope.REVIEW)
    return tuple(TwoPersonAction) if actor.has(Scope.ADMIN) else REVIEWED


def _entry(action: Action, proposal: Proposal) -> Entry:
    request = proposal.request
    return Entry(action, "proposal", proposal.id, {"act": str(request.act), request.kind: request.id})
