"""Cases: open and decide them, preview a decision, and give contributions the standing that follows."""

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
    Case,
    CaseSort,
    CaseState,
    Cause,
    Decision,
    Opinion,
    Stance,
    StandingChange,
    open_case_of,
    ruling,
    standing,
)
from hashdb.domain.review.proposals import Proposal, ProposedChange, TwoPersonAction
from hashdb.domain.review.shadows import FRAMES_PLACE, ShadowChoice, default_shadow
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.upstreams import combine_standings
from hashdb.errors import AlreadyDecided, AlreadyOpen, CaseTaken, Fault, NotActive, reject, reject_field
from hashdb.service import HashDB
from hashdb.service.contributions.sight import sees_members
from hashdb.service.review.claims import taken_by_others
from hashdb.service.review.notes import note_reason
from hashdb.service.review.proposals import require_second_person
from hashdb.service.review.twins import NearShadow, list_twins, search_near
from hashdb.store import Transaction
from hashdb.store.review.cases import Opening


def get(db: HashDB, actor: Actor, id: int) -> Case:
    """A case: with `review` or `audit` any, else one to which the actor's member is a party. Raises NotFound."""
    with db.read(actor) as tx:
        return _visible_case(actor, tx.cases.one(id, _party(actor)))


def page(db: HashDB, actor: Actor, state: CaseState | None, after: int, limit: int) -> tuple[Case, ...]:
    """At most `limit` cases with ids above `after` that the actor may see, oldest first."""
    with db.read(actor) as tx:
        return tuple(_visible_case(actor, case) for case in tx.cases.page(state, _party(actor), after, limit))


def list_on_contribution(db: HashDB, actor: Actor, contribution: int) -> tuple[Case, ...]:
    """The cases on a contribution, oldest first, without the opinions under them."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.cases.on_contribution(contribution)


def page_of_decided(
    db: HashDB, actor: Actor, sort: CaseSort, place: Place, limit: int, *, descending: bool = True
) -> Paged[Case]:
    """At most `limit` decided cases at a place of their order, with the total."""
    with db.read(actor, Scope.REVIEW, Scope.AUDIT) as tx:
        return tx.cases.decided(sort, place, limit, descending=descending)


def list_shadow_choices(db: HashDB, actor: Actor, id: int) -> tuple[ShadowChoice, ...]:
    """The signals of a case's contribution that can cast a shadow once it is retired; none if it is erased.

    Raises NotFound.
    """
    with db.read(actor, Scope.AUDIT) as tx:
        contribution = tx.contributions.one(tx.cases.one(id).contribution, db.now())
        placed = {} if contribution.erased else tx.shadows.signals_by_place([contribution.id])[contribution.id]
    usual_places = default_shadow(placed)
    return tuple(ShadowChoice(place, placed[place], place in usual_places) for place in sorted(placed))


def decide(
    db: HashDB,
    actor: Actor,
    id: int,
    decision: Decision,
    note: str | None = None,
    shadow_places: Collection[int] | None = None,
    *,
    unless_taken: bool = False,
) -> Case | Proposal:
    """Decide a case: the next match of any process follows the decision.

    For a retirement, `shadow_places` are the places of the signals that cast a shadow (None: `default_shadow`). If a
    retirement needs two persons, the first one's request returns a proposal, and the note of the second one is stored
    with the decision. The active contributions of the same member near the shadow are quarantined, each with a case.
    With `unless_taken`, a case that another reviewer has taken is refused: CaseTaken.
    Raises InvalidInput, NotFound, AlreadyDecided, IndexNotReady.
    """
    with db.read(actor, Scope.REVIEW) as tx:
        contribution = tx.cases.one(id).contribution
    near = search_shadow(db, contribution, decision, shadow_places)
    with db.store.begin() as tx:
        case = tx.cases.one(id)
        return decide_within(db, tx, actor, case, decision, note, shadow_places, near, unless_taken=unless_taken)


def decide_within(
    db: HashDB,
    tx: Transaction,
    actor: Actor,
    case: Case,
    decision: Decision,
    note: str | None,
    shadow_places: Collection[int] | None,
    near: NearShadow | None,
    *,
    unless_taken: bool,
) -> Case | Proposal:
    """Decide a case within a transaction, as `decide` does; `near` is what `search_shadow` returned before it began."""
    now, id = db.now(), case.id
    twin_ids = lock_with_twins(tx, case.member, case.contribution, near, now)
    contribution = tx.contributions.one(case.contribution, now)
    # Read again: now that its contribution is locked, nobody else decides it.
    case = tx.cases.one(id)
    if case.decision is not None:
        raise AlreadyDecided(id)
    if unless_taken and taken_by_others(tx, db.rules, actor, [id], now):
        raise CaseTaken(id)
    shadow = _shadow(tx, case.contribution, decision, shadow_places)
    if shadow is not None:
        # Cases and claims before the log, as where a case is taken, so that two transactions cannot deadlock.
        tx.claims.lock({contribution.id, *twin_ids})
        change = ProposedChange(TwoPersonAction.RETIRE, "case", id, {"decision": str(decision), **shadow.content})
        if proposal := require_second_person(db, tx, actor, change, now):
            note_reason(tx, actor, contribution, proposal, note, now)
            return proposal
    places = None if shadow is None else shadow.places
    # An erasure has already deleted the notes: one that is stored now would stay.
    tx.cases.decide(id, decision, None if contribution.erased else note, str(actor), now, places)
    entries = [decided_entry(case, decision, now, places), *settle(tx, [contribution], case.reason)]
    entries += _hold_twins(tx, db.rules, contribution.id, twin_ids, now)
    tx.audit.append(now, actor, entries)
    return _visible_case(actor, tx.cases.one(id))


def _hold_twins(tx: Transaction, rules: Rules, retired: int, twin_ids: Sequence[int], now: datetime) -> list[LogEntry]:
    """Quarantine the locked twins of a retired contribution that match; return the events."""
    twins = [twin for twin in tx.contributions.get(twin_ids, now).values() if twin.id != retired]
    matching = sorted((twin for twin in twins if twin.standing.matches), key=lambda twin: twin.id)
    near_details: dict[int, Details] = {twin.id: {"near": retired} for twin in matching}
    return hold(tx, rules, matching, Cause.NEAR_RETIRED, now, near_details)


def lock_with_twins(
    tx: Transaction, member: int, contribution: int, near: NearShadow | None, now: datetime
) -> tuple[int, ...]:
    """Lock the member, the contribution and its twins; return the twins' ids.

    Every transaction that locks a member and contributions locks the member first, so two of them cannot deadlock.
    """
    # From here on the member contributes nothing that `list_twins` would miss.
    tx.members.lock([member])
    twin_ids = () if near is None else list_twins(tx, near, member, now)
    tx.contributions.lock({contribution, *twin_ids})
    return twin_ids


def search_shadow(
    db: HashDB, contribution: int, decision: Decision, shadow_places: Collection[int] | None
) -> NearShadow | None:
    """The stored signals near the shadow that a retirement casts; None for another decision. Raises IndexNotReady."""
    with db.store.read() as tx:
        shadow = _shadow(tx, contribution, decision, shadow_places)
        if shadow is None:
            return None
        placed = tx.shadows.signals_by_place([contribution])[contribution]
        of_shots = tx.shadows.first_signals_of_shots([contribution]) if FRAMES_PLACE in shadow.places else {}
    own = [placed[place] for place in shadow.places if place != FRAMES_PLACE]
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
    if open_case_of(tx.cases.on_contribution(contribution)):
        raise AlreadyOpen(contribution)
    case = tx.cases.open(contribution, reason, now, now + db.rules.time_to_decide, holds=holds)
    tx.audit.append(now, actor, [opened_entry(case), *settle(tx, [item], reason)])
    return _visible_case(actor, case)


def hold(
    tx: Transaction,
    rules: Rules,
    contributions: Collection[Contribution],
    cause: Cause,
    now: datetime,
    more_details: Mapping[int, Details] = MappingProxyType({}),
) -> list[LogEntry]:
    """Quarantine locked contributions until a reviewer decides; return the events, which the caller appends.

    The service calls this for what it detects itself. `more_details` are further details of the events of changed
    standings, by contribution. A case that is already open holds the contribution from now on.
    """
    owners = {contribution.id: contribution.member for contribution in contributions}
    cases = tx.cases.by_contribution(owners)
    openings: list[Opening] = []
    entries: list[LogEntry] = []
    for id in owners:
        case = open_case_of(cases.get(id, ()))
        if case is None:
            # In the pile of the contributor, if it uploads again what was retired.
            opener = owners[id] if cause is Cause.NEAR_RETIRED else None
            openings.append(Opening(id, cause, now + rules.time_to_decide, holds=True, opener=opener))
        elif not case.holds:
            tx.cases.quarantine(case.id)
            entries.append(LogEntry(Action.CASE_HELD, "case", case.id, {"contribution": id, "reason": str(cause)}))
    return [*_open_each(tx, openings, now), *entries, *settle(tx, contributions, cause, more_details)]


def continue_cases(
    tx: Transaction, rules: Rules, contributions: Sequence[Contribution], before: Mapping[int, Case], now: datetime
) -> list[LogEntry]:
    """Open a case on each newly recorded contribution, which continues an earlier case; return the events.

    The caller appends the events. `before` has the earlier case by contribution. The new case has its reason, and holds
    the contribution if `holds` is set there; if the earlier case is still open, it also has its due time.
    """
    openings = []
    for contribution in contributions:
        case = before[contribution.id]
        due = case.due_at if case.state is CaseState.OPEN else now + rules.time_to_decide
        follows, opener = case.follows or case.id, contribution.member
        openings.append(Opening(contribution.id, case.reason, due, case.holds, follows=follows, opener=opener))
    reasons: dict[int, Details] = {opening.contribution_id: {"reason": opening.reason} for opening in openings}
    return [*_open_each(tx, openings, now), *settle(tx, contributions, more_details=reasons)]


def _open_each(tx: Transaction, openings: Sequence[Opening], now: datetime) -> list[LogEntry]:
    """Open cases; return their events."""
    ids = tx.cases.open_each(openings, now)
    return [_opened_entry(ids[opening.contribution_id], opening) for opening in openings]


def settle(
    tx: Transaction,
    contributions: Collection[Contribution],
    reason: str | None = None,
    more_details: Mapping[int, Details] = MappingProxyType({}),
) -> list[LogEntry]:
    """Give locked contributions the standing that follows from their opinions and cases now.

    Returns the events of changed standings, which the caller appends. Their details include `reason`, and
    `more_details` by contribution.
    """
    ids = [contribution.id for contribution in contributions]
    tx.opinions.mark_logged(ids)
    opinions, cases, upstream = tx.opinions.current(ids), tx.cases.by_contribution(ids), tx.origins.standings(ids)
    changed: dict[Standing, list[Contribution]] = defaultdict(list)
    for contribution in contributions:
        id = contribution.id
        after = _combined_standing(opinions.get(id, ()), cases.get(id, ()), upstream.get(id))
        if after is not contribution.standing:
            changed[after].append(contribution)
    for after, group in changed.items():
        tx.statuses.set_standing([contribution.id for contribution in group], after)
    return [
        _standing_entry(contribution, after, reason, more_details.get(contribution.id, {}))
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


def _visible_case(actor: Actor, case: Case) -> Case:
    """The case with the fields that the actor may see, as a party or as a reviewer."""
    opinions = tuple(visible_opinion(actor, opinion, case.member) for opinion in case.opinions)
    see_member = actor.is_member(case.member) or sees_members(actor)
    return replace(case, opinions=opinions).shown(decided_by=_party(actor) is None, member=see_member)


def visible_opinion(actor: Actor, opinion: Opinion, contributor: int) -> Opinion:
    """The opinion with the fields that the actor may see: its author, the contributor and reviewers see the note."""
    return opinion.shown(note=_party(actor) in (None, opinion.member, contributor))


def _party(actor: Actor) -> int | None:
    """The member as which the actor is a party to cases; None for an actor that sees all cases."""
    if actor.member is None or actor.has(Scope.REVIEW, Scope.AUDIT):
        return None
    return actor.member.id


class _Shadow(NamedTuple):
    """The signals of a contribution that cast a shadow."""

    places: tuple[int, ...]
    """Their places; `FRAMES_PLACE` stands for all frames."""
    content: Mapping[str, object]
    """What a proposal stores of them: nothing for the default shadow."""


def _shadow(
    tx: Transaction, contribution: int, decision: Decision, chosen_places: Collection[int] | None
) -> _Shadow | None:
    """The shadow that a retirement casts, by the chosen places (None: `default_shadow`); None for another decision.

    Raises InvalidInput, at the field `signals`.
    """
    if decision is not Decision.RETIRE:
        unused = chosen_places is None
        reject_field("signals", None if unused else "is only for the decision retire: leave it out for other decisions")
        return None
    placed = tx.shadows.signals_by_place([contribution])[contribution]
    reject(
        Fault(f"signals[{position}]", f"the contribution has no signal at place {place}; the first is at place 0")
        for position, place in enumerate(chosen_places or ())
        if place not in placed
    )
    usual_places = default_shadow(placed)
    places = usual_places if chosen_places is None else tuple(sorted(set(chosen_places)))
    return _Shadow(places, {} if places == usual_places else {"signals": list(places)})


def decided_entry(
    case: Case, decision: Decision, now: datetime, shadow_places: Sequence[int] | None = None
) -> LogEntry:
    """The event of a decision; for a retirement, `shadow_places` are the places of the signals that cast a shadow."""
    details: Details = {
        "contribution": case.contribution,
        "decision": str(decision),
        "reason": case.reason,
        "seconds_to_decide": int((now - case.opened_at).total_seconds()),
        "seconds_late": max(0, int((now - case.due_at).total_seconds())),
    }
    if shadow_places is not None:
        details = {**details, "shadow": list(map(str, shadow_places))}
    return LogEntry(Action.CASE_DECIDED, "case", case.id, details)


def _standing_entry(contribution: Contribution, after: Standing, reason: str | None, more_details: Details) -> LogEntry:
    details: Details = {"before": str(contribution.standing), "reason": reason, **more_details}
    return LogEntry(STANDING_EVENTS[after], "contribution", contribution.id, details)


def preview_decisions(db: HashDB, actor: Actor, id: int) -> dict[Decision, StandingChange]:
    """The standing that each decision on a case would give its contribution. Raises NotFound."""
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        case = tx.cases.one(id)
        before = tx.contributions.one(case.contribution, db.now()).standing
        return {decision: StandingChange(before, _standing_after(tx, case, decision)) for decision in Decision}


def _standing_after(tx: Transaction, case: Case, decision: Decision) -> Standing:
    """The standing that would follow from opinions and cases after a decision; disputes in the case count no more."""
    contribution = case.contribution
    cases = [
        replace(other, decision=decision) if other.id == case.id else other
        for other in tx.cases.on_contribution(contribution)
    ]
    opinions = [
        replace(opinion, counts=opinion.counts and not (opinion.stance is Stance.DISPUTES and opinion.case == case.id))
        for opinion in tx.opinions.current([contribution]).get(contribution, ())
    ]
    return _combined_standing(opinions, cases, tx.origins.standings([contribution]).get(contribution))


def _combined_standing(opinions: Sequence[Opinion], cases: Sequence[Case], upstream: Standing | None) -> Standing:
    """The standing by opinions and cases here and by `upstream`, its standing at the service that it came from."""
    own = standing(opinions, ruling(cases))
    return own if upstream is None else combine_standings(own, upstream, ruled=any(case.decision for case in cases))
