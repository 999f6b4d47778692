"""Additions: a member adds signals of the same picture to its own contributions.

It does so after an upgrade that computes more signals of a picture. What is added obeys the rules of a new
contribution: it is compared with the benign list and with retired contributions.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple, Self

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Addition, Contribution, Draft, Receipt, Recorded, new_hashes
from hashdb.domain.ledger.commitments import Commitment
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN
from hashdb.domain.review.cases import Case, open_case_of
from hashdb.domain.signals import SIGNALS_AN_ITEM, Signal
from hashdb.domain.signatures import SIGNATURES_AN_ITEM, Signature
from hashdb.errors import Fault, HashDBError, InvalidInput, NotActive, NotFound, NotYours, UnderReview, reject
from hashdb.service import HashDB
from hashdb.service.contributions.commitments import recommit
from hashdb.service.contributions.intake import append_checked, with_intake
from hashdb.service.contributions.reuploads import hold_reuploads
from hashdb.service.views import IntakeRules, NearSignals
from hashdb.store import Transaction

UNLIKE = "must include a 256-bit signal that the contribution already has, so that they belong to the same picture"
WITH_FRAMES = "cannot be added to an item with frames: contribute it again"
TWICE = "appears more than once"


class _Refusal(NamedTuple):
    """Why the addition at a position is refused; InvalidInput has faults within it."""

    position: int
    error: HashDBError


_Refuse = Callable[[Sequence[_Refusal]], None]
"""Raises an error if there are refusals; nothing is added then."""


class Added(NamedTuple):
    """What an addition changes of a locked contribution."""

    contribution: Contribution
    stored: Mapping[int, Signal]
    """Its signals by position, suppressed ones too."""
    sent: Sequence[Signal]
    """The signals that the member sent, also those that are stored already."""
    new_signals: Mapping[int, Signal]
    """The new signals by position."""
    new_signatures: Mapping[int, Signature]
    """The new signatures by position."""

    @classmethod
    def from_sent(
        cls,
        contribution: Contribution,
        stored: Mapping[int, Signal],
        signals: Sequence[Signal],
        signatures: Sequence[Signature],
    ) -> Self:
        """What these signals and signatures change; what would be too many is left out."""
        new_signals = new_hashes(signals, stored, SIGNALS_AN_ITEM)
        new_signatures = new_hashes(signatures, dict(enumerate(contribution.signatures)), SIGNATURES_AN_ITEM)
        return cls(contribution, stored, signals, new_signals, new_signatures)

    @property
    def changes(self) -> bool:
        """Whether anything is new."""
        return bool(self.new_signals or self.new_signatures)


def add(db: HashDB, actor: Actor, additions: Sequence[Addition]) -> Receipt:
    """Add signals and signatures to own contributions that match and have no open case: all additions, or none.

    A contribution has at most 64 signals and 8 signatures: further ones are left out, in the order sent. If nothing is
    new, nothing changes, and the contribution is returned as `known`.
    Raises InvalidInput, with every fault at `contributions[i].field`, and LimitReached.
    """

    def refuse(refusals: Sequence[_Refusal]) -> None:
        reject(
            Fault(f"contributions[{position}].{fault.at}", fault.reason)
            for position, error in refusals
            for fault in (error.faults if isinstance(error, InvalidInput) else [Fault("id", str(error))])
        )

    return _add(db, actor, additions, refuse)


def add_one(db: HashDB, actor: Actor, addition: Addition) -> Recorded:
    """Add signals and signatures to one own contribution, as `add` does; return it, `known` if nothing is new.

    Raises InvalidInput, with every fault at `signals`, NotFound, NotYours, NotActive, UnderReview, LimitReached.
    """

    def refuse(refusals: Sequence[_Refusal]) -> None:
        for refusal in refusals:
            raise refusal.error

    return _add(db, actor, [addition], refuse).recorded[0]


def list_holding(
    db: HashDB, actor: Actor, signals: Collection[Signal], after: int, limit: int
) -> tuple[Contribution, ...]:
    """At most `limit` active contributions of the member, with ids above `after`, that hold any of these signals.

    Signals of frames and suppressed ones do not count.
    """
    member, now = actor.require_member(Scope.CONTRIBUTE), db.now()
    with db.store.read() as tx:
        ids = tx.additions.contributions_with(member.id, signals, after, limit, now)
        contributions = tx.contributions.get(ids, now)
    return tuple(contributions[id] for id in ids)


def _add(db: HashDB, actor: Actor, additions: Sequence[Addition], refuse: _Refuse) -> Receipt:
    member = actor.require_member(Scope.CONTRIBUTE)
    db.budgets.spend(actor, ((Budget.CONTRIBUTIONS, len(additions)),), db.now())
    ids = [addition.id for addition in additions]
    last = {id: position for position, id in enumerate(ids)}
    refuse(
        [
            _Refusal(position, InvalidInput.at_field("id", TWICE))
            for position, id in enumerate(ids)
            if last[id] != position
        ]
    )
    signals = [signal for addition in additions for signal in addition.signals]

    def check_and_record(rules: IntakeRules, seq: int) -> Receipt:
        benign, near = rules.close_to_benign(signals).keys(), db.retired.near(signals)
        with db.store.begin() as tx:
            # As a new contribution: its member first, so that two transactions cannot deadlock.
            tx.members.lock([member.id])
            tx.contributions.lock(ids)
            now = db.now()
            checked, refusals = _check(tx, actor, additions, benign, now)
            refuse(refusals)
            return _record(db, tx, actor, checked, near, now, seq)

    return with_intake(db, check_and_record)


def _check(
    tx: Transaction, actor: Actor, additions: Sequence[Addition], benign: Set[Signal], now: datetime
) -> tuple[list[Added], list[_Refusal]]:
    """What additions to locked contributions change, and why some of them are refused."""
    ids = [addition.id for addition in additions]
    contributions, cases = tx.contributions.get(ids, now), tx.cases.by_contribution(ids)
    placed = tx.shadows.signals_by_place(ids)
    checked: list[Added] = []
    refusals: list[_Refusal] = []
    for position, addition in enumerate(additions):
        contribution = contributions.get(addition.id)
        if contribution is None:
            refusals.append(_Refusal(position, NotFound(f"contribution {addition.id}")))
            continue
        added = Added.from_sent(contribution, placed[addition.id], addition.signals, addition.signatures)
        if error := _refusal(actor, added, cases.get(addition.id, ()), addition, benign):
            refusals.append(_Refusal(position, error))
        checked.append(added)
    return checked, refusals


def _refusal(
    actor: Actor, added: Added, cases: Sequence[Case], addition: Addition, benign: Set[Signal]
) -> HashDBError | None:
    contribution = added.contribution
    if not actor.is_member(contribution.member):
        return NotYours("contribution", contribution.id)
    if contribution.no_match_reason is not None:
        return NotActive(contribution.id, contribution.no_match_reason)
    # A reviewer decides on the signals that are there, and names them by their positions.
    if open_case_of(cases):
        return UnderReview(contribution.id)
    if contribution.frame_count:
        return InvalidInput.at_field("signals", WITH_FRAMES)
    if not addition.shows_same_picture(set(added.stored.values())):
        return InvalidInput.at_field("signals", UNLIKE)
    refused = benign & set(added.new_signals.values())
    faults = [Fault(f"signals[{i}]", CLOSE_TO_BENIGN) for i, signal in enumerate(addition.signals) if signal in refused]
    return InvalidInput(tuple(faults)) if faults else None


def _record(
    db: HashDB, tx: Transaction, actor: Actor, checked: Sequence[Added], near: NearSignals, now: datetime, seq: int
) -> Receipt:
    changed = [added for added in checked if added.changes]
    # From now on, both the signals that were sent and all signals together are known.
    sets = {
        (added.contribution.id, Draft(tuple(signals), labels=(), removed_at=None).fingerprint())
        for added in changed
        if added.new_signals
        for signals in (added.sent, (*added.stored.values(), *added.new_signals.values()))
    }
    after, entries = store_added(db, tx, changed, sets, near, now)
    checkpoint = append_checked(tx, now, actor, entries, seq)
    recorded = [
        Recorded(after.get(added.contribution.id, added.contribution), known=not added.changes) for added in checked
    ]
    return Receipt(tuple(recorded), checkpoint)


def store_added(
    db: HashDB,
    tx: Transaction,
    changed: Sequence[Added],
    sets: Collection[tuple[int, bytes]],
    near: NearSignals,
    now: datetime,
) -> tuple[dict[int, Contribution], list[LogEntry]]:
    """Store what is new of contributions, with the fingerprints (`sets`) by which each is known from now on.

    Returns the contributions as they are now, by id, and the events, which the caller appends.
    """
    new_signals = {added.contribution.id: added.new_signals for added in changed}
    new_signatures = {added.contribution.id: added.new_signatures for added in changed}
    tx.additions.add(new_signals, new_signatures, sets)
    # Only what is new is compared with retired contributions.
    fresh = [
        Recorded(replace(added.contribution, signals=(*added.new_signals.values(),)), known=False) for added in changed
    ]
    recorded, case_entries = hold_reuploads(db, tx, fresh, near, now)
    commitments = recommit(tx, [added.contribution for added in changed])
    after = {
        added.contribution.id: replace(
            added.contribution,
            signals=(*added.contribution.signals, *added.new_signals.values()),
            signatures=(*added.contribution.signatures, *added.new_signatures.values()),
            standing=item.contribution.standing,
            salt=commitments[added.contribution.id].salt,
            commitment=commitments[added.contribution.id].hash,
        )
        for added, item in zip(changed, recorded, strict=True)
    }
    return after, [*(_entry(added, commitments[added.contribution.id]) for added in changed), *case_entries]


def _entry(added: Added, commitment: Commitment) -> LogEntry:
    """The event of an addition: an amendment, which every version knows, says how many signals are new."""
    fields = [name for name, new in (("signals", added.new_signals), ("signatures", added.new_signatures)) if new]
    details: Details = {"fields": fields, "added": len(added.new_signals), "commitment": commitment.hash.hex()}
    return LogEntry(Action.CONTRIBUTION_AMENDED, "contribution", added.contribution.id, details)
