"""Contributions: record, show, amend, withdraw and erase them, and log the statuses that changed with time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from itertools import chain, groupby

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.contributions import (
    TOMBSTONES_KEPT,
    UNSET,
    Amendment,
    Contribution,
    Draft,
    Filter,
    IdempotencyKey,
    Receipt,
    Status,
)
from hashdb.domain.frames import Frame, Shot, mark_shots
from hashdb.domain.ledger.events import STATUS_EVENTS, Action, Details, LogEntry
from hashdb.domain.matching.testing import TEST_ID, contribution_of_test_item
from hashdb.domain.review.cases import open_case_of
from hashdb.domain.times import format_instant
from hashdb.errors import (
    AlreadyWithdrawn,
    Fault,
    NotActive,
    NotFound,
    NotYours,
    RetiredKept,
    ScopeMissing,
    reject,
    reject_field,
)
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions.expiry import amend_with_expiry
from hashdb.service.contributions.intake import append_checked, with_intake
from hashdb.service.contributions.recording import prepare, receipt_of, record
from hashdb.service.contributions.sight import await_hits, may_see, visible_fields, with_origins
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.contributions.statuses import PendingStatus


def contribute(
    db: HashDB, actor: Actor, drafts: Sequence[Draft], key: IdempotencyKey | None = None, *, checked: bool = False
) -> Receipt:
    """Record a member's drafts, all or none. With an idempotency key, a repeated request is recorded once.

    When this returns, the contributions are durable and the next match of any process finds them.
    `checked`: the drafts were read with the rules of the service, so only the intake rules are checked here.
    Raises InvalidInput, LimitReached, IdempotencyKeyReused.
    """
    member = actor.require_member(Scope.CONTRIBUTE)
    db.budgets.spend(actor, ((Budget.CONTRIBUTIONS, len(drafts)),), db.now())

    def check_and_record(rules: IntakeRules, seq: int) -> Receipt:
        check(db, drafts, db.now(), rules, checked=checked)
        near = db.retired.near(signal for draft in drafts for signal in draft.every_signal())
        return db.recording.submit(prepare(actor, member, drafts, key, rules, seq, near), partial(record, db))

    return with_intake(db, check_and_record)


def receipt_of_repeated(db: HashDB, actor: Actor, key: IdempotencyKey | None) -> Receipt | None:
    """The receipt of the same request within the last 24 hours; None if there is none. Raises IdempotencyKeyReused.

    Call it before the body is validated: a body that was valid then (an expiry in the future) may be invalid now.
    """
    member = actor.require_member(Scope.CONTRIBUTE)
    if key is None:
        return None
    now = db.now()
    with db.store.read() as tx:
        answer = tx.requests.answered(member.id, key, now)
        return None if answer is None else receipt_of(tx, answer, now)


def check(
    db: HashDB,
    drafts: Sequence[Draft],
    now: datetime,
    rules: IntakeRules,
    at: str = "contributions",
    *,
    checked: bool = False,
) -> None:
    """Raise InvalidInput with every fault of the drafts, each at `at[i].field`; `checked` as in `contribute`."""
    unchecked = () if checked else drafts
    by_rules = ((place, fault) for place, draft in enumerate(unchecked) for fault in db.rules.draft_faults(draft, now))
    pairs = sorted((*by_rules, *rules.faults(drafts, now)), key=lambda pair: pair[0])
    reject(Fault(f"{at}[{position}].{fault.at}", fault.reason) for position, fault in pairs)


def get(db: HashDB, actor: Actor, id: int) -> Contribution:
    """A contribution, with the fields that the actor may see. Raises NotFound, TooManyAtOnce, StoreBusy."""
    actor.require_not_suspended()
    if id == TEST_ID:
        return contribution_of_test_item(db.rules.algorithms)
    await_hits(db, actor, id)
    with db.store.read() as tx:
        contribution = tx.contributions.one(id, db.now())
        if may_see(tx, actor, contribution):
            return visible_fields(actor, with_origins(db, tx, [contribution])[0])
    raise NotFound(f"contribution {id}")


def frames(db: HashDB, actor: Actor, id: int) -> tuple[Frame, ...]:
    """The frames of a contribution, for those who may see its signals. Raises NotFound, ScopeMissing, and as `get`."""
    in_order = shots(db, actor, id)
    parts = (shot.frames for shot in in_order)
    # Where signals are suppressed, the frames alone do not tell where shots begin.
    return tuple(mark_shots(parts) if any(shot.masked for shot in in_order) else chain.from_iterable(parts))


def shots(db: HashDB, actor: Actor, id: int) -> tuple[Shot, ...]:
    """The shots of a contribution, for those who may see its signals. Raises NotFound, ScopeMissing, and as `get`."""
    contribution = get(db, actor, id)
    if "signals" in contribution.hidden:
        raise ScopeMissing(Scope.FEED)
    if not contribution.frame_count:
        return ()
    with db.store.read() as tx:
        return tx.frames.shots(id)


def page(db: HashDB, actor: Actor, chosen: Filter, after: int, limit: int) -> tuple[Contribution, ...]:
    """At most `limit` contributions with ids above `after`, each with the time of its last change.

    The member's own, with scope `audit` any. Raises ScopeMissing if another member's are requested without it.
    """
    actor.require_not_suspended()
    if not actor.has(Scope.AUDIT) and actor.member is not None:
        if chosen.member not in (None, actor.member.id):
            raise ScopeMissing(Scope.AUDIT)
        chosen = replace(chosen, member=actor.member.id)
    if not actor.is_member(chosen.member):
        members.log_listing(db, actor)
    with db.store.read() as tx:
        contributions = with_origins(db, tx, tx.contributions.page(chosen, after, limit, db.now()))
        changed = tx.audit.last_changes([contribution.id for contribution in contributions])
    return tuple(replace(visible_fields(actor, item), changed_at=changed.get(item.id)) for item in contributions)


def amend(db: HashDB, actor: Actor, id: int, change: Amendment) -> Contribution:
    """Change fields of the member's own contribution. Raises InvalidInput, NotFound, NotYours, NotActive."""
    actor.require_member(Scope.CONTRIBUTE)
    return with_intake(db, lambda rules, seq: _amend(db, actor, id, change, rules, seq))


def _amend(db: HashDB, actor: Actor, id: int, change: Amendment, rules: IntakeRules, seq: int) -> Contribution:
    now = db.now()
    faults = list(db.rules.amendment_faults(change, now))
    label = None if change.incident is UNSET else change.incident
    if reason := rules.incident_fault(label, now):
        faults.append(Fault("incident", reason))
    reject(faults)
    with db.store.begin() as tx:
        before = _lock_own(tx, actor, id, now)
        if before.status is not Status.ACTIVE:
            raise NotActive(id, before.status)
        amended, fields = amend_with_expiry(db, tx, before, change, now, rules)
        if fields:
            details = amendment_details(amended, fields)
            append_checked(tx, now, actor, [LogEntry(Action.CONTRIBUTION_AMENDED, "contribution", id, details)], seq)
        return amended


def withdraw(db: HashDB, actor: Actor, id: int, reason: str) -> Contribution:
    """Withdraw the member's own contribution: the next match of any process no longer has it.

    Raises InvalidInput, NotFound, NotYours, AlreadyWithdrawn.
    """
    actor.require_member(Scope.CONTRIBUTE)
    reject_field("reason", db.rules.vocabulary.fault("reason", reason))
    with db.store.begin() as tx:
        now = db.now()
        contribution = _lock_own(tx, actor, id, now)
        if contribution.status is Status.WITHDRAWN:
            raise AlreadyWithdrawn(id)
        record_withdrawal(tx, actor, contribution, reason, now)
    return replace(contribution, status=Status.WITHDRAWN, withdrawn_at=now, withdrawal_reason=reason)


def emit_pending(db: HashDB, limit: int = 500) -> int:
    """Log the new status of at most `limit` contributions that expired, or whose member was suspended or reinstated.

    Returns how many there were; call again while that is `limit`. After an interruption the next call resumes.
    """
    now = db.now()
    with db.store.read() as tx:
        if not tx.statuses.pending(now, 1, lock=False):
            return 0
    with db.store.begin() as tx:
        pending = sorted(tx.statuses.pending(now, limit), key=lambda change: change.current)
        for status, group in groupby(pending, key=lambda change: change.current):
            tx.statuses.mark_logged([change.id for change in group], status)
        tx.audit.append(now, SYSTEM, [_status_entry(change) for change in pending])
    return len(pending)


def record_withdrawal(
    tx: Transaction,
    actor: Actor,
    contribution: Contribution,
    reason: str,
    now: datetime,
    *,
    at_contributors_request: bool = False,
) -> None:
    """Withdraw a locked contribution, and log that.

    With `at_contributors_request`, the actor is an admin, and the event names the member for which it acts.
    """
    tx.contributions.withdraw(contribution.id, reason, now)
    details: Details = {"reason": reason, "before": str(contribution.status)}
    if at_contributors_request:
        details = {**details, "on_request_of": f"member:{contribution.member}"}
    tx.audit.append(now, actor, [LogEntry(Action.CONTRIBUTION_WITHDRAWN, "contribution", contribution.id, details)])


def _status_entry(change: PendingStatus) -> LogEntry:
    return LogEntry(STATUS_EVENTS[change.current], "contribution", change.id, {"before": str(change.logged)})


def amendment_details(amended: Contribution, fields: Sequence[str]) -> Details:
    """The names of the changed fields, and the new values of those that reports count."""
    values: Details = {"labels": list(amended.labels), "severity": amended.severity, "basis": amended.basis}
    return {"fields": list(fields)} | {name: value for name, value in values.items() if name in fields}


def _lock_own(tx: Transaction, actor: Actor, id: int, now: datetime) -> Contribution:
    contribution = tx.contributions.one(id, now, lock=True)
    if not actor.is_member(contribution.member):
        raise NotYours("contribution", id)
    return contribution


def erase(db: HashDB, actor: Actor, id: int, reason: str = "other", *, at_once: bool = False) -> None:
    """Delete the signals, reference and notes of a contribution, which is withdrawn first; its events stay.

    From now on nobody sees its signals. They are kept for 90 days after the withdrawal, because readers of protocols
    without ids learn from the value what to remove; with `at_once` they are not kept. Erasing again changes nothing.

    A member erases its own contributions, an actor with `admin` any. `reason` is that of the withdrawal. Only with
    `admin` is a quarantined or retired contribution, or one with an open case, erased `at_once`: its signals recognise
    a re-upload. Raises InvalidInput, NotFound, NotYours, RetiredKept, ScopeMissing.
    """
    actor.require(Scope.CONTRIBUTE, Scope.ADMIN)
    reject_field("reason", db.rules.vocabulary.fault("reason", reason))
    with db.store.begin() as tx:
        now = db.now()
        contribution = tx.contributions.one(id, now, lock=True)
        if not actor.has(Scope.ADMIN):
            if not actor.is_member(contribution.member):
                raise NotYours("contribution", id)
            if at_once and _must_be_kept(tx, contribution):
                raise RetiredKept(id)
        entries = [] if contribution.erased else [erase_locked(tx, actor, contribution, reason, now)]
        due = now if at_once else (contribution.withdrawn_at or now) + TOMBSTONES_KEPT
        if due <= now and tx.erasures.purge([id]):
            entries = [_erasure_entry(id)]
        tx.audit.append(now, actor, entries)
    db.store.scrub()


def purge(db: HashDB, limit: int = 500) -> int:
    """Remove the signals of at most `limit` contributions that were erased and whose 90 days are over.

    Returns how many there were; call again while that is `limit`. Of long videos it removes fewer, so that other
    writers have their turn; the next calls remove the rest.
    """
    with db.store.read() as tx:
        if not tx.erasures.due(db.now(), 1):
            return 0
    with db.store.begin() as tx:
        now = db.now()
        purged = tx.erasures.purge(tx.erasures.limit_frames(tx.erasures.due(now, limit)))
        tx.audit.append(now, SYSTEM, [_erasure_entry(id) for id in purged])
    db.store.scrub()
    return len(purged)


def delete_leftovers(db: HashDB) -> None:
    """Delete what version 0.1.0 left of contributions that it erased, in tables that it does not know."""
    with db.store.read() as tx:
        left, with_signatures = tx.erasures.with_rows_left(), tx.erasures.with_signatures_left()
    if with_signatures:
        with db.store.begin() as tx:
            tx.erasures.delete_signatures(with_signatures)
        db.store.scrub()
    while left:
        with db.store.begin() as tx:
            few = tx.erasures.limit_frames(left)
            tx.erasures.purge(few)
        db.store.scrub()
        left = left[len(few) :]


def _must_be_kept(tx: Transaction, contribution: Contribution) -> bool:
    """Whether its signals are needed to recognise a re-upload, or a reviewer is to decide on it."""
    cases = tx.cases.on_contribution(contribution.id)
    return not contribution.standing.matches or open_case_of(cases) is not None


def _erasure_entry(id: int, kept_until: str | None = None) -> LogEntry:
    details: Details = {} if kept_until is None else {"signals_kept_until": kept_until}
    return LogEntry(Action.CONTRIBUTION_ERASED, "contribution", id, details)


def erase_locked(tx: Transaction, actor: Actor, contribution: Contribution, reason: str, now: datetime) -> LogEntry:
    """Withdraw a locked contribution and erase it; return the event of the erasure, which the caller appends."""
    kept_until = (contribution.withdrawn_at or now) + TOMBSTONES_KEPT
    tx.erasures.erase(contribution.id, now, kept_until)
    tx.opinions.erase(contribution.id)
    tx.cases.erase(contribution.id)
    # Last, because it locks the log: PostgreSQL locks the member's row at the second change of a contribution's row.
    if contribution.status is not Status.WITHDRAWN:
        record_withdrawal(tx, actor, contribution, reason, now)
    return _erasure_entry(contribution.id, format_instant(kept_until))
