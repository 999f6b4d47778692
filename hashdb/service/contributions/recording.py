"""Recording of contributions: requests that wait at the same time share one transaction, so one wait for the disk."""

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
from hashdb.service.contributions.intake import append_all
from hashdb.service.contributions.reuploads import hold_reuploads
from hashdb.service.views import Close, IntakeRules
from hashdb.store import Transaction
from hashdb.store.contributions.contributions import PreparedDraft, SignalSet
from hashdb.store.contributions.requests import Answer

REMEMBERED = timedelta(hours=24)
"""For how long the answer to a request with an idempotency key is kept."""
_DAY = timedelta(days=1)


class Request(NamedTuple):
    """Checked drafts of a member, which are recorded all or none."""

    actor: Actor
    member: Member
    drafts: Sequence[Draft]
    key: IdempotencyKey | None
    rules: IntakeRules
    seq: int
    """The drafts were checked against the rules of this seq."""
    near: Close
    """The stored signals of retired contributions that the drafts are near to."""
    prepared: Sequence[PreparedDraft]
    """What was computed of the drafts."""
    suppressed: Mapping[Signal, int]
    """The signals of frames that are close to a benign one, each with its entry. Those of items are refused."""

    @property
    def size(self) -> int:
        """The number of drafts."""
        return len(self.drafts)


_Fresh = tuple[Request, Draft, PreparedDraft]


def prepare(
    actor: Actor,
    member: Member,
    drafts: Sequence[Draft],
    key: IdempotencyKey | None,
    rules: IntakeRules,
    seq: int,
    near: Close,
) -> Request:
    """A request, with what takes long to compute of many frames: while it is recorded, all other writers wait."""
    prepared = list(map(PreparedDraft.from_draft, drafts))
    frames = list(chain.from_iterable(map(attrgetter("frames"), drafts)))
    suppressed = rules.touched(signal for frame in frames for signal in frame.signals) if frames else {}
    return Request(actor, member, drafts, key, rules, seq, near, prepared, suppressed)


def record(db: HashDB, requests: Sequence[Request]) -> list[Receipt | Exception]:
    """Record requests in one transaction; return for each its receipt, or why it was not recorded.

    The requests are independent: one that fails changes nothing, and the others are recorded.
    """
    first: dict[object, Request] = {}
    for request in requests:
        # Two requests with one idempotency key: the second is answered from what the first has stored.
        first.setdefault((request.member.id, request.key) if request.key else id(request), request)
    if len(first) < len(requests):
        return [outcome for request in requests for outcome in record(db, [request])]
    try:
        with db.store.begin() as tx:
            return _record(db, tx, requests)
    except StoreBusy as busy:
        return [busy for _ in requests]
    except Exception as error:
        # The error is of one of them.
        if len(requests) == 1:
            return [error]
        return [outcome for request in requests for outcome in record(db, [request])]


def _record(db: HashDB, tx: Transaction, requests: Sequence[Request]) -> list[Receipt | Exception]:
    # In the order of ids, and before the log is locked, so that two transactions cannot deadlock.
    members = tx.members.lock({request.member.id for request in requests})
    now = db.now()
    outcomes = _answer_repeated(tx, requests, now)
    recorded: dict[int, tuple[Recorded, ...]] = {}
    entries: list[tuple[Actor, LogEntry]] = []
    for place, added in _add_new(db, tx, requests, outcomes, members.values(), now).items():
        request = requests[place]
        recorded[place], held = hold_reuploads(db, tx, added, request.near, now)
        new = [added_entry(request.member, item.contribution) for item in recorded[place] if not item.known]
        entries += [(request.actor, entry) for entry in (*new, *held)]
        # The caller knows the frames that it has sent.
        recorded[place] = tuple(
            [
                replace(item, contribution=replace(item.contribution, frames=())) if item.contribution.frames else item
                for item in recorded[place]
            ]
        )
    seq = append_all(tx, now, entries, min([request.seq for request in requests]))
    answers: list[Answer] = []
    for place, items in recorded.items():
        request, receipt = requests[place], Receipt(items, seq)
        outcomes[place] = receipt
        if request.key is not None:
            answers.append((request.member.id, request.key, _answer(receipt)))
    if answers:
        tx.requests.remember(answers, now, now - REMEMBERED)
    return [outcomes[place] for place in range(len(requests))]


def _answer_repeated(tx: Transaction, requests: Sequence[Request], now: datetime) -> dict[int, Receipt | Exception]:
    """By place: the receipt of the same request before, or that it reuses the idempotency key of another."""
    outcomes: dict[int, Receipt | Exception] = {}
    for place, request in enumerate(requests):
        try:
            if request.key and (answer := tx.requests.answered(request.member.id, request.key, now - REMEMBERED)):
                outcomes[place] = kept_receipt(tx, answer, now)
        except IdempotencyKeyReused as error:
            outcomes[place] = error
    return outcomes


def _add_new(
    db: HashDB,
    tx: Transaction,
    requests: Sequence[Request],
    outcomes: dict[int, Receipt | Exception],
    members: Collection[Member],
    now: datetime,
) -> dict[int, list[Recorded]]:
    """Add the drafts that their members do not have active already, for the requests without an outcome.

    Returns by place the contributions of a request, in the order of its drafts. A request that its member's limit
    refuses has this outcome, and adds nothing.
    """
    sets = {
        place: [(request.member.id, prepared.fingerprint) for prepared in request.prepared]
        for place, request in enumerate(requests)
        if place not in outcomes
    }
    known = tx.contributions.known({*chain.from_iterable(sets.values())}, now)
    allowances = {member.id: Allowance(tx, member, now) for member in members}
    fresh: dict[SignalSet, _Fresh] = {}
    for place, own in sets.items():
        request, new = requests[place], dict[SignalSet, _Fresh]()
        for signals, draft, prepared in zip(own, request.drafts, request.prepared, strict=True):
            if signals not in known and signals not in fresh:
                new.setdefault(signals, (request, draft, prepared))
        try:
            allowances[request.member.id].take(len(new))
        except LimitReached as error:
            outcomes[place] = error
        else:
            fresh |= new
    added = _add(db, tx, fresh, now)
    old = tx.contributions.get(known.values(), now)
    return {
        place: [
            Recorded(old[known[signals]], known=True)
            if signals in known
            else Recorded(added[signals], known=fresh.pop(signals, None) is None)
            for signals in own
        ]
        for place, own in sets.items()
        if place not in outcomes
    }


def _add(
    db: HashDB, tx: Transaction, fresh: Mapping[SignalSet, _Fresh], now: datetime
) -> dict[SignalSet, Contribution]:
    """Add the drafts of requests, each by its set of signals."""
    suppressed = dict[Signal, int]()
    for request, _, _ in fresh.values():
        suppressed.update(request.suppressed)
    added = tx.contributions.add(
        [request.member for request, _, _ in fresh.values()],
        [draft for _, draft, _ in fresh.values()],
        now,
        [expiry_of(db, draft, now, request.rules) for request, draft, _ in fresh.values()],
        [prepared for _, _, prepared in fresh.values()],
        suppressed,
    )
    return dict(zip(fresh, added, strict=True))


class Allowance:
    """How many contributions a member may still make today."""

    def __init__(self, tx: Transaction, member: Member, now: datetime) -> None:
        self._limit = member.limits.contributions_per_day
        self._midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
        self._now = now
        self._used = 0 if self._limit is None else tx.contributions.received_since(member.id, self._midnight)

    @property
    def left(self) -> int | None:
        """How many are left; None if there is no limit."""
        return None if self._limit is None else max(0, self._limit - self._used)

    def take(self, count: int) -> None:
        """Use it for that many. Raises LimitReached, and uses nothing, if fewer are left."""
        if self._limit is not None and self._used + count > self._limit:
            seconds = (self._midnight + _DAY - self._now).total_seconds()
            raise LimitReached(f"{self._limit} contributions a day", int(seconds) + 1)
        self._used += count


def added_entry(member: Member, contribution: Contribution) -> LogEntry:
    """The event of a recorded contribution."""
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


def _answer(receipt: Receipt) -> Mapping[str, object]:
    """The part of a receipt that is kept for a repeated request; `kept_receipt` is the inverse."""
    pairs = [[item.contribution.id, item.known] for item in receipt.recorded]
    return {"contributions": pairs, "checkpoint": receipt.checkpoint}


def kept_receipt(tx: Transaction, answer: Mapping[str, object], now: datetime) -> Receipt:
    """The receipt of a kept answer, with the contributions as they are now."""
    pairs, checkpoint = answer["contributions"], answer["checkpoint"]
    assert isinstance(pairs, list) and isinstance(checkpoint, int)
    contributions = tx.contributions.get([id for id, _ in pairs], now)
    return Receipt(tuple(Recorded(contributions[id], known) for id, known in pairs), checkpoint)
