"""Examination: what a batch would change at an item now, or why it would change nothing.

The preview of a batch and the batch itself examine items by the same code.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Amendment, Contribution, Status
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.bulk import Batch, BatchAction, BatchItem, ItemOutcome, RowKind, Skip
from hashdb.domain.review.cases import Case, CaseState, Decision, open_case_of
from hashdb.domain.review.proposals import REVIEWER_ACTIONS, ProposedChange, TwoPersonAction
from hashdb.domain.signals import PERCEPTUAL
from hashdb.domain.times import format_instant, parse_instant
from hashdb.service import HashDB
from hashdb.service.matching import benign
from hashdb.service.review.claims import taken_by_others
from hashdb.service.review.proposals import person_of
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.review.incidents import PendingProposal

FindSame = Callable[[ProposedChange], PendingProposal | None]
"""Finds the pending proposal with the same request, if there is one."""


@dataclass(frozen=True, slots=True)
class Examined:
    """What the action of a batch would change at an item. Only the fields that the action needs are set."""

    skip: Skip | None = None
    """Why nothing changes; None if something does."""
    contribution: Contribution | None = None
    case: Case | None = None
    """The open case on the contribution; for the undo of a hold, the case that the hold used."""
    pending: PendingProposal | None = None
    """The proposal to confirm or to drop."""
    draft: BenignDraft | None = None
    """The benign entry to add."""
    amendment: Amendment | None = None
    """The expiry to set."""
    benign_entry_id: int | None = None
    """The benign entry that an undo deletes."""
    undoes: BatchAction | None = None
    """The action that an undo takes back."""
    proposes: bool = False
    """Whether the item would only become a proposal, which waits for a second person."""
    confirms: bool = False
    """Whether the action carries out what another person proposed."""


@dataclass(frozen=True, slots=True)
class _Stored:
    """What the store has on many items, read at once."""

    pending: Mapping[int, PendingProposal]
    """The proposals that still wait, by id."""
    cases: Mapping[int, Case]
    """By id."""
    cases_on: Mapping[int, Sequence[Case]]
    """By contribution."""
    contributions: Mapping[int, Contribution]
    """By id."""
    taken: frozenset[int]
    """The ids of the cases that another reviewer has taken."""
    own_expiries: Mapping[int, datetime | None]
    """By contribution, the expiry that its member chose."""
    benign_entries: frozenset[int]
    """The ids of the benign entries that exist."""


@dataclass(frozen=True, slots=True)
class Examiner:
    """Examines the items of a batch in one transaction, for the actor as it is now."""

    db: HashDB
    tx: Transaction
    actor: Actor
    batch: Batch
    rules: IntakeRules
    now: datetime
    find_same: FindSame

    def examine(self, subjects: Sequence[int]) -> dict[int, Examined]:
        """What the batch would change at each of its subjects.

        `Batch.row_kind` says what a subject is: the id of a contribution, a case or a proposal. For an undo it is the
        position of an item in the batch that is undone.
        """
        action, row_kind = self.batch.action, self.batch.row_kind
        if row_kind is RowKind.ITEM:
            return self._examine_undone(subjects)
        if row_kind is RowKind.PROPOSAL:
            stored = self._load(subjects)
            return {id: self._examine_proposal(id, stored) for id in subjects}
        if not self.actor.has(action.scope):
            return dict.fromkeys(subjects, Examined(Skip.NOT_ALLOWED))
        if row_kind is RowKind.CASE:
            return self._examine_cases(subjects)
        return self._examine_contributions(subjects)

    def _examine_cases(self, ids: Sequence[int]) -> dict[int, Examined]:
        by_id = self.tx.cases.get(ids)
        contributions = self.tx.contributions.get({case.contribution for case in by_id.values()}, self.now)
        taken = self._taken(ids)
        examined = {}
        for id in ids:
            case = by_id.get(id)
            if case is None:
                examined[id] = Examined(Skip.GONE)
            elif case.state is CaseState.DECIDED:
                examined[id] = Examined(Skip.DECIDED)
            else:
                examined[id] = self._examine_decision(contributions[case.contribution], case, taken)
        return examined

    def _taken(self, ids: Collection[int]) -> frozenset[int]:
        return taken_by_others(self.tx, self.db.rules, self.actor, ids, self.now)

    def _examine_contributions(self, ids: Sequence[int]) -> dict[int, Examined]:
        action = self.batch.action
        contributions = self.tx.contributions.get(ids, self.now)
        cases = self.tx.cases.by_contribution(ids)
        own = self.tx.retention.own_expiries(ids) if action is BatchAction.EXPIRY else {}
        taken = self._taken(_open_ids(cases) if action.decision is not None else [])
        examined = {}
        for id in ids:
            contribution = contributions.get(id)
            case = open_case_of(cases.get(id, ()))
            if contribution is None:
                examined[id] = Examined(Skip.GONE)
            elif action.decision is not None:
                examined[id] = self._examine_decision(contribution, case, taken)
            elif action is BatchAction.HOLD:
                same = not contribution.standing.matches or (case is not None and case.holds)
                examined[id] = Examined(
                    _skip_unless_active(contribution) or (Skip.SAME if same else None), contribution, case
                )
            elif action is BatchAction.WITHDRAW:
                ended = contribution.status is Status.WITHDRAWN
                skip = Skip.ERASED if contribution.erased else Skip.INACTIVE if ended else None
                examined[id] = Examined(skip, contribution)
            elif action is BatchAction.BENIGN:
                examined[id] = self._examine_benign_entry(contribution)
            else:
                choices, before = self.batch.choices, own[id]
                wanted = _later(before, choices.days) if choices.days else choices.expires_at
                examined[id] = self._examine_expiry(contribution, before, wanted)
        return examined

    def _examine_decision(self, contribution: Contribution, case: Case | None, taken: frozenset[int]) -> Examined:
        decision = self.batch.action.decision
        assert decision is not None
        if case is None:
            standing = contribution.standing
            # To uphold changes nothing where the contribution matches anyway, by whatever standing.
            same = standing.matches if decision is Decision.UPHOLD else standing is decision.ruling
            skip = _skip_unless_active(contribution) or (Skip.SAME if same else None)
            proposes = decision is Decision.RETIRE and self.db.rules.two_persons
            return Examined(skip, contribution, proposes=proposes)
        if case.id in taken:
            return Examined(Skip.TAKEN, contribution, case)
        if decision is not Decision.RETIRE or not self.db.rules.two_persons:
            return Examined(None, contribution, case)
        skip, confirms = self._second_person(retirement(case.id))
        return Examined(skip, contribution, case, proposes=not confirms, confirms=confirms)

    def _examine_benign_entry(self, contribution: Contribution) -> Examined:
        if contribution.erased:
            return Examined(Skip.ERASED, contribution)
        accepts = self.db.rules.accepts
        signals = [signal for signal in contribution.signals if signal.algorithm in PERCEPTUAL and accepts(signal)]
        listed_benign = self.rules.close_to_benign(signals)
        fresh = tuple(signal for signal in signals if signal not in listed_benign)
        if not fresh:
            listed = signals or contribution.masked
            return Examined(Skip.LISTED if listed else Skip.UNSIGNED, contribution)
        draft = BenignDraft(fresh, note=self.batch.choices.note)
        if not self.db.rules.two_persons:
            return Examined(None, contribution, draft=draft)
        skip, confirms = self._second_person(benign.change_of(draft))
        return Examined(skip, contribution, draft=draft, proposes=not confirms, confirms=confirms)

    def _examine_expiry(self, contribution: Contribution, before: datetime | None, wanted: datetime | None) -> Examined:
        """What changes if the expiry that the member itself chose changes from `before` to `wanted`.

        The skip is `BOUND` if the incident or the retention sets the expiry, whatever the member chose.
        """
        if skip := _skip_unless_active(contribution):
            return Examined(skip, contribution)
        if self.batch.choices.days and before is None:
            return Examined(Skip.BOUND, contribution)
        if wanted is not None and wanted <= self.now:
            return Examined(Skip.PAST, contribution)
        incident = self.rules.incidents.get(contribution.incident)
        after = self.db.rules.retention.expiry(wanted, contribution.labels, contribution.received_at, incident)
        if after == contribution.expires_at:
            return Examined(Skip.SAME if wanted == before else Skip.BOUND, contribution)
        return Examined(None, contribution, amendment=Amendment(expires_at=wanted))

    def _second_person(self, change: ProposedChange) -> tuple[Skip | None, bool]:
        """Why a request changes nothing (None if it does), and whether it confirms the same one of another person."""
        first = self.find_same(change)
        if first is None:
            return None, False
        own = first.person == person_of(self.actor)
        return (Skip.WAITS if own else None), not own

    def _examine_proposal(self, id: int, stored: _Stored) -> Examined:
        pending = stored.pending.get(id)
        if pending is None:
            return Examined(Skip.GONE)
        request = pending.proposal.request
        if not self._may_confirm(request):
            return Examined(Skip.NOT_ALLOWED, pending=pending)
        if self.batch.action is BatchAction.DROP:
            return Examined(None, pending=pending)
        if pending.person == person_of(self.actor):
            return Examined(Skip.OWN, pending=pending)
        if request.act is not TwoPersonAction.RETIRE:
            return Examined(None, pending=pending, confirms=True)
        case = stored.cases[request.id]
        skip = Skip.DECIDED if case.state is CaseState.DECIDED else Skip.TAKEN if case.id in stored.taken else None
        return Examined(skip, stored.contributions[case.contribution], case, pending, confirms=True)

    def _may_confirm(self, request: ProposedChange) -> bool:
        """Whether the actor may confirm or drop the proposal of a request."""
        return self.actor.has(Scope.REVIEW if request.act in REVIEWER_ACTIONS else Scope.ADMIN)

    def _examine_undone(self, positions: Sequence[int]) -> dict[int, Examined]:
        assert self.batch.undoes is not None
        action = self.tx.batches.one(self.batch.undoes).action
        items = self.tx.batches.items_at(self.batch.undoes, positions)
        made: dict[str, list[int]] = defaultdict(list)
        for item in items.values():
            made[item.made_kind].append(item.made_id)
        stored = self._load(made["proposal"], made["case"], made["contribution"], made["benign"])
        return {position: self._examine_undo(action, items[position], stored) for position in positions}

    def _examine_undo(self, action: BatchAction, item: BatchItem, stored: _Stored) -> Examined:
        if item.outcome is ItemOutcome.PROPOSED:
            pending = stored.pending.get(item.made_id)
            if pending is None:
                return Examined(Skip.GONE)
            skip = None if self._may_confirm(pending.proposal.request) else Skip.NOT_ALLOWED
            return Examined(skip, pending=pending, undoes=action)
        kind = item.made_kind
        if item.outcome is not ItemOutcome.DONE or not action.undoable or kind == "member":
            return Examined(Skip.FINAL)
        if not self.actor.has(Scope.REVIEW if kind == "case" else Scope.ADMIN):
            return Examined(Skip.NOT_ALLOWED)
        if kind == "case":
            return self._examine_undo_case(action, item, stored)
        if kind == "benign":
            there = item.made_id in stored.benign_entries
            return Examined(None, benign_entry_id=item.made_id, undoes=action) if there else Examined(Skip.GONE)
        # The only other undo is of a changed expiry. `batches.Done` says what its item has in `before`.
        contribution, own = stored.contributions[item.made_id], stored.own_expiries[item.made_id]
        before = item.before.get("own")
        if item.before.get("set") != (None if own is None else format_instant(own)):
            return Examined(Skip.CHANGED, contribution)
        return self._examine_expiry(contribution, own, None if before is None else parse_instant(str(before)))

    def _examine_undo_case(self, action: BatchAction, item: BatchItem, stored: _Stored) -> Examined:
        """What changes if the decision or the hold of an item is undone.

        A hold ends when its case is upheld, if the batch opened that case. A decision is reversed by a new decision to
        uphold, in a new case if none is open. That is possible while it is still the last decision.
        """
        case = stored.cases[item.made_id]
        contribution, cases = stored.contributions[case.contribution], stored.cases_on[case.contribution]
        if action is BatchAction.HOLD:
            opened = item.before.get("opened")
            skip = Skip.DECIDED if case.state is CaseState.DECIDED else None if opened else Skip.FINAL
            return Examined(skip, contribution, case, undoes=action)
        decided = [other.id for other in cases if other.decision is not None]
        if decided[-1:] != [case.id]:
            return Examined(Skip.CHANGED, contribution)
        now_open = open_case_of(cases)
        if now_open is None:
            skip = _skip_unless_active(contribution)
        else:
            skip = Skip.TAKEN if now_open.id in stored.taken else None
        return Examined(skip, contribution, now_open, undoes=action)

    def _load(
        self,
        proposals: Sequence[int],
        cases: Sequence[int] = (),
        contributions: Sequence[int] = (),
        benign_entries: Sequence[int] = (),
    ) -> _Stored:
        """What is stored on these ids, and on the cases that the proposals would decide."""
        tx, now = self.tx, self.now
        pending = {row.proposal.id: row for row in tx.proposals.pending(now, proposals)}
        requests = [row.proposal.request for row in pending.values()]
        by_id = tx.cases.get({*cases, *(request.id for request in requests if request.act is TwoPersonAction.RETIRE)})
        cases_on = tx.cases.by_contribution({case.contribution for case in by_id.values()})
        by_contribution = tx.contributions.get({*cases_on, *contributions}, now)
        taken = self._taken(_open_ids(cases_on))
        return _Stored(
            pending,
            by_id,
            cases_on,
            by_contribution,
            taken,
            own_expiries=tx.retention.own_expiries(contributions),
            benign_entries=tx.benign.existing(benign_entries),
        )


def _open_ids(cases: Mapping[int, Sequence[Case]]) -> list[int]:
    """The ids of the open cases among those on contributions."""
    return [case.id for cases_on in cases.values() if (case := open_case_of(cases_on))]


def retirement(case: int) -> ProposedChange:
    """The change that a proposal to retire the contribution of a case asks for, with the default shadow."""
    return ProposedChange(TwoPersonAction.RETIRE, "case", case, {"decision": str(Decision.RETIRE)})


def find_same_among(pending: Sequence[PendingProposal]) -> FindSame:
    """A function that finds the proposal with the same request among proposals that were read before."""
    # Reversed: of equal requests the first one is found.
    by_request: Mapping[str, PendingProposal] = {_key(row.proposal.request): row for row in reversed(pending)}
    return lambda change: by_request.get(_key(change))


def _key(change: ProposedChange) -> str:
    """A text that is equal for equal changes: their content cannot be hashed."""
    return f"{change.act} {change.subject} {sorted(change.content.items())}"


def _skip_unless_active(contribution: Contribution) -> Skip | None:
    """Why no case can be opened on a contribution, and why it cannot be amended; None if it is active."""
    if contribution.erased:
        return Skip.ERASED
    return None if contribution.status is Status.ACTIVE else Skip.INACTIVE


def _later(at: datetime | None, days: int) -> datetime | None:
    """The time some days later; the same time if that would be after the year 9999."""
    try:
        return None if at is None else at + timedelta(days=days)
    except OverflowError:
        return at
