"""Contributions: record, show, amend, withdraw; and tell the log of statuses that changed with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import SYSTEM, Actor, Member, Scope
from hashdb.domain.contributions import (
    TOMBSTONES_KEPT,
    UNSET,
    Amendment,
    Contribution,
    Draft,
    Filter,
    IdempotencyKey,
    Receipt,
    Recorded,
    Status,
)
from hashdb.domain.ledger.events import STATUS_EVENTS, Action, Details, Entry, type_of_detail
from hashdb.domain.matching.suggestions import TEST_ID, contribution_of_test
from hashdb.domain.review.cases import CaseState
from hashdb.domain.rules import FAULTS_TOLD
from hashdb.domain.times import format_instant
from hashdb.errors import (
    AlreadyWithdrawn,
    Fault,
    InvalidInput,
    LimitReached,
    NotActive,
    NotFound,
    NotYours,
    RetiredKept,
    ScopeMissing,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions.expiry import amend_with_expiry, expiry_of
from hashdb.service.contributions.intake import append, with_intake
from hashdb.service.contributions.reuploads import hold_returns
from hashdb.service.contributions.sight import await_hits, owns, shown, visible
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.contributions.statuses import Pending

REMEMBERED = timedelta(hours=24)
_DAY = timedelta(days=1)


def contribute(db: HashDB, actor: Actor, drafts: Sequence[Draft], once: IdempotencyKey | None = None) -> Receipt:
    """Record what a member contributes: all of it, or none. With `once`, the same request is recorded once.

    When this returns, the contributions are durable and the next match of any process finds them.
    Raises InvalidInput, LimitReached, IdempotencyKeyReused.
    """
    member = actor.require_member(Scope.CONTRIBUTE)
    db.budgets.spend(actor, ((Budget.CONTRIBUTIONS, len(drafts)),), db.now())
    return with_intake(db, lambda rules, seq: _contribute(db, actor, member, drafts, once, rules, seq))


def _contribute(
    db: HashDB,
    actor: Actor,
    member: Member,
    drafts: Sequence[Draft],
    once: IdempotencyKey | None,
    rules: IntakeRules,
    seq: int,
) -> Receipt:
    check(db, drafts, db.now(), rules)
    near = db.retired.near(signal for draft in drafts for signal in draft.signals)
    with db.store.begin() as tx:
        tx.members.lock(member.id)
        now = db.now()
        if once is not None and (answer := tx.requests.answered(member.id, once, now - REMEMBERED)):
            return _answered(tx, answer, now)
        recorded, held = hold_returns(db, tx, _record(db, tx, member, drafts, now, rules), near, now)
        fresh = [one.contribution for one in recorded if not one.known]
        told = [*(added(member, contribution) for contribution in fresh), *held]
        checkpoint = append(tx, now, actor, told, seq)
        receipt = Receipt(recorded, checkpoint)
        if once is not None:
            tx.requests.remember(member.id, once, _ids(receipt), now, now - REMEMBERED)
    return receipt


def _record(
    db: HashDB, tx: Transaction, member: Member, drafts: Sequence[Draft], now: datetime, rules: IntakeRules
) -> tuple[Recorded, ...]:
    """Record those of a member's drafts that it has not active already, in order. Raises LimitReached."""
    fingerprints = [draft.fingerprint() for draft in drafts]
    known = tx.contributions.known(member.id, set(fingerprints), now)
    firsts: dict[bytes, Draft] = {}
    for fingerprint, draft in zip(fingerprints, drafts, strict=True):
        if fingerprint not in known:
            firsts.setdefault(fingerprint, draft)
    _within_limit(tx, member, len(firsts), now)
    fresh = list(firsts.values())
    expiries = [expiry_of(db, draft, now, rules) for draft in fresh]
    new = dict(zip(firsts, tx.contributions.add(member, fresh, now, expiries, list(firsts)), strict=True))
    old = tx.contributions.get(known.values(), now)
    recorded = []
    for fingerprint in fingerprints:
        if fingerprint in known:
            recorded.append(Recorded(old[known[fingerprint]], known=True))
        else:
            recorded.append(Recorded(new[fingerprint], known=firsts.pop(fingerprint, None) is None))
    return tuple(recorded)


def _within_limit(tx: Transaction, member: Member, count: int, now: datetime) -> None:
    limit = tx.members.get(member.id).limits.contributions_per_day
    if limit is None:
        return
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if tx.contributions.received_since(member.id, midnight) + count > limit:
        seconds = (midnight + _DAY - now).total_seconds()
        raise LimitReached(f"{limit:,} contributions a day", int(seconds) + 1)


def added(member: Member, contribution: Contribution) -> Entry:
    """What the log tells of a contribution that was recorded."""
    details: dict[str, str | int | list[str] | None] = {
        "member": member.id,
        "kind": str(member.kind),
        "labels": list(contribution.labels),
        "algorithms": sorted({str(signal.algorithm) for signal in contribution.signals}),
        "media": str(contribution.media),
        "basis": contribution.basis,
        "severity": contribution.severity,
        "seconds_to_share": _seconds(contribution.removed_at, contribution.received_at),
        "seconds_to_remove": _seconds(contribution.notified_at, contribution.removed_at),
    }
    return Entry(Action.CONTRIBUTION_ADDED, "contribution", contribution.id, details)


def _seconds(start: datetime | None, end: datetime | None) -> int | None:
    return None if start is None or end is None else int((end - start).total_seconds())


def _ids(receipt: Receipt) -> Mapping[str, object]:
    """What is remembered of a receipt; `_answered` is the inverse."""
    pairs = [[one.contribution.id, one.known] for one in receipt.recorded]
    return {"contributions": pairs, "checkpoint": receipt.checkpoint}


def _answered(tx: Transaction, answer: Mapping[str, object], now: datetime) -> Receipt:
    """The receipt of which this was remembered, with the contributions as they are now."""
    pairs = answer["contributions"]
    checkpoint = answer["checkpoint"]
    assert isinstance(pairs, list) and isinstance(checkpoint, int)
    found = tx.contributions.get([id for id, _ in pairs], now)
    return Receipt(tuple(Recorded(found[id], known) for id, known in pairs), checkpoint)


def repeated(db: HashDB, actor: Actor, once: IdempotencyKey | None) -> Receipt | None:
    """What the same request was answered within 24 hours, whatever has changed since. Raises IdempotencyKeyReused.

    Asked before a request is read: what was right then (an expiry in the future) may be refused by now.
    """
    member = actor.require_member(Scope.CONTRIBUTE)
    if once is None:
        return None
    now = db.now()
    with db.store.read() as tx:
        answer = tx.requests.answered(member.id, once, now - REMEMBERED)
        return None if answer is None else _answered(tx, answer, now)


def check(db: HashDB, drafts: Sequence[Draft], now: datetime, rules: IntakeRules, at: str = "contributions") -> None:
    """Raise InvalidInput with every fault of the drafts, each at `at[i].field`."""
    ruled = ((position, fault) for position, one in enumerate(drafts) for fault in db.rules.draft_faults(one, now))
    found = sorted((*ruled, *rules.faults(drafts, now)), key=lambda pair: pair[0])
    faults = [Fault(f"{at}[{position}].{fault.at}", fault.reason) for position, fault in found]
    if faults:
        raise InvalidInput(tuple(faults[:FAULTS_TOLD]), max(0, len(faults) - FAULTS_TOLD))


def get(db: HashDB, actor: Actor, id: int) -> Contribution:
    """One contribution, as much of it as the actor may see. Raises NotFound, TooManyAtOnce, StoreBusy."""
    actor.require()
    if id == TEST_ID:
        return contribution_of_test(db.rules.algorithms)
    await_hits(db, actor, id)
    with db.store.read() as tx:
        found = tx.contributions.one(id, db.now())
        if visible(tx, actor, found):
            return shown(actor, found)
    raise NotFound(f"contribution {id}")


def page(db: HashDB, actor: Actor, chosen: Filter, after: int, limit: int) -> tuple[Contribution, ...]:
    """At most `limit` contributions with ids above `after`, and when each last changed: the member's own, or any.

    Any with scope `audit`. Raises ScopeMissing where others are asked for without.
    """
    actor.require()
    if not actor.has(Scope.AUDIT) and actor.member is not None:
        if chosen.member not in (None, actor.member.id):
            raise ScopeMissing(Scope.AUDIT)
        chosen = replace(chosen, member=actor.member.id)
    if actor.member is None or chosen.member != actor.member.id:
        members.listed(db, actor)
    with db.store.read() as tx:
        found = tx.contributions.page(chosen, after, limit, db.now())
        changed = tx.audit.changed([one.id for one in found])
    return tuple(replace(shown(actor, one), changed_at=changed.get(one.id)) for one in found)


def amend(db: HashDB, actor: Actor, id: int, asked: Amendment) -> Contribution:
    """Change what a member said of its own contribution. Raises InvalidInput, NotFound, NotYours, NotActive."""
    actor.require_member(Scope.CONTRIBUTE)
    return with_intake(db, lambda rules, seq: _amend(db, actor, id, asked, rules, seq))


def _amend(db: HashDB, actor: Actor, id: int, asked: Amendment, rules: IntakeRules, seq: int) -> Contribution:
    now = db.now()
    faults = list(db.rules.amendment_faults(asked, now))
    label = None if asked.incident is UNSET else asked.incident
    if reason := rules.incident_fault(label, now):
        faults.append(Fault("incident", reason))
    if faults:
        raise InvalidInput(tuple(faults))
    with db.store.begin() as tx:
        found = _own(tx, actor, id, now)
        if found.status is not Status.ACTIVE:
            raise NotActive(id, found.status)
        fields = amend_with_expiry(db, tx, found, asked, now, rules)
        amended = tx.contributions.one(id, now)
        if fields:
            details = _amended(amended, fields)
            append(tx, now, actor, [Entry(Action.CONTRIBUTION_AMENDED, "contribution", id, details)], seq)
        return amended


def withdraw(db: HashDB, actor: Actor, id: int, reason: str) -> Contribution:
    """Take a member's own contribution back: the next match no longer has it.

    Raises InvalidInput, NotFound, NotYours, AlreadyWithdrawn.
    """
    actor.require_member(Scope.CONTRIBUTE)
    if fault := db.rules.vocabulary.fault("reason", reason):
        raise InvalidInput((Fault("reason", fault),))
    with db.store.begin() as tx:
        now = db.now()
        found = _own(tx, actor, id, now)
        if found.status is Status.WITHDRAWN:
            raise AlreadyWithdrawn(id)
        take_back(tx, actor, found, reason, now)
    return replace(found, status=Status.WITHDRAWN, withdrawn_at=now, withdrawal_reason=reason)


def emit_pending(db: HashDB, limit: int = 500) -> int:
    """Tell the log of at most `limit` contributions that expired, or whose member was suspended or reinstated.

    Returns how many there were; call again while that is `limit`. Interrupted, it goes on where it was.
    """
    now = db.now()
    with db.store.read() as tx:
        if not tx.statuses.pending(now, 1, hold=False):
            return 0
    with db.store.begin() as tx:
        pending = sorted(tx.statuses.pending(now, limit), key=lambda one: one.now)
        for status, group in groupby(pending, key=lambda one: one.now):
            tx.statuses.mark_logged([one.id for one in group], status)
        tx.audit.append(now, SYSTEM, [_logged(one) for one in pending])
    return len(pending)


def take_back(tx: Transaction, actor: Actor, found: Contribution, reason: str, now: datetime) -> None:
    """Withdraw a contribution, which is held, and tell the log."""
    tx.contributions.withdraw(found.id, reason, now)
    details = {"reason": reason, "before": str(found.status)}
    tx.audit.append(now, actor, [Entry(Action.CONTRIBUTION_WITHDRAWN, "contribution", found.id, details)])


def _logged(pending: Pending) -> Entry:
    return Entry(STATUS_EVENTS[pending.now], "contribution", pending.id, {"before": str(pending.logged)})


def _amended(amended: Contribution, fields: Sequence[str]) -> Details:
    """The names of the fields, and of those that reports count by what they are now."""
    now: dict[str, type_of_detail] = {
        "labels": list(amended.labels),
        "severity": amended.severity,
        "basis": amended.basis,
    }
    return {"fields": list(fields)} | {name: value for name, value in now.items() if name in fields}


def _own(tx: Transaction, actor: Actor, id: int, now: datetime) -> Contribution:
    found = tx.contributions.one(id, now, lock=True)
    if not owns(actor, found):
        raise NotYours("contribution", id)
    return found


def erase(db: HashDB, actor: Actor, id: int, reason: str = "other", *, at_once: bool = False) -> None:
    """Remove signals, reference and notes of a contribution for good, withdrawing it first; its events stay.

    Nobody is shown its signals from now on; they are kept for 90 days after the withdrawal, unless `at_once`: readers
    that know no ids are told by the value what they are to drop.
    The member's own, or any with `admin`; `reason` is that of the withdrawal. Erasing again changes nothing.
    What is kept out, or is before a reviewer, is erased `at_once` with `admin` only: by its signals it is noticed when
    it comes back.
    Raises InvalidInput, NotFound, NotYours, RetiredKept, ScopeMissing.
    """
    actor.require(Scope.CONTRIBUTE, Scope.ADMIN)
    if fault := db.rules.vocabulary.fault("reason", reason):
        raise InvalidInput((Fault("reason", fault),))
    with db.store.begin() as tx:
        now = db.now()
        found = tx.contributions.one(id, now, lock=True)
        if not actor.has(Scope.ADMIN):
            if not owns(actor, found):
                raise NotYours("contribution", id)
            if at_once and _kept(tx, found):
                raise RetiredKept(id)
        entries = [] if found.erased else [_erase(tx, actor, found, reason, now)]
        due = now if at_once else (found.withdrawn_at or now) + TOMBSTONES_KEPT
        if due <= now and tx.contributions.purge([id]):
            entries = [_erased(id)]
        tx.audit.append(now, actor, entries)
    db.store.scrub()


def purge(db: HashDB, limit: int = 500) -> int:
    """Remove the signals of at most `limit` erased contributions whose 90 days are over.

    Returns how many there were; call again while that is `limit`.
    """
    with db.store.read() as tx:
        if not tx.contributions.due(db.now(), 1):
            return 0
    with db.store.begin() as tx:
        now = db.now()
        purged = tx.contributions.purge(tx.contributions.due(now, limit))
        tx.audit.append(now, SYSTEM, [_erased(id) for id in purged])
    db.store.scrub()
    return len(purged)


def _kept(tx: Transaction, found: Contribution) -> bool:
    on = tx.cases.of([found.id]).get(found.id, ())
    return not found.standing.matches or any(case.state is CaseState.OPEN for case in on)


def _erased(id: int, kept_until: str | None = None) -> Entry:
    details: Details = {} if kept_until is None else {"signals_kept_until": kept_until}
    return Entry(Action.CONTRIBUTION_ERASED, "contribution", id, details)


def _erase(tx: Transaction, actor: Actor, found: Contribution, reason: str, now: datetime) -> Entry:
    if found.status is not Status.WITHDRAWN:
        take_back(tx, actor, found, reason, now)
    kept_until = (found.withdrawn_at or now) + TOMBSTONES_KEPT
    tx.contributions.erase(found.id, now, kept_until)
    tx.opinions.erase(found.id)
    tx.cases.erase(found.id)
    return _erased(found.id, format_instant(kept_until))
