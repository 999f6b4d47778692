"""Opinions: give them, show them; and count them anew when members are suspended and reinstated."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from hashdb.domain.accounts.budgets import Budget, Cost
from hashdb.domain.accounts.members import SYSTEM, Actor, Member, Scope
from hashdb.domain.contributions import Contribution, IdempotencyKey, Status
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.review.cases import CaseState, Cause, Opinion, OpinionDraft, Stance, opens_case
from hashdb.domain.rules import Rules
from hashdb.errors import InvalidInput, NotActive, NotFound, OwnContribution
from hashdb.service import HashDB
from hashdb.service.contributions.contributions import REMEMBERED
from hashdb.service.contributions.sight import await_hits, knows, owns, visible
from hashdb.service.review.cases import opened, settle, visible_opinion
from hashdb.store import Transaction


def spend(db: HashDB, actor: Actor, drafts: Sequence[OpinionDraft]) -> None:
    """Count opinions that a request gives, all of them or none. Raises LimitReached."""
    disputes = sum(draft.stance is Stance.DISPUTES for draft in drafts)
    cost: Cost = ((Budget.OPINIONS, len(drafts)),)
    db.budgets.spend(actor, (*cost, (Budget.DISPUTES, disputes)) if disputes else cost, db.now())


def give(
    db: HashDB,
    actor: Actor,
    contribution: int,
    draft: OpinionDraft,
    once: IdempotencyKey | None = None,
    *,
    counted: bool = False,
) -> Opinion:
    """Record what a member thinks of another's contribution; with `once`, the same request is recorded once.

    `counted` says that `spend` has counted it. Its last opinion counts; the same one again changes nothing.
    A dispute opens a case, or joins the one that is open.
    Raises InvalidInput, LimitReached, NotFound, OwnContribution, NotActive, IdempotencyKeyReused.
    """
    member = actor.require_member(Scope.MATCH)
    if faults := tuple(db.rules.opinion_faults(draft)):
        raise InvalidInput(faults)
    if not counted:
        spend(db, actor, [draft])
    await_hits(db, actor, contribution)
    with db.store.begin() as tx:
        tx.members.lock(member.id)
        now = db.now()
        if once is not None and (answer := tx.requests.answered(member.id, once, now - REMEMBERED)):
            return _answered(tx, answer["opinion"])
        found = _open_to(tx, actor, contribution, now)
        given = _recorded(tx, db.rules, actor, member, found, draft, now)
        if once is not None:
            tx.requests.remember(member.id, once, {"opinion": given.id}, now, now - REMEMBERED)
    return given


def page(db: HashDB, actor: Actor, contribution: int, after: int, limit: int) -> tuple[Opinion, ...]:
    """At most `limit` opinions on a contribution with ids above `after`, those that count no more with them.

    Raises NotFound where the actor may not see the contribution.
    """
    actor.require()
    await_hits(db, actor, contribution)
    with db.store.read() as tx:
        found = tx.contributions.one(contribution, db.now())
        if not visible(tx, actor, found):
            raise NotFound(f"contribution {contribution}")
        listed = tx.opinions.page(contribution, after, limit)
    return tuple(visible_opinion(actor, opinion, found.member) for opinion in listed)


def recount(db: HashDB, limit: int = 500) -> int:
    """Tell the log of the standings of at most `limit` contributions, after members were suspended or reinstated.

    Returns how many were looked at; call again while that is `limit`. Interrupted, it goes on where it was.
    """
    with db.store.read() as tx:
        if not tx.opinions.pending(1, hold=False):
            return 0
    with db.store.begin() as tx:
        now = db.now()
        found = tx.contributions.get(tx.opinions.pending(limit), now)
        tx.audit.append(now, SYSTEM, settle(tx, found.values()))
    return len(found)


def _open_to(tx: Transaction, actor: Actor, id: int, now: datetime) -> Contribution:
    """The contribution, held, if the actor may give an opinion on it."""
    found = tx.contributions.one(id, now, lock=True)
    if owns(actor, found):
        raise OwnContribution(id)
    if not knows(tx, actor, found):
        raise NotFound(f"contribution {id}")
    if found.status is not Status.ACTIVE:
        raise NotActive(id, found.status)
    if not visible(tx, actor, found):
        raise NotFound(f"contribution {id}")
    return found


def _recorded(
    tx: Transaction, rules: Rules, actor: Actor, member: Member, found: Contribution, draft: OpinionDraft, now: datetime
) -> Opinion:
    """What is recorded of an opinion, under the case that it opens, else under the one that is open."""
    cases = tx.cases.of([found.id]).get(found.id, ())
    opening = None
    if opens_case(draft.stance, cases):
        opening = tx.cases.open(found.id, draft.reason or Cause.CONTESTED, now, now + rules.time_to_decide)
    elif already := _said_already(tx, member, found, draft):
        return already
    under = opening or next((case for case in cases if case.state is CaseState.OPEN), None)
    given = tx.opinions.add(found.id, member.id, draft, None if under is None else under.id, now)
    told = [_given(given), *([opened(opening)] if opening else []), *settle(tx, [found], draft.reason)]
    tx.audit.append(now, actor, told)
    return given


def _said_already(tx: Transaction, member: Member, found: Contribution, draft: OpinionDraft) -> Opinion | None:
    """The same opinion of that member, if it counts."""
    said = tx.opinions.of([found.id]).get(found.id, ())
    return next((one for one in said if one.member == member.id and one.counts and one.says(draft)), None)


def _answered(tx: Transaction, id: object) -> Opinion:
    assert isinstance(id, int)
    return tx.opinions.one(id)


def _given(opinion: Opinion) -> Entry:
    details: Details = {
        "contribution": opinion.contribution,
        "opinion": str(opinion.stance),
        "reason": opinion.reason,
        "case": opinion.case,
    }
    return Entry(Action.OPINION_GIVEN, "opinion", opinion.id, details)
