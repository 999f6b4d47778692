"""Claims: a reviewer takes a case, so that no other reviewer works on it at the same time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.review.cases import CaseState
from hashdb.domain.review.queues import Claim, QueueQuery
from hashdb.domain.rules import Rules
from hashdb.errors import AlreadyDecided, CaseTaken
from hashdb.service import HashDB
from hashdb.store import Transaction


def take_next(db: HashDB, actor: Actor, query: QueueQuery, after: int | None = None) -> int | None:
    """Take the next case of a queue that no reviewer has; None if there is none.

    The search begins after the case `after`, which is not taken, and goes on from the beginning of the queue. Cases in
    piles come last. However many reviewers ask at once, each gets another case.
    """
    with db.begin(actor, Scope.REVIEW) as tx:
        now = db.now()
        idle_since = now - db.rules.case_idle
        pile_openers = tx.queues.openers_of_piles(query, now)
        place = None if after is None else tx.queues.place(query.order, after)
        # First without the piles, then with them; each time from the place on, then from the beginning.
        for without in (pile_openers, ()) if pile_openers else ((),):
            for start in (place, None) if place else (None,):
                id = tx.claims.take_next(
                    str(actor), query, now, idle_since, without_openers=without, place=start, besides=after
                )
                if id is not None:
                    return id
    return None


def take(db: HashDB, actor: Actor, id: int, *, from_others: bool = False) -> None:
    """Take an open case, or renew one's claim.

    With `from_others`, the actor also takes a case that another reviewer has, which is logged.
    Raises NotFound, AlreadyDecided, CaseTaken.
    """
    with db.begin(actor, Scope.REVIEW) as tx:
        now = db.now()
        idle_since = now - db.rules.case_idle
        case = tx.cases.one(id)
        # So that nobody else takes the case after the claim is read: that would be taken over without an event.
        tx.claims.lock([case.contribution])
        holder = current_claims(tx, db.rules, [id], now).get(id)
        if not tx.claims.take(id, str(actor), now, idle_since, from_others=from_others):
            raise AlreadyDecided(id) if tx.cases.one(id).state is CaseState.DECIDED else CaseTaken(id)
        if holder is not None and holder.actor != str(actor):
            details: Details = {"contribution": case.contribution, "from": holder.actor}
            tx.audit.append(now, actor, [LogEntry(Action.CASE_TAKEN_OVER, "case", id, details)])


def renew(db: HashDB, actor: Actor, id: int) -> bool:
    """Renew the actor's claim because the page of the case is in use; return whether the actor has the case.

    If it was idle for too long and nobody took the case since, the actor has it again.
    """
    with db.begin(actor, Scope.REVIEW) as tx:
        now = db.now()
        return tx.claims.take(id, str(actor), now, now - db.rules.case_idle)


def release(db: HashDB, actor: Actor, id: int) -> None:
    """Release a case that the actor has taken; if it has not, nothing changes."""
    with db.begin(actor, Scope.REVIEW) as tx:
        tx.claims.release(id, str(actor))


def find(db: HashDB, actor: Actor, id: int) -> Claim | None:
    """The claim on a case; None if nobody has it."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return current_claims(tx, db.rules, [id], db.now()).get(id)


def list_own(db: HashDB, actor: Actor) -> tuple[Claim, ...]:
    """The claims of the actor, the oldest first."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.claims.of_actor(str(actor), db.now() - db.rules.case_idle)


def current_claims(tx: Transaction, rules: Rules, ids: Collection[int], now: datetime) -> Mapping[int, Claim]:
    """The claims on these cases, by case, without those whose reviewer was idle for too long."""
    return tx.claims.by_case(ids, now - rules.case_idle)


def taken_by_others(tx: Transaction, rules: Rules, actor: Actor, ids: Collection[int], now: datetime) -> frozenset[int]:
    """Those of the cases that another reviewer than the actor has taken."""
    claims = current_claims(tx, rules, ids, now)
    return frozenset(id for id, claim in claims.items() if claim.actor != str(actor))
