"""Record contributions: requests that wait at the same time share one transaction, and so one write to the disk."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import chain
from operator import attrgetter
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor, Member
from hashdb.domain.contributions import Contribution, Draft, IdempotencyKey, Receipt, Recorded
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.signals import Signal
from hashdb.errors import IdempotencyKeyReused, LimitReached, StoreBusy
from hashdb.service import HashDB
from hashdb.service.contributions.expiry import expiry_of
from hashdb.service.contributions.intake import append_all_checked
from hashdb.service.contributions.reuploads import hold_reuploads
from hashdb.service.views import IntakeRules, NearSignals
from hashdb.store import Transaction
from hashdb.store.contributions.contributions import PreparedDraft, SignalSet
from hashdb.store.contributions.requests import Answer

_DAY = timedelta(days=1)


class Request(NamedTuple):
    """A member's request to contribute drafts that were checked. All of them are recorded, or none."""

    actor: Actor
    member: Member
    drafts: Sequence[Draft]
    key: IdempotencyKey | None
    rules: IntakeRules
    seq: int
    """The seq of the last event that `rules` includes. If the rules have changed since, the request fails."""
    near_retired: NearSignals
    """For signals of the drafts, the stored signals near them of retired contributions and others that had a case."""
    prepared: Sequence[PreparedDraft]
    """What was computed of each draft before the transaction."""
    suppressed: Mapping[Signal, int]
    """The signals of frames that are close to a benign entry, each with the id of the entry.

    An item whose own signals are close to one is refused earlier.
    """

    @property
    def size(self) -> int:
        """The number of drafts."""
        return len(self.drafts)


_NewDraft = tuple[Request, Draft, PreparedDraft]
"""A draft whose signals its member has in no active contribution; its request, and what was computed of it."""


def prepare(
    actor: Actor,
    member: Member,
    drafts: Sequence[Draft],
    key: IdempotencyKey | None,
    rules: IntakeRules,
    seq: int,
    near_retired: NearSignals,
) -> Request:
    """Build a request, and compute what takes long for many frames: while it is recorded, all other writers wait."""
    prepared = list(map(PreparedDraft.from_draft, drafts))
    frames = list(chain.from_iterable(map(attrgetter("frames"), drafts)))
    suppressed = rules.close_to_benign(signal for frame in frames for signal in frame.signals) if frames else {}
    return Request(actor, member, drafts, key, rules, seq, near_retired, prepared, suppressed)


def record(db: HashDB, requests: Sequence[Request]) -> list[Receipt | Exception]:
    """Record requests in one transaction. Return for each request its receipt, or the error that prevented it.

    The requests are independent: one that fails changes nothing, and the others are recorded.
    """
    keys = {(request.member.id, request.key) if request.key else id(request) for request in requests}
    if len(keys) < len(requests):
        # Two requests have the same idempotency key: the second one is answered with what the first one has stored.
        return _record_each(db, requests)
    try:
        with db.store.begin() as tx:
            return _record(db, tx, requests)
    except StoreBusy as busy:
        return [busy for _ in requests]
    except Exception as error:
        if len(requests) == 1:
            return [error]
        # One of the requests caused it; the others are recorded.
        return _record_each(db, requests)


def _record_each(db: HashDB, requests: Sequence[Request]) -> list[Receipt | Exception]:
    """Record each request in a transaction of its own."""
    return [outcome for request in requests for outcome in record(db, [request])]


def _record(db: HashDB, tx: Transaction, requests: Sequence[Request]) -> list[Receipt | Exception]:
    # Members are locked in the order of their ids, and before the log, so that two transactions cannot deadlock.
    members = tx.members.lock({request.member.id for request in requests})
    now = db.now()
    outcomes = _repeated_outcomes(tx, requests, now)
    recorded: dict[int, tuple[Recorded, ...]] = {}
    entries: list[tuple[Actor, LogEntry]] = []
    for position, added in _add_new(db, tx, requests, outcomes, members.values(), now).items():
        request = requests[position]
        recorded[position], case_entries = hold_reuploads(db, tx, added, request.near_retired, now)
        new_entries = [added_entry(request.member, item.contribution) for item in recorded[position] if not item.known]
        entries += [(request.actor, entry) for entry in (*new_entries, *case_entries)]
        # The receipt leaves out the frames: the client has just sent them.
        recorded[position] = tuple(
            [
                replace(item, contribution=replace(item.contribution, frames=())) if item.contribution.frames else item
                for item in recorded[position]
            ]
        )
    seq = append_all_checked(tx, now, entries, min([request.seq for request in requests]))
    answers: list[Answer] = []
    for position, items in recorded.items():
        request, receipt = requests[position], Receipt(items, seq)
        outcomes[position] = receipt
        if request.key is not None:
            answers.append((request.member.id, request.key, _answer_of(receipt)))
    if answers:
        tx.requests.remember(answers, now)
    return [outcomes[position] for position in range(len(requests))]


def _repeated_outcomes(tx: Transaction, requests: Sequence[Request], now: datetime) -> dict[int, Receipt | Exception]:
    """The outcomes of requests whose idempotency key was used before, by position in `requests`.

    The outcome is the receipt of the same request; for another request with this key it is IdempotencyKeyReused.
    """
    outcomes: dict[int, Receipt | Exception] = {}
    for position, request in enumerate(requests):
        try:
            if request.key and (answer := tx.requests.answered(request.member.id, request.key, now)):
                outcomes[position] = receipt_of(tx, answer, now)
        except IdempotencyKeyReused as error:
            outcomes[position] = error
    return outcomes


def _add_new(
    db: HashDB,
    tx: Transaction,
    requests: Sequence[Request],
    outcomes: dict[int, Receipt | Exception],
    members: Collection[Member],
    now: datetime,
) -> dict[int, list[Recorded]]:
    """Add the drafts of requests without an outcome, except those that their member has active already.

    Returns the contributions of each request, in the order of its drafts, by position in `requests`. If a request
    exceeds the limit of its member, nothing of it is added, and LimitReached is put into `outcomes`.
    """
    sets = {
        position: [(request.member.id, prepared.fingerprint) for prepared in request.prepared]
        for position, request in enumerate(requests)
        if position not in outcomes
    }
    known_ids = tx.contributions.known({*chain.from_iterable(sets.values())}, now)
    allowances = {member.id: Allowance(tx, member, now) for member in members}
    new_drafts: dict[SignalSet, _NewDraft] = {}
    for position, own_sets in sets.items():
        request, of_request = requests[position], dict[SignalSet, _NewDraft]()
        for signal_set, draft, prepared in zip(own_sets, request.drafts, request.prepared, strict=True):
            if signal_set not in known_ids and signal_set not in new_drafts:
                of_request.setdefault(signal_set, (request, draft, prepared))
        try:
            allowances[request.member.id].use(len(of_request))
        except LimitReached as error:
            outcomes[position] = error
        else:
            new_drafts |= of_request
    added = _add(db, tx, new_drafts, now)
    existing = tx.contributions.get(known_ids.values(), now)
    return {
        position: [
            Recorded(existing[known_ids[signal_set]], known=True)
            if signal_set in known_ids
            # The first draft with these signals is new; later ones with the same signals are known.
            else Recorded(added[signal_set], known=new_drafts.pop(signal_set, None) is None)
            for signal_set in own_sets
        ]
        for position, own_sets in sets.items()
        if position not in outcomes
    }


def _add(
    db: HashDB, tx: Transaction, new_drafts: Mapping[SignalSet, _NewDraft], now: datetime
) -> dict[SignalSet, Contribution]:
    """Add drafts, and return the contributions by their sets of signals."""
    suppressed = dict[Signal, int]()
    for request, _, _ in new_drafts.values():
        suppressed.update(request.suppressed)
    added = tx.contributions.add(
        [request.member for request, _, _ in new_drafts.values()],
        [draft for _, draft, _ in new_drafts.values()],
        now,
        [expiry_of(db, draft, now, request.rules) for request, draft, _ in new_drafts.values()],
        [prepared for _, _, prepared in new_drafts.values()],
        suppressed,
    )
    return dict(zip(new_drafts, added, strict=True))


class Allowance:
    """How many contributions a member may still make today, in UTC."""

    def __init__(self, tx: Transaction, member: Member, now: datetime) -> None:
        self._limit = member.limits.contributions_per_day
        self._midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self._now = now
        self._used = 0 if self._limit is None else tx.contributions.received_since(member.id, self._midnight)

    @property
    def left(self) -> int | None:
        """How many are left; None if there is no limit."""
        return None if self._limit is None else max(0, self._limit - self._used)

    def use(self, count: int) -> None:
        """Count this many contributions as made. Raises LimitReached, and counts none, if fewer are left."""
        if self._limit is not None and self._used + count > self._limit:
            seconds = (self._midnight + _DAY - self._now).total_seconds()
            raise LimitReached(f"{self._limit} contributions a day", int(seconds) + 1)
        self._used += count


def added_entry(member: Member, contribution: Contribution) -> LogEntry:
    """The event that logs a new contribution."""
    details: Details = {
        "member": member.id,
        "kind": str(member.kind),
        "labels": list(contribution.labels),
        "algorithms": sorted({str(signal.algorithm) for signal in contribution.every_signal()}),
        "media": str(contribution.media),
        "basis": contribution.basis,
        "severity": contribution.severity,
        "seconds_to_share": _seconds(contribution.removed_at, contribution.received_at),
        "seconds_to_remove": _seconds(contribution.notified_at, contribution.removed_at),
        **({"masked": contribution.masked} if contribution.masked else {}),
        "commitment": None if contribution.commitment is None else contribution.commitment.hex(),
    }
    return LogEntry(Action.CONTRIBUTION_ADDED, "contribution", contribution.id, details)


def _seconds(start: datetime | None, end: datetime | None) -> int | None:
    return None if start is None or end is None else int((end - start).total_seconds())


def _answer_of(receipt: Receipt) -> Mapping[str, object]:
    """What is stored of a receipt, for when the request is repeated. `receipt_of` is the inverse."""
    pairs = [[item.contribution.id, item.known] for item in receipt.recorded]
    return {"contributions": pairs, "checkpoint": receipt.checkpoint}


def receipt_of(tx: Transaction, answer: Mapping[str, object], now: datetime) -> Receipt:
    """The receipt of a stored answer, with the contributions as they are now."""
    pairs, checkpoint = answer["contributions"], answer["checkpoint"]
    assert isinstance(pairs, list) and isinstance(checkpoint, int)
    contributions = tx.contributions.get([id for id, _ in pairs], now)
    return Receipt(tuple(Recorded(contributions[id], known) for id, known in pairs), checkpoint)
