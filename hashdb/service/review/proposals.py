"""Proposals: a change that needs two persons waits until a second person makes the same request."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.review.proposals import REVIEWER_ACTIONS, Proposal, ProposedChange, TwoPersonAction
from hashdb.service import HashDB
from hashdb.store import Transaction

WAITS = timedelta(hours=72)
"""How long a proposal waits for a second person."""


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Proposal, ...]:
    """At most `limit` waiting proposals with ids above `after`, in order; without the scope `admin`, those on cases."""
    acts = visible_acts(actor)
    with db.store.read() as tx:
        return tx.proposals.page(after, limit, db.now(), acts)


def get(db: HashDB, actor: Actor, id: int) -> Proposal:
    """A waiting proposal. Raises NotFound, also if it is approved, dropped or expired."""
    acts = visible_acts(actor)
    with db.store.read() as tx:
        return tx.proposals.one(id, db.now(), acts)


def list_on_subject(db: HashDB, actor: Actor, kind: str, id: int) -> tuple[Proposal, ...]:
    """The waiting proposals to change one thing; `kind` and `id` are those of `ProposedChange`."""
    acts = visible_acts(actor)
    with db.store.read() as tx:
        return tx.proposals.on_subject(kind, id, db.now(), acts)


def drop(db: HashDB, actor: Actor, id: int) -> None:
    """Drop a waiting proposal: with `admin` any, with `review` one on a case. Raises NotFound."""
    with db.store.begin() as tx:
        drop_within(db, tx, actor, id)


def drop_within(db: HashDB, tx: Transaction, actor: Actor, id: int) -> None:
    """Drop a waiting proposal within a transaction, as `drop` does. Raises NotFound."""
    acts = visible_acts(actor, Scope.ADMIN)
    tx.audit.lock()
    now = db.now()
    proposal = tx.proposals.one(id, now, acts)
    tx.proposals.remove(id)
    tx.audit.append(now, actor, [_entry(Action.PROPOSAL_DROPPED, proposal)])


def expire(db: HashDB) -> int:
    """Remove the proposals whose time is over and log each; return how many there were."""
    with db.store.read() as tx:
        if not tx.proposals.expired(db.now()):
            return 0
    with db.store.begin() as tx:
        tx.audit.lock()
        now = db.now()
        ids = tx.proposals.expired(now)
        for id in ids:
            tx.proposals.remove(id)
        tx.audit.append(now, SYSTEM, [LogEntry(Action.PROPOSAL_EXPIRED, "proposal", id, {}) for id in ids])
    return len(ids)


def require_second_person(
    db: HashDB, tx: Transaction, actor: Actor, request: ProposedChange, now: datetime
) -> Proposal | None:
    """The proposal that waits for a second person; None if the caller may carry out the request now.

    It may if one person is enough here, or if this is the second person's request. Otherwise the proposal is made now,
    or the same person made it before. `person_of` says who is a person.
    """
    if not db.rules.two_persons:
        return None
    tx.audit.lock()
    person = person_of(actor)
    first = tx.proposals.find_same(request, now)
    if first is None:
        proposal = tx.proposals.add(request, str(actor), person, now, now + WAITS)
        tx.audit.append(now, actor, [_entry(Action.PROPOSAL_MADE, proposal)])
        return proposal
    if first.person == person:
        return first.proposal
    tx.proposals.remove(first.proposal.id)
    tx.audit.append(now, actor, [_entry(Action.PROPOSAL_APPROVED, first.proposal)])
    return None


def person_of(actor: Actor) -> str:
    """Who the actor counts as where two persons are needed.

    All keys of a member are one person. Each user of the console is one, and so is the command line.
    """
    return actor.name if actor.member is None else f"member:{actor.member.id}"


def visible_acts(actor: Actor, scope: Scope = Scope.AUDIT) -> Collection[TwoPersonAction]:
    """The actions whose proposals the actor sees: with `scope` all, with `review` those on cases.

    Raises ScopeMissing.
    """
    actor.require(scope, Scope.REVIEW)
    return tuple(TwoPersonAction) if actor.has(scope) else REVIEWER_ACTIONS


def _entry(action: Action, proposal: Proposal) -> LogEntry:
    request = proposal.request
    return LogEntry(action, "proposal", proposal.id, {"act": str(request.act), request.kind: request.id})
