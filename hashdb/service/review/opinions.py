"""Opinions: give and list them, and recount them when members are suspended or reinstated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hashdb.domain.accounts.budgets import Budget, Cost
from hashdb.domain.accounts.members import SYSTEM, Actor, Member, Scope
from hashdb.domain.contributions import Contribution, IdempotencyKey, Status
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.review.cases import Cause, Opinion, OpinionDraft, Stance, open_case_of, opens_case
from hashdb.domain.rules import Rules
from hashdb.errors import NotActive, NotFound, OwnContribution, reject
from hashdb.service import HashDB
from hashdb.service.contributions.sight import await_hits, may_know, may_see
from hashdb.service.review.cases import opened_entry, settle, visible_opinion
from hashdb.store import Transaction


def spend(db: HashDB, actor: Actor, drafts: Sequence[OpinionDraft]) -> None:
    """Spend the budget of the opinions that a request gives, for all of them or none. Raises LimitReached."""
    disputes = sum(draft.stance is Stance.DISPUTES for draft in drafts)
    cost: Cost = ((Budget.OPINIONS, len(drafts)),)
    db.budgets.spend(actor, (*cost, (Budget.DISPUTES, disputes)) if disputes else cost, db.now())


def give(
    db: HashDB,
    actor: Actor,
    contribution: int,
    draft: OpinionDraft,
    key: IdempotencyKey | None = None,
    *,
    budget_spent: bool = False,
) -> Opinion:
    """Record a member's opinion on another's contribution. With an idempotency key, a repeat is recorded once.

    A member's last opinion counts; the same one again changes nothing. A dispute opens a case, or joins the open one.
    `budget_spent`: the caller has already called `spend` for this opinion.
    Raises InvalidInput, LimitReached, NotFound, OwnContribution, NotActive, IdempotencyKeyReused.
    """
    member = actor.require_member(Scope.MATCH)
    reject(db.rules.opinion_faults(draft))
    if not budget_spent:
        spend(db, actor, [draft])
    await_hits(db, actor, contribution)
    with db.store.begin() as tx:
        tx.members.lock([member.id])
        now = db.now()
        if key is not None and (answer := tx.requests.answered(member.id, key, now)):
            id = answer["opinion"]
            assert isinstance(id, int)
            return tx.opinions.one(id)
        opinion = _record(tx, db.rules, actor, member, _lock(tx, actor, contribution, now), draft, now)
        if key is not None:
            tx.requests.remember([(member.id, key, {"opinion": opinion.id})], now)
    return opinion


def page(db: HashDB, actor: Actor, contribution: int, after: int, limit: int) -> tuple[Opinion, ...]:
    """At most `limit` opinions on a contribution with ids above `after`, including those that no longer count.

    Raises NotFound if the actor may not see the contribution.
    """
    actor.require_not_suspended()
    await_hits(db, actor, contribution)
    with db.store.read() as tx:
        item = tx.contributions.one(contribution, db.now())
        if not may_see(tx, actor, item):
            raise NotFound(f"contribution {contribution}")
        opinions = tx.opinions.page(contribution, after, limit)
    return tuple(visible_opinion(actor, opinion, item.member) for opinion in opinions)


def recount(db: HashDB, limit: int = 500) -> int:
    """Update the standings of at most `limit` contributions whose opinions changed with a suspension or its end.

    Returns how many were examined; call again while that is `limit`. After an interruption the next call resumes.
    """
    with db.store.read() as tx:
        if not tx.opinions.pending(1, lock=False):
            return 0
    with db.store.begin() as tx:
        now = db.now()
        contributions = tx.contributions.get(tx.opinions.pending(limit), now)
        tx.audit.append(now, SYSTEM, settle(tx, contributions.values()))
    return len(contributions)


def _lock(tx: Transaction, actor: Actor, id: int, now: datetime) -> Contribution:
    """The contribution, locked. Raises an error if the actor may not give an opinion on it."""
    contribution = tx.contributions.one(id, now, lock=True)
    if actor.is_member(contribution.member):
        raise OwnContribution(id)
    if not may_know(tx, actor, contribution):
        raise NotFound(f"contribution {id}")
    # An actor that may know of it learns that it is not active, although it may no longer see it.
    if contribution.status is not Status.ACTIVE:
        raise NotActive(id, contribution.status)
    if not may_see(tx, actor, contribution):
        raise NotFound(f"contribution {id}")
    return contribution


def _record(
    tx: Transaction, rules: Rules, actor: Actor, member: Member, item: Contribution, draft: OpinionDraft, now: datetime
) -> Opinion:
    """Record an opinion under the case that it opens, else under the open one; return it, or the same earlier one."""
    cases = tx.cases.on_contribution(item.id)
    opening = None
    if opens_case(draft.stance, cases):
        # A confirmation has no reason of its own.
        reason, due = draft.reason or Cause.CONTESTED, now + rules.time_to_decide
        opening = tx.cases.open(item.id, reason, now, due, opener=member.id)
    elif same := _same_opinion(tx, member, item, draft):
        return same
    case = opening or open_case_of(cases)
    if case is not None and case is not opening:
        # A case without an opener is in the pile of the first member that gives an opinion in it.
        tx.cases.set_opener(case.id, member.id)
    opinion = tx.opinions.add(item.id, member.id, draft, None if case is None else case.id, now)
    entries = [_entry(opinion), *([opened_entry(opening)] if opening else []), *settle(tx, [item], draft.reason)]
    tx.audit.append(now, actor, entries)
    return opinion


def _same_opinion(tx: Transaction, member: Member, item: Contribution, draft: OpinionDraft) -> Opinion | None:
    """The opinion of the member that counts now, if it equals the draft."""
    opinions = tx.opinions.current([item.id]).get(item.id, ())
    return next(
        (opinion for opinion in opinions if opinion.member == member.id and opinion.counts and opinion.equals(draft)),
        None,
    )


def _entry(opinion: Opinion) -> LogEntry:
    details: Details = {
        "contribution": opinion.contribution,
        "opinion": str(opinion.stance),
        "reason": opinion.reason,
        "case": opinion.case,
    }
    return LogEntry(Action.OPINION_GIVEN, "opinion", opinion.id, details)
