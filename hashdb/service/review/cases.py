"""Cases: the decision on a contribution, and the preview of what a decision changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Standing, Status
from hashdb.domain.ledger.events import STANDING_EVENTS, Action, Details, LogEntry
from hashdb.domain.listings import Paged, Place
from hashdb.domain.review.cases import (
    OF_FRAMES,
    Case,
    CaseSort,
    CaseState,
    Cause,
    Decision,
    Opinion,
    ShadowChoice,
    Stance,
    StandingChange,
    default_shadow,
    ruling,
    standing,
)
from hashdb.domain.review.incidents import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.upstreams import combine_standings
from hashdb.errors import AlreadyDecided, AlreadyOpen, Fault, NotActive, reject, reject_field
from hashdb.service import HashDB
from hashdb.service.contributions.sight import sees_members
from hashdb.service.review.claims import require_free
from hashdb.service.review.notes import note_reason
from hashdb.service.review.proposals import require_second_person
from hashdb.service.review.twins import NearShadow, list_twins, search_near
from hashdb.store import Transaction
from hashdb.store.review.cases import Opening


def get(db: HashDB, actor: Actor, id: int) -> Case:
    """A case: with `review` or `audit` any, else one to which the actor's member is a party. Raises NotFound."""
    with db.read(actor) as tx:
        return visible_case(actor, tx.cases.one(id, _party(actor)))


def page(db: HashDB, actor: Actor, state: CaseState | None, after: int, limit: int) -> tuple[Case, ...]:
    """At most `limit` cases with ids above `after` that the actor may see, oldest first."""
    with db.read(actor) as tx:
        return tuple(visible_case(actor, case) for case in tx.cases.page(state, _party(actor), after, limit))


def list_on_contribution(db: HashDB, actor: Actor, contribution: int) -> tuple[Case, ...]:
    """The cases on a contribution, oldest first, without the opinions under them."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.cases.by_contribution([contribution]).get(contribution, ())


def decided(
    db: HashDB, actor: Actor, sort: CaseSort, place: Place, limit: int, *, descending: bool = True
) -> Paged[Case]:
    """A page of the decided cases in an order, with the total."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.cases.decided(sort, place, limit, descending=descending)


def list_shadow_choices(db: HashDB, actor: Actor, id: int) -> tuple[ShadowChoice, ...]:
    """The signals of a case's contribution that can cast a shadow once it is retired; none if it is erased.

    Raises NotFound.
    """
    with db.read(actor, Scope.AUDIT) as tx:
        contribution = tx.contributions.one(tx.cases.one(id).contribution, db.now())
        placed = {} if contribution.erased else tx.shadows.signals_by_place([contribution.id])[contribution.id]
    standard = default_shadow(placed)
    return tuple(ShadowChoice(place, placed[place], place in standard) for place in sorted(placed))


def decide(
    db: HashDB,
    actor: Actor,
    id: int,
    decision: Decision,
    note: str | None = None,
    signals: Collection[int] | None = None,
    *,
    unless_taken: bool = False,
) -> Case | Proposal:
    """Decide a case: the next match of any process follows the decision.

    For a retirement, `signals` names the places of the signals that cast a shadow (None: the usual ones). If retiring
    takes two persons, the first one's request returns a proposal, and the second one's note is kept. What the same
    member has active near the shadow is quarantined with it, each with a case. With `unless_taken`, a case that another
    reviewer has taken is refused: CaseTaken. Raises InvalidInput, NotFound, AlreadyDecided, IndexNotReady.
    """
    with db.read(actor, Scope.REVIEW) as tx:
        contribution = tx.cases.one(id).contribution
    near = search_shadow(db, contribution, decision, signals)
    with db.store.begin() as tx:
        return decide_within(db, tx, actor, tx.cases.one(id), decision, note, signals, near, unless_taken=unless_taken)


def decide_within(
    db: HashDB,
    tx: Transaction,
    actor: Actor,
    case: Case,
    decision: Decision,
    note: str | None,
    signals: Collection[int] | None = None,
    near: NearShadow | None = None,
    *,
    unless_taken: bool = False,
) -> Case | Proposal:
    """Decide a case within a transaction, as `decide` does; `near` is what `search_shadow` returned before it."""
    now, id = db.now(), case.id
    ids = lock_with_twins(tx, case.member, case.contribution, near, now)
    contribution = tx.contributions.one(case.contribution, now)
    # Read again: now that it is locked, nobody else decides on it.
    case = tx.cases.one(id)
    if case.decision is not None:
        raise AlreadyDecided(id)
    if unless_taken:
        require_free(tx, db.rules, actor, id, now)
    shadow = _shadow(tx, case.contribution, decision, signals)
    if shadow is not None:
        change = ProposedChange(TwoPersonAction.RETIRE, "case", id, {"decision": str(decision), **shadow.content})
        if proposal := require_second_person(db, tx, actor, change, now):
            note_reason(tx, actor, contribution, proposal, note, now)
            return proposal
    # An erasure that is done would not remove a note of today.
    tx.cases.decide(id, decision, None if contribution.erased else note, str(actor), now, shadow and shadow.places)
    entries = [decided_entry(case, decision, now, shadow and shadow.places), *settle(tx, [contribution], case.reason)]
    candidates = [twin for twin in tx.contributions.get(ids, now).values() if twin.id != contribution.id]
    matching = sorted((twin for twin in candidates if twin.standing.matches), key=lambda twin: twin.id)
    figures: dict[int, Details] = {twin.id: {"near": contribution.id} for twin in matching}
    entries += hold(tx, db.rules, matching, Cause.NEAR_RETIRED, now, figures)
    tx.audit.append(now, actor, entries)
    return visible_case(actor, tx.cases.one(id))


def lock_with_twins(
    tx: Transaction, member: int, contribution: int, near: NearShadow | None, now: datetime
) -> tuple[int, ...]:
    """Lock a contribution, its member and its twins, in the order in which everybody does; return the twins' ids."""
    # The member contributes nothing from here on: contributions and disputes lock the member first, too.
    tx.members.lock([member])
    ids = () if near is None else list_twins(tx, near, member, now)
    tx.contributions.lock({contribution, *ids})
    return ids


def search_shadow(
    db: HashDB, contribution: int, decision: Decision, signals: Collection[int] | None = None
) -> NearShadow | None:
    """What is stored near the shadow that a retirement casts; None for another decision. Raises IndexNotReady."""
    with db.store.read() as tx:
        shadow = _shadow(tx, contribution, decision, signals)
        if shadow is None:
            return None
        placed = tx.shadows.signals_by_place([contribution])[contribution]
        of_shots = tx.shadows.first_signals_of_shots([contribution]) if OF_FRAMES in shadow.places else {}
    own = [placed[place] for place in shadow.places if place != OF_FRAMES]
    return search_near(db, own, of_shots.get(contribution, {}).values())


def open_case(db: HashDB, actor: Actor, contribution: int, reason: str, *, holds: bool) -> Case:
    """Open a case on an active contribution at a reviewer's request; `holds` quarantines it until the decision.

    Raises InvalidInput, NotFound, NotActive, AlreadyOpen.
    """
    actor.require(Scope.REVIEW)
    reject_field("reason", db.rules.vocabulary.fault("reason", reason))
    with db.store.begin() as tx:
        return open_within(db, tx, actor, contribution, reason, holds=holds)


def open_within(db: HashDB, tx: Transaction, actor: Actor, contribution: int, reason: str, *, holds: bool) -> Case:
    """Open a case within a transaction, as `open_case` does. Raises NotFound, NotActive, AlreadyOpen."""
    now = db.now()
    item = tx.contributions.one(contribution, now, lock=True)
    if item.status is not Status.ACTIVE:
        raise NotActive(contribution, item.status)
    if any(case.state is CaseState.OPEN for case in tx.cases.by_contribution([contribution]).get(contribution, ())):
        raise AlreadyOpen(contribution)
    case = tx.cases.open(contribution, reason, now, now + db.rules.time_to_decide, holds=holds)
    tx.audit.append(now, actor, [opened_entry(case), *settle(tx, [item], reason)])
    return visible_case(actor, case)


def hold(
    tx: Transaction,
    rules: Rules,
    contributions: Collection[Contribution],
    cause: Cause,
    now: datetime,
    figures: Mapping[int, Details] = MappingProxyType({}),
) -> list[LogEntry]:
    """Quarantine locked contributions until a reviewer decides; return the events, which the caller appends.

    The service calls this for what it detects itself; `figures` has further details of the event, by contribution. A
    case that is already open holds the contribution from now on.
    """
    owners = {contribution.id: contribution.member for contribution in contributions}
    cases = tx.cases.by_contribution(owners)
    openings: list[Opening] = []
    entries: list[LogEntry] = []
    for id in owners:
        case = next((case for case in cases.get(id, ()) if case.state is CaseState.OPEN), None)
        if case is None:
            # In the pile of the contributor, if it uploads again what was retired.
            opener = owners[id] if cause is Cause.NEAR_RETIRED else None
            openings.append(Opening(id, cause, now + rules.time_to_decide, holds=True, opener=opener))
        elif not case.holds:
            tx.cases.quarantine(case.id)
            entries.append(LogEntry(Action.CASE_HELD, "case", case.id, {"contribution": id, "reason": str(cause)}))
    return [*_open_each(tx, openings, now), *entries, *settle(tx, contributions, cause, figures)]


def continue_cases(
    tx: Transaction, rules: Rules, contributions: Sequence[Contribution], before: Mapping[int, Case], now: datetime
) -> list[LogEntry]:
    """Continue cases on newly recorded contributions; return the events, which the caller appends.

    `before` has the case that each contribution continues; its `holds` is that of the new case. If it is open, its due
    time stays.
    """
    openings = []
    for contribution in contributions:
        case = before[contribution.id]
        due = case.due_at if case.state is CaseState.OPEN else now + rules.time_to_decide
        follows, opener = case.follows or case.id, contribution.member
        openings.append(Opening(contribution.id, case.reason, due, case.holds, follows=follows, opener=opener))
    reasons: dict[int, Details] = {opening.contribution_id: {"reason": opening.reason} for opening in openings}
    return [*_open_each(tx, openings, now), *settle(tx, contributions, figures=reasons)]


def _open_each(tx: Transaction, openings: Sequence[Opening], now: datetime) -> list[LogEntry]:
    """Open cases; return their events."""
    ids = tx.cases.open_each(openings, now)
    return [_opened_entry(ids[opening.contribution_id], opening) for opening in openings]


def settle(
    tx: Transaction,
    contributions: Collection[Contribution],
    reason: str | None = None,
    figures: Mapping[int, Details] = MappingProxyType({}),
) -> list[LogEntry]:
    """Give locked contributions the standing that opinions and cases now add up to.

    Returns the events of changed standings, which the caller appends. `reason` and `figures` (by contribution) go into
    their details.
    """
    ids = [contribution.id for contribution in contributions]
    tx.opinions.mark_logged(ids)
    opinions, cases, upstream = tx.opinions.current(ids), tx.cases.by_contribution(ids), tx.origins.standings(ids)
    changed: dict[Standing, list[Contribution]] = defaultdict(list)
    for contribution in contributions:
        id = contribution.id
        after = _add_up(opinions.get(id, ()), cases.get(id, ()), upstream.get(id))
        if after is not contribution.standing:
            changed[after].append(contribution)
    for after, group in changed.items():
        tx.statuses.set_standing([contribution.id for contribution in group], after)
    return [
        _standing_entry(contribution, after, reason, figures.get(contribution.id, {}))
        for after, group in changed.items()
        for contribution in group
    ]


def opened_entry(case: Case) -> LogEntry:
    """The event of a case that was opened."""
    return _opened_entry(case.id, Opening(case.contribution, case.reason, case.due_at, case.holds, case.follows))


def _opened_entry(id: int, opening: Opening) -> LogEntry:
    details: Details = {
        "contribution": opening.contribution_id,
        "reason": opening.reason,
        "holds": "yes" if opening.holds else "no",
    }
    if opening.follows is not None:
        details = {**details, "follows": opening.follows}
    return LogEntry(Action.CASE_OPENED, "case", id, details)


def visible_case(actor: Actor, case: Case) -> Case:
    """The case with the fields that the actor, a party or a reviewer, may see."""
    opinions = tuple(visible_opinion(actor, opinion, case.member) for opinion in case.opinions)
    see_member = actor.is_member(case.member) or sees_members(actor)
    return replace(case, opinions=opinions).shown(decided_by=_party(actor) is None, member=see_member)


def visible_opinion(actor: Actor, opinion: Opinion, contributor: int) -> Opinion:
    """The opinion with the fields that the actor may see: its author, the contributor and reviewers see the note."""
    return opinion.shown(note=_party(actor) in (None, opinion.member, contributor))


def _party(actor: Actor) -> int | None:
    """The member as which the actor is a party to cases; None for an actor that sees all cases."""
    if actor.member is None or actor.has(Scope.REVIEW) or actor.has(Scope.AUDIT):
        return None
    return actor.member.id


class _Shadow(NamedTuple):
    """The places of the signals that cast a shadow (`OF_FRAMES`: all frames), and that part of a proposal's content."""

    places: tuple[int, ...]
    content: Mapping[str, object]


def _shadow(tx: Transaction, contribution: int, decision: Decision, signals: Collection[int] | None) -> _Shadow | None:
    """The shadow that a retirement casts; None for another decision. Raises InvalidInput."""
    if decision is not Decision.RETIRE:
        reject_field("signals", None if signals is None else "is for the decision retire: leave it out with any other")
        return None
    placed = tx.shadows.signals_by_place([contribution])[contribution]
    reject(
        Fault(f"signals[{position}]", f"the contribution has no signal at place {place}; the first is at place 0")
        for position, place in enumerate(signals or ())
        if place not in placed
    )
    standard = default_shadow(placed)
    places = standard if signals is None else tuple(sorted(set(signals)))
    return _Shadow(places, {} if places == standard else {"signals": list(places)})


def decided_entry(case: Case, decision: Decision, now: datetime, shadow: Sequence[int] | None = None) -> LogEntry:
    """The event of a decision; a retirement has in `shadow` the places of the signals that cast one."""
    details: Details = {
        "contribution": case.contribution,
        "decision": str(decision),
        "reason": case.reason,
        "seconds_to_decide": int((now - case.opened_at).total_seconds()),
        "seconds_late": max(0, int((now - case.due_at).total_seconds())),
    }
    if shadow is not None:
        details = {**details, "shadow": list(map(str, shadow))}
    return LogEntry(Action.CASE_DECIDED, "case", case.id, details)


def _standing_entry(contribution: Contribution, after: Standing, reason: str | None, figures: Details) -> LogEntry:
    details: Details = {"before": str(contribution.standing), "reason": reason, **figures}
    return LogEntry(STANDING_EVENTS[after], "contribution", contribution.id, details)


def preview_decisions(db: HashDB, actor: Actor, id: int) -> dict[Decision, StandingChange]:
    """The standing that each decision on a case would give its contribution. Raises NotFound."""
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        case = tx.cases.one(id)
        before = tx.contributions.one(case.contribution, db.now()).standing
        return {decision: StandingChange(before, _standing_after(tx, case, decision)) for decision in Decision}


def _standing_after(tx: Transaction, case: Case, decision: Decision) -> Standing:
    """The standing that opinions and cases would add up to after a decision, which settles the disputes in the case."""
    contribution = case.contribution
    cases = [
        replace(other, decision=decision) if other.id == case.id else other
        for other in tx.cases.by_contribution([contribution]).get(contribution, ())
    ]
    opinions = [
        replace(opinion, counts=opinion.counts and not (opinion.stance is Stance.DISPUTES and opinion.case == case.id))
        for opinion in tx.opinions.current([contribution]).get(contribution, ())
    ]
    return _add_up(opinions, cases, tx.origins.standings([contribution]).get(contribution))


def _add_up(opinions: Sequence[Opinion], cases: Sequence[Case], upstream: Standing | None) -> Standing:
    """The standing by opinions and cases here, and by the standing at the upstream it came from, if it did."""
    own = standing(opinions, ruling(cases))
    return own if upstream is None else combine_standings(own, upstream, ruled=any(case.decision for case in cases))
