"""Cases: contributions before a reviewer: the queue, the decision, and what a decision would change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby
from types import MappingProxyType
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Standing, Status
from hashdb.domain.ledger.events import STANDING_EVENTS, Action, Details, Entry
from hashdb.domain.review.cases import (
    PILE,
    Case,
    CaseState,
    Cause,
    Decision,
    Impact,
    Opinion,
    Order,
    Queue,
    ShadowChoice,
    Stance,
    StandingChange,
    WaitingCase,
    ruling,
    standing,
    usual,
)
from hashdb.domain.review.incidents import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.rules import Rules
from hashdb.errors import AlreadyDecided, AlreadyOpen, Fault, InvalidInput, NotActive
from hashdb.service import HashDB
from hashdb.service.contributions.sight import shown as shown_contribution
from hashdb.service.contributions.sight import told_members
from hashdb.service.review.proposals import second
from hashdb.service.review.twins import Around, around, twins
from hashdb.store import Transaction
from hashdb.store.review.cases import Opening


def get(db: HashDB, actor: Actor, id: int) -> Case:
    """One case: any with `review` or `audit`, else one to which the actor's member is a party. Raises NotFound."""
    actor.require()
    with db.store.read() as tx:
        return visible_case(actor, tx.cases.one(id, _party(actor)))


def page(db: HashDB, actor: Actor, state: CaseState | None, after: int, limit: int) -> tuple[Case, ...]:
    """At most `limit` cases with ids above `after` that the actor may see, in the order of their opening."""
    actor.require()
    with db.store.read() as tx:
        return tuple(visible_case(actor, case) for case in tx.cases.page(state, _party(actor), after, limit))


def on(db: HashDB, actor: Actor, contribution: int) -> tuple[Case, ...]:
    """The cases on a contribution, in the order of their opening, without what was said under them."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        return tx.cases.of([contribution]).get(contribution, ())


def latest(db: HashDB, actor: Actor, before: int | None, limit: int) -> tuple[Case, ...]:
    """At most `limit` decided cases with ids below `before`, the last that was opened first."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        return tx.cases.latest(before, limit)


def choices(db: HashDB, actor: Actor, id: int) -> tuple[ShadowChoice, ...]:
    """The signals of a case's contribution that may hold others once it is retired; none once it is erased.

    Raises NotFound.
    """
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        found = tx.contributions.one(tx.cases.one(id).contribution, db.now())
        placed = {} if found.erased else tx.retired.placed([found.id])[found.id]
    standard = usual(placed)
    return tuple(ShadowChoice(place, placed[place], place in standard) for place in sorted(placed))


def decide(
    db: HashDB,
    actor: Actor,
    id: int,
    decision: Decision,
    note: str | None = None,
    signals: Collection[int] | None = None,
) -> Case | Proposal:
    """Rule on a contribution: the next match of any process follows it.

    To retire it, `signals` names the places of its signals that hold others from then on (`domain.shadows`; None: the
    usual ones). Retiring may take two persons: the first one's request makes a proposal, which is answered; the note is
    the second one's. What its member has active near to the shadow of what is retired is quarantined with it, each
    with a case. Raises InvalidInput, NotFound, AlreadyDecided, IndexNotReady.
    """
    actor.require(Scope.REVIEW)
    near = _around(db, id, decision, signals)
    with db.store.begin() as tx:
        now = db.now()
        case = tx.cases.one(id)
        # Nothing is contributed by it from here on; who contributes or disputes holds the member first, too.
        tx.members.lock(case.member)
        ids = () if near is None else twins(tx, near, case.member, now)
        tx.contributions.hold({case.contribution, *ids})
        found = tx.contributions.one(case.contribution, now)
        # Read again, now that nobody else decides on it.
        case = tx.cases.one(id)
        if case.decision is not None:
            raise AlreadyDecided(id)
        shadow = _shadow(tx, case, decision, signals)
        if shadow is not None:
            request = ProposedChange(TwoPersonAction.RETIRE, "case", id, {"decision": str(decision), **shadow.asked})
            if waits := second(db, tx, actor, request, now):
                return waits
        # Erasure is done, and would not come to a note of today.
        tx.cases.decide(id, decision, None if found.erased else note, str(actor), now, shadow and shadow.places)
        told = [decided(case, decision, now, shadow and shadow.places), *settle(tx, [found], case.reason)]
        near_it = tx.contributions.get(ids, now)
        held = [near_it[one] for one in ids if one != found.id and near_it[one].standing.matches]
        told += hold(tx, db.rules, held, Cause.NEAR_RETIRED, now, {one.id: {"near": found.id} for one in held})
        tx.audit.append(now, actor, told)
        return visible_case(actor, tx.cases.one(id))


def _around(db: HashDB, id: int, decision: Decision, signals: Collection[int] | None) -> Around | None:
    """What is stored near to the shadow that a retirement casts; None for another decision."""
    if decision is not Decision.RETIRE:
        return None
    with db.store.read() as tx:
        case = tx.cases.one(id)
        shadow = _shadow(tx, case, decision, signals)
        placed = tx.retired.placed([case.contribution])[case.contribution]
    return None if shadow is None else around(db, [placed[place] for place in shadow.places])


def bring(db: HashDB, actor: Actor, contribution: int, reason: str, *, holds: bool) -> Case:
    """Open a case on an active contribution, as a reviewer who doubts it; `holds` quarantines it until the decision.

    Raises InvalidInput, NotFound, NotActive, AlreadyOpen.
    """
    actor.require(Scope.REVIEW)
    if fault := db.rules.vocabulary.fault("reason", reason):
        raise InvalidInput((Fault("reason", fault),))
    with db.store.begin() as tx:
        now = db.now()
        found = tx.contributions.one(contribution, now, lock=True)
        if found.status is not Status.ACTIVE:
            raise NotActive(contribution, found.status)
        if any(case.state is CaseState.OPEN for case in tx.cases.of([contribution]).get(contribution, ())):
            raise AlreadyOpen(contribution)
        case = tx.cases.open(contribution, reason, now, now + db.rules.time_to_decide, holds=holds)
        tx.audit.append(now, actor, [opened(case), *settle(tx, [found], reason)])
        return visible_case(actor, case)


def hold(
    tx: Transaction,
    rules: Rules,
    found: Collection[Contribution],
    cause: Cause,
    now: datetime,
    figures: Mapping[int, Details] = MappingProxyType({}),
) -> list[Entry]:
    """Quarantine contributions, which are held, until a reviewer decides; return the events, for the caller to append.

    For what the service itself finds, with the figures of each that the event tells. A case that is open already
    holds the contribution from then on.
    """
    known = tx.cases.of([one.id for one in found])
    openings: list[Opening] = []
    entries: list[Entry] = []
    for one in found:
        case = next((case for case in known.get(one.id, ()) if case.state is CaseState.OPEN), None)
        if case is None:
            openings.append(Opening(one.id, cause, now + rules.time_to_decide, holds=True))
        elif not case.holds:
            tx.cases.hold(case.id)
            entries.append(Entry(Action.CASE_HELD, "case", case.id, {"contribution": one.id, "reason": str(cause)}))
    return [*_open_each(tx, openings, now), *entries, *settle(tx, found, cause, figures)]


def follow(
    tx: Transaction, rules: Rules, found: Sequence[Contribution], before: Mapping[int, Case], now: datetime
) -> list[Entry]:
    """Continue cases on contributions that were recorded now, and return the events, for the caller to append.

    `before` is the case that each continues, with whether it holds. The clock of an open one goes on.
    """
    openings = []
    for one in found:
        case = before[one.id]
        due = case.due_at if case.state is CaseState.OPEN else now + rules.time_to_decide
        openings.append(Opening(one.id, case.reason, due, case.holds, case.follows or case.id))
    reasons: dict[int, Details] = {one.id: {"reason": before[one.id].reason} for one in found}
    return [*_open_each(tx, openings, now), *settle(tx, found, figures=reasons)]


def _open_each(tx: Transaction, openings: Sequence[Opening], now: datetime) -> list[Entry]:
    ids = tx.cases.open_each(openings, now)
    return [_opened(ids[one.contribution_id], one) for one in openings]


def settle(
    tx: Transaction,
    found: Collection[Contribution],
    reason: str | None = None,
    figures: Mapping[int, Details] = MappingProxyType({}),
) -> list[Entry]:
    """Give contributions, which are held, the standing that opinions and cases now add up to.

    Returns the events of those where it is another one, for the caller to append; `reason` and `figures` (by the
    contribution) are what led to it.
    """
    ids = [one.id for one in found]
    tx.opinions.tell(ids)
    opinions, cases = tx.opinions.of(ids), tx.cases.of(ids)
    changed: dict[Standing, list[Contribution]] = defaultdict(list)
    for one in found:
        now = standing(opinions.get(one.id, ()), ruling(cases.get(one.id, ())))
        if now is not one.standing:
            changed[now].append(one)
    for now, those in changed.items():
        tx.statuses.judge([one.id for one in those], now)
    return [_judged(one, now, reason, figures.get(one.id, {})) for now, those in changed.items() for one in those]


def opened(case: Case) -> Entry:
    """The event of a case that was opened."""
    return _opened(case.id, Opening(case.contribution, case.reason, case.due_at, case.holds, case.follows))


def _opened(id: int, opening: Opening) -> Entry:
    details: Details = {
        "contribution": opening.contribution_id,
        "reason": opening.reason,
        "holds": "yes" if opening.holds else "no",
    }
    if opening.follows is not None:
        details = {**details, "follows": opening.follows}
    return Entry(Action.CASE_OPENED, "case", id, details)


def visible_case(actor: Actor, case: Case) -> Case:
    """As much of a case as a party to it, or a reviewer, may see."""
    opinions = tuple(visible_opinion(actor, opinion, case.member) for opinion in case.opinions)
    own = actor.member is not None and actor.member.id == case.member
    told = own or told_members(actor)
    return replace(case, opinions=opinions).shown(decided_by=_party(actor) is None, member=told)


def visible_opinion(actor: Actor, opinion: Opinion, contributor: int) -> Opinion:
    """As much of an opinion as the actor may see: a note is for its author, the contributor and who reviews."""
    return opinion.shown(note=_party(actor) in (None, opinion.member, contributor))


def _party(actor: Actor) -> int | None:
    """The member as a party to which the actor sees; None for one that sees all."""
    if actor.member is None or actor.has(Scope.REVIEW) or actor.has(Scope.AUDIT):
        return None
    return actor.member.id


class _Shadow(NamedTuple):
    """The places that cast a shadow, and what of them a second person has to ask for, too."""

    places: tuple[int, ...]
    asked: Mapping[str, object]


def _shadow(tx: Transaction, case: Case, decision: Decision, signals: Collection[int] | None) -> _Shadow | None:
    """None where it is not retired."""
    if decision is not Decision.RETIRE:
        if signals is not None:
            raise InvalidInput((Fault("signals", "is for the decision retire: leave it out with any other"),))
        return None
    placed = tx.retired.placed([case.contribution])[case.contribution]
    faults = tuple(
        Fault(f"signals[{position}]", f"the contribution has no signal at place {place}; the first is at place 0")
        for position, place in enumerate(signals or ())
        if place not in placed
    )
    if faults:
        raise InvalidInput(faults)
    standard = usual(placed)
    places = standard if signals is None else tuple(sorted(set(signals)))
    return _Shadow(places, {} if places == standard else {"signals": list(places)})


def decided(case: Case, decision: Decision, now: datetime, shadow: Sequence[int] | None = None) -> Entry:
    """The event of a decision; `shadow` are the places that cast one, where it is to retire."""
    details: Details = {
        "contribution": case.contribution,
        "decision": str(decision),
        "reason": case.reason,
        "seconds_to_decide": int((now - case.opened_at).total_seconds()),
        "seconds_late": max(0, int((now - case.due_at).total_seconds())),
    }
    if shadow is not None:
        details = {**details, "shadow": list(map(str, shadow))}
    return Entry(Action.CASE_DECIDED, "case", case.id, details)


def _judged(contribution: Contribution, now: Standing, reason: str | None, figures: Details) -> Entry:
    details: Details = {"before": str(contribution.standing), "reason": reason, **figures}
    return Entry(STANDING_EVENTS[now], "contribution", contribution.id, details)


LATELY = timedelta(days=90)
_READ_LATELY = timedelta(days=30)
_MATCHING = tuple(one for one in Standing if one.matches)


def impact(db: HashDB, actor: Actor, contribution: int) -> Impact:
    """What ends when a contribution matches no longer. Raises NotFound."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    with db.store.read() as tx:
        now = db.now()
        found = tx.contributions.one(contribution, now)
        holders = tx.matches.holders(found.signals, now, _MATCHING, 1_000)
        members, times = tx.hits.answered_since(contribution, (now - LATELY).date())
        return Impact(
            matches=found.status is Status.ACTIVE and found.standing.matches,
            members=members,
            times=times,
            equal=len({one.contribution for one in holders} - {contribution}),
            readers=tx.uses.readers_since((now - _READ_LATELY).date()),
        )


def outcomes(db: HashDB, actor: Actor, case: int) -> dict[Decision, StandingChange]:
    """What each decision on a case would make of its contribution. Raises NotFound."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    with db.store.read() as tx:
        asked = tx.cases.one(case)
        before = tx.contributions.one(asked.contribution, db.now()).standing
        return {decision: StandingChange(before, _after(tx, asked, decision)) for decision in Decision}


def _after(tx: Transaction, asked: Case, decision: Decision) -> Standing:
    """The standing that opinions and cases would add up to."""
    on = asked.contribution
    cases = [replace(one, decision=decision) if one.id == asked.id else one for one in tx.cases.of([on]).get(on, ())]
    opinions = [
        replace(one, counts=one.counts and not (one.stance is Stance.DISPUTES and one.case == asked.id))
        for one in tx.opinions.of([on]).get(on, ())
    ]
    return standing(opinions, ruling(cases))


LONGEST_QUEUE = 1_000
"""Cases that a queue has at most: more wait until these are decided."""


def queue(db: HashDB, actor: Actor, order: Order, pile: int | None = None) -> Queue:
    """The open cases with what they are about, those of members with many in piles; or those of a member's pile."""
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        piles = tx.cases.piles(PILE) if pile is None else ()
        found = tx.cases.queue(order, LONGEST_QUEUE, of=pile, without=[one.member for one in piles])
        about = tx.contributions.get([case.contribution for case in found], db.now())
    return Queue(tuple(WaitingCase(case, shown_contribution(actor, about[case.contribution])) for case in found), piles)


def beside(db: HashDB, actor: Actor, order: Order, case: int, pile: int | None = None) -> tuple[int | None, int | None]:
    """The cases before and after one; where it is in the queue no longer, the first is the next.

    Of a pile, the last leads to the queue.
    """
    actor.require(Scope.REVIEW, Scope.AUDIT)
    with db.store.read() as tx:
        ids = _ids(tx, order, pile)
    if case not in ids:
        return None, ids[0] if ids else None
    place = ids.index(case)
    return ids[place - 1] if place else None, ids[place + 1] if place + 1 < len(ids) else None


def uphold_pile(db: HashDB, actor: Actor, pile: int, upto: int, note: str) -> int:
    """Uphold what is in a member's pile, with one reason: how many cases, at most `LONGEST_QUEUE`.

    Those with ids above `upto` are left out: the reviewer has not seen them.
    """
    actor.require(Scope.REVIEW)
    with db.store.begin() as tx:
        now = db.now()
        held = {one.contribution for one in tx.cases.queue(Order.CLOCK, LONGEST_QUEUE, of=pile) if one.id <= upto}
        tx.contributions.hold(held)
        # Read again, now that nobody else decides on them.
        asked = tx.cases.queue(Order.CLOCK, LONGEST_QUEUE, of=pile)
        found = [one for one in asked if one.id <= upto and one.contribution in held]
        about = tx.contributions.get([one.contribution for one in found], now)
        told = []
        for one in found:
            kept = None if about[one.contribution].erased else note
            tx.cases.decide(one.id, Decision.UPHOLD, kept, str(actor), now)
            told.append(decided(one, Decision.UPHOLD, now))
        for reason, group in groupby(sorted(found, key=lambda one: one.reason), key=lambda one: one.reason):
            told += settle(tx, [about[one.contribution] for one in group], reason)
        tx.audit.append(now, actor, told)
    return len(found)


def _ids(tx: Transaction, order: Order, pile: int | None) -> list[int]:
    without = [one.member for one in tx.cases.piles(PILE)] if pile is None else []
    return [one.id for one in tx.cases.queue(order, LONGEST_QUEUE, of=pile, without=without)]
