"""Contributions: record, show, amend, withdraw; and tell the log of statuses that changed with time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from hashdb.domain.audit import Action, Details, Entry, type_of_detail
from hashdb.domain.contributions import (
    Amendment,
    Contribution,
    Draft,
    Filter,
    Once,
    Receipt,
    Recorded,
    Status,
)
from hashdb.domain.members import SYSTEM, Actor, Member, Scope
from hashdb.domain.testing import TEST_ID, contribution_of_test
from hashdb.errors import (
    AlreadyWithdrawn,
    Fault,
    InvalidInput,
    LimitReached,
    NotActive,
    NotFound,
    NotYours,
    ScopeMissing,
)
from hashdb.service import HashDB
from hashdb.store import Transaction
from hashdb.store.statuses import Owed

REMEMBERED = timedelta(hours=24)
_DAY = timedelta(days=1)


def contribute(db: HashDB, actor: Actor, drafts: Sequence[Draft], once: Once | None = None) -> Receipt:
    """Record what a member contributes: all of it, or none. With `once`, the same request is recorded once.

    When this returns, the contributions are durable and the next match of any process finds them.
    Raises InvalidInput, LimitReached, IdempotencyKeyReused.
    """
    member = actor.require_member(Scope.CONTRIBUTE)
    now = db.now()
    check(db, drafts, now)
    with db.store.begin() as tx:
        tx.members.lock(member.id)
        now = db.now()
        if once is not None and (answer := tx.requests.answered(member.id, once, now - REMEMBERED)):
            return _answered(tx, answer, now)
        recorded = _record(tx, member, drafts, now)
        fresh = [one.contribution for one in recorded if not one.known]
        checkpoint = tx.audit.append(now, actor, [_added(member, contribution) for contribution in fresh])
        receipt = Receipt(recorded, checkpoint)
        if once is not None:
            tx.requests.remember(member.id, once, _ids(receipt), now, now - REMEMBERED)
    return receipt


def repeated(db: HashDB, actor: Actor, once: Once | None) -> Receipt | None:
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


def check(db: HashDB, drafts: Sequence[Draft], now: datetime, at: str = "contributions") -> None:
    """Raise InvalidInput with every fault of the drafts, each at `at[i].field`."""
    faults = [
        Fault(f"{at}[{position}].{fault.at}", fault.reason)
        for position, draft in enumerate(drafts)
        for fault in db.rules.draft_faults(draft, now)
    ]
    if faults:
        raise InvalidInput(tuple(faults))


def get(db: HashDB, actor: Actor, id: int) -> Contribution:
    """One contribution, as much of it as the actor may see. Raises NotFound."""
    actor.require()
    if id == TEST_ID:
        return contribution_of_test(db.rules.algorithms)
    with db.store.read() as tx:
        found = tx.contributions.one(id, db.now())
        if visible(tx, actor, found):
            return _shown(actor, found)
    raise NotFound(f"contribution {id}")


def page(db: HashDB, actor: Actor, chosen: Filter, after: int, limit: int) -> tuple[Contribution, ...]:
    """At most `limit` contributions with ids above `after`: the member's own, or any with `audit`."""
    actor.require()
    if not actor.has(Scope.AUDIT) and actor.member is not None:
        if chosen.member not in (None, actor.member.id):
            raise ScopeMissing(Scope.AUDIT)
        chosen = replace(chosen, member=actor.member.id)
    with db.store.read() as tx:
        found = tx.contributions.page(chosen, after, limit, db.now())
    return tuple(_shown(actor, contribution) for contribution in found)


def amend(db: HashDB, actor: Actor, id: int, asked: Amendment) -> Contribution:
    """Change what a member said of its own contribution. Raises InvalidInput, NotFound, NotYours, NotActive."""
    actor.require_member(Scope.CONTRIBUTE)
    now = db.now()
    if faults := tuple(db.rules.amendment_faults(asked, now)):
        raise InvalidInput(faults)
    with db.store.begin() as tx:
        found = _own(tx, actor, id, now)
        if found.status is not Status.ACTIVE:
            raise NotActive(id, found.status)
        fields = tx.contributions.amend(found, asked, now)
        amended = tx.contributions.one(id, now)
        if fields:
            details = _amended(amended, fields)
            tx.audit.append(now, actor, [Entry(Action.CONTRIBUTION_AMENDED, "contribution", id, details)])
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
        return tx.contributions.one(id, now)


def announce(db: HashDB, limit: int = 500) -> int:
    """Tell the log of at most `limit` contributions that expired, or whose member was suspended or reinstated.

    Returns how many there were; call again while that is `limit`. Interrupted, it goes on where it was.
    """
    now = db.now()
    with db.store.read() as tx:
        if not tx.statuses.owed(now, 1, hold=False):
            return 0
    with db.store.begin() as tx:
        owed = sorted(tx.statuses.owed(now, limit), key=lambda one: one.now)
        for status, group in groupby(owed, key=lambda one: one.now):
            tx.statuses.announce([one.id for one in group], status)
        tx.audit.append(now, SYSTEM, [_told(one) for one in owed])
    return len(owed)


def visible(tx: Transaction, actor: Actor, contribution: Contribution) -> bool:
    """Whether the actor may see that there is this contribution, and what is said of it."""
    if owns(actor, contribution) or actor.has(Scope.AUDIT):
        return True
    if contribution.status is Status.ACTIVE and contribution.standing.matches:
        if actor.has(Scope.MATCH) or actor.has(Scope.FEED):
            return True
    return actor.has(Scope.REVIEW) and bool(tx.cases.of([contribution.id]))


def owns(actor: Actor, contribution: Contribution) -> bool:
    """Whether it is a contribution of the actor's member."""
    return actor.member is not None and actor.member.id == contribution.member


_ANNOUNCED = {
    Status.ACTIVE: Action.CONTRIBUTION_REINSTATED,
    Status.EXPIRED: Action.CONTRIBUTION_EXPIRED,
    Status.SUSPENDED: Action.CONTRIBUTION_SUSPENDED,
}


def _record(tx: Transaction, member: Member, drafts: Sequence[Draft], now: datetime) -> tuple[Recorded, ...]:
    fingerprints = [draft.fingerprint() for draft in drafts]
    known = tx.contributions.known(member.id, set(fingerprints), now)
    firsts: dict[bytes, Draft] = {}
    for fingerprint, draft in zip(fingerprints, drafts, strict=True):
        if fingerprint not in known:
            firsts.setdefault(fingerprint, draft)
    _within_limit(tx, member, len(firsts), now)
    added = dict(zip(firsts, tx.contributions.add(member, list(firsts.values()), now), strict=True))
    old = tx.contributions.get(known.values(), now)
    recorded = []
    for fingerprint in fingerprints:
        if fingerprint in known:
            recorded.append(Recorded(old[known[fingerprint]], known=True))
        else:
            recorded.append(Recorded(added[fingerprint], known=firsts.pop(fingerprint, None) is None))
    return tuple(recorded)


def _within_limit(tx: Transaction, member: Member, count: int, now: datetime) -> None:
    limit = tx.members.get(member.id).limits.contributions_per_day
    if limit is None:
        return
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if tx.contributions.received_since(member.id, midnight) + count > limit:
        seconds = (midnight + _DAY - now).total_seconds()
        raise LimitReached(f"{limit:,} contributions a day", int(seconds) + 1)


def _added(member: Member, contribution: Contribution) -> Entry:
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
    pairs = [[one.contribution.id, one.known] for one in receipt.recorded]
    return {"contributions": pairs, "checkpoint": receipt.checkpoint}


def _answered(tx: Transaction, answer: Mapping[str, object], now: datetime) -> Receipt:
    pairs = answer["contributions"]
    checkpoint = answer["checkpoint"]
    assert isinstance(pairs, list) and isinstance(checkpoint, int)
    found = tx.contributions.get([id for id, _ in pairs], now)
    return Receipt(tuple(Recorded(found[id], known) for id, known in pairs), checkpoint)


def take_back(tx: Transaction, actor: Actor, found: Contribution, reason: str, now: datetime) -> None:
    """Withdraw a contribution, which is held, and tell the log."""
    tx.contributions.withdraw(found.id, reason, now)
    details = {"reason": reason, "before": str(found.status)}
    tx.audit.append(now, actor, [Entry(Action.CONTRIBUTION_WITHDRAWN, "contribution", found.id, details)])


def _told(owed: Owed) -> Entry:
    return Entry(_ANNOUNCED[owed.now], "contribution", owed.id, {"before": str(owed.told)})


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


def _shown(actor: Actor, contribution: Contribution) -> Contribution:
    close = owns(actor, contribution) or actor.has(Scope.AUDIT)
    return contribution.shown(signals=close or actor.has(Scope.FEED), reference=close)
