"""Expiry: the earliest of what a member asked, its incident's end and the retention; made so where these change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.contributions import UNSET, Amendment, Contribution, Draft, Status
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.service import HashDB
from hashdb.service.contributions.intake import append, with_intake
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.contributions.statuses import Expiring

_BATCH = 500
"""Contributions that one transaction sees to."""


def expiry_of(db: HashDB, draft: Draft, now: datetime, rules: IntakeRules) -> datetime | None:
    """When a draft that is recorded now expires."""
    incident = rules.incidents.get(draft.incident) if draft.incident else None
    return db.rules.retention.expiry(draft.expires_at, draft.labels, now, incident)


def amend_with_expiry(
    db: HashDB, tx: Transaction, found: Contribution, asked: Amendment, now: datetime, rules: IntakeRules
) -> tuple[str, ...]:
    """Change a contribution, and when it expires as follows from that; the names of the fields that changed."""
    before = tx.retention.own(found.id)
    own = before if asked.expires_at is UNSET else asked.expires_at
    label = found.incident if asked.incident is UNSET else asked.incident
    incident = rules.incidents.get(label) if label else None
    labels = found.labels if asked.labels is UNSET else asked.labels
    at = db.rules.retention.expiry(own, labels, found.received_at, incident)
    fields = tx.contributions.amend(found, replace(asked, expires_at=at), now, own)
    return fields if own == before or "expires_at" in fields else tuple(sorted((*fields, "expires_at")))


def start(db: HashDB) -> None:
    """Let the retention of the settings be in force. Contributions that are there go by it once they are settled."""
    chosen = db.rules.retention
    with db.store.read() as tx:
        if tx.retention.in_force() == chosen:
            return
    with db.store.begin() as tx:
        # In the order in which those who are at it take them: this row, then the head of the log.
        tx.retention.after(lock=True)
        tx.audit.hold()
        if tx.retention.in_force() != chosen:
            tx.retention.begin(chosen)
            details: Details = {"days": [f"{label}={days}" for label, days in sorted(chosen.days.items())]}
            tx.audit.append(db.now(), SYSTEM, [Entry(Action.SETTINGS_CHANGED, "retention", 1, details)])


def settle(db: HashDB, actor: Actor = SYSTEM) -> int:
    """Bring contributions level with the incidents and the retention; how many there were of these to see to.

    An event for each contribution that expires at another time. Interrupted, it goes on where it was.
    """
    with db.store.read() as tx:
        incidents, behind = tx.incidents.unsettled(), tx.retention.after() is not None
    for incident in incidents:
        after: int | None = 0
        while after is not None:
            after = _some(db, actor, after, incident.label)
        with db.store.begin() as tx:
            tx.incidents.settle(incident)
    while behind:
        behind = with_intake(db, lambda rules, seq: _retain(db, rules, seq))
    return len(incidents)


def _some(db: HashDB, actor: Actor, after: int, label: str) -> int | None:
    def moved(rules: IntakeRules, seq: int) -> int | None:
        with db.store.begin() as tx:
            page, now = tx.retention.page(after, _BATCH, label), db.now()
            append(tx, now, actor, _move(db, tx, page, rules, now), seq)
        return page[-1].id if len(page) == _BATCH else None

    return with_intake(db, moved)


def _retain(db: HashDB, rules: IntakeRules, seq: int) -> bool:
    """Bring some contributions level with the retention; whether there are more."""
    with db.store.begin() as tx:
        after = tx.retention.after(lock=True)
        if after is None or tx.retention.in_force() != db.rules.retention:
            return False
        page = tx.retention.page(after, _BATCH)
        more = len(page) == _BATCH
        tx.retention.went(page[-1].id if more else None)
        now = db.now()
        append(tx, now, SYSTEM, _move(db, tx, page, rules, now), seq)
    return more


def _move(db: HashDB, tx: Transaction, page: Sequence[Expiring], rules: IntakeRules, now: datetime) -> list[Entry]:
    """Let contributions expire when they are to, and tell of each that did not."""
    moved, back, entries = [], [], []
    for one in page:
        incident = rules.incidents.get(one.incident) if one.incident else None
        at = db.rules.retention.expiry(one.own, one.labels, one.received_at, incident)
        if at == one.expires_at:
            continue
        moved.append((one.id, at))
        if one.told is Status.EXPIRED and (at is None or at > now):
            back.append(one.id)
            entries.append(Entry(Action.CONTRIBUTION_REINSTATED, "contribution", one.id, {"before": "expired"}))
        else:
            details: Details = {"fields": ["expires_at"]}
            entries.append(Entry(Action.CONTRIBUTION_AMENDED, "contribution", one.id, details))
    tx.retention.expire(moved)
    tx.statuses.mark_logged(back, Status.ACTIVE)
    return entries
