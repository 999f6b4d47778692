"""Receipts: what is recorded of drafts, what the log tells of it, and what a repeated request is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from hashdb.domain.audit import Action, Entry
from hashdb.domain.contributions import Contribution, Draft, Receipt, Recorded
from hashdb.domain.members import Member
from hashdb.errors import LimitReached
from hashdb.service import HashDB
from hashdb.service.admission import Admission
from hashdb.service.expiry import expiry_of
from hashdb.store import Transaction

_DAY = timedelta(days=1)


def record(
    db: HashDB, tx: Transaction, member: Member, drafts: Sequence[Draft], now: datetime, admission: Admission
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
    expiries = [expiry_of(db, draft, now, admission) for draft in fresh]
    new = dict(zip(firsts, tx.contributions.add(member, fresh, now, expiries), strict=True))
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


def ids(receipt: Receipt) -> Mapping[str, object]:
    """What is remembered of a receipt; `answered` is the inverse."""
    pairs = [[one.contribution.id, one.known] for one in receipt.recorded]
    return {"contributions": pairs, "checkpoint": receipt.checkpoint}


def answered(tx: Transaction, answer: Mapping[str, object], now: datetime) -> Receipt:
    """The receipt of which this was remembered, with the contributions as they are now."""
    pairs = answer["contributions"]
    checkpoint = answer["checkpoint"]
    assert isinstance(pairs, list) and isinstance(checkpoint, int)
    found = tx.contributions.get([id for id, _ in pairs], now)
    return Receipt(tuple(Recorded(found[id], known) for id, known in pairs), checkpoint)
