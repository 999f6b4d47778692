"""Expiry: the earliest of the member's choice, the incident's end and the retention, updated when these change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.contributions import UNSET, Amendment, Contribution, Draft, Status
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.service import HashDB
from hashdb.service.contributions.intake import append_checked, with_intake
from hashdb.service.views import IntakeRules
from hashdb.store import Transaction
from hashdb.store.contributions.statuses import ExpiryFields

BATCH = 500
"""Contributions that one transaction updates."""


def expiry_of(db: HashDB, draft: Draft, now: datetime, rules: IntakeRules) -> datetime | None:
    """When a draft that is recorded now expires; None if it does not."""
    return db.rules.retention.expiry(draft.expires_at, draft.labels, now, rules.incidents.get(draft.incident))


def amend_with_expiry(
    db: HashDB, tx: Transaction, contribution: Contribution, change: Amendment, now: datetime, rules: IntakeRules
) -> tuple[Contribution, tuple[str, ...]]:
    """Change an active contribution and the expiry that follows; return it, and the names of the changed fields.

    `change.expires_at` is the member's own choice. The stored expiry is the earliest of that, the incident's end and
    the retention. `expires_at` is among the names also if only the member's choice changes.
    """
    before = tx.retention.own_expiry(contribution.id)
    own_expiry = before if change.expires_at is UNSET else change.expires_at
    label = contribution.incident if change.incident is UNSET else change.incident
    incident = rules.incidents.get(label)
    labels = contribution.labels if change.labels is UNSET else change.labels
    expires_at = db.rules.retention.expiry(own_expiry, labels, contribution.received_at, incident)
    changed = replace(change, expires_at=expires_at)
    fields = tx.contributions.amend(contribution, changed, now, own_expiry)
    amended = replace(contribution, **{name: getattr(changed, name) for name in fields})
    if expires_at is not None and expires_at <= now:
        amended = replace(amended, status=Status.EXPIRED)
    return amended, fields if own_expiry == before else tuple(sorted({*fields, "expires_at"}))


def put_retention_in_force(db: HashDB) -> None:
    """Put the retention of the settings into force; `settle` applies it to existing contributions."""
    chosen = db.rules.retention
    with db.store.read() as tx:
        if tx.retention.in_force() == chosen:
            return
    with db.store.begin() as tx:
        # In the same order as `_apply_retention`, so that the two cannot deadlock: this row, then the head of the log.
        tx.retention.applied_upto(lock=True)
        tx.audit.lock()
        if tx.retention.in_force() != chosen:
            tx.retention.begin(chosen)
            details: Details = {"days": [f"{label}={days}" for label, days in sorted(chosen.days.items())]}
            tx.audit.append(db.now(), SYSTEM, [LogEntry(Action.SETTINGS_CHANGED, "retention", 1, details)])


def settle(db: HashDB, actor: Actor = SYSTEM) -> int:
    """Apply changed incidents and a changed retention to contributions; return how many incidents there were.

    Logs an event for each contribution whose expiry changes. After an interruption it resumes.
    """
    with db.store.read() as tx:
        incidents = tx.incidents.unsettled()
        # Whether there are contributions to which the retention in force is not applied yet.
        more = tx.retention.applied_upto() is not None
    for incident in incidents:
        after: int | None = 0
        while after is not None:
            after = _apply_incident(db, actor, after, incident.label)
        with db.store.begin() as tx:
            tx.incidents.settle(incident)
    while more:
        more = with_intake(db, lambda rules, seq: _apply_retention(db, rules, seq))
    return len(incidents)


def _apply_incident(db: HashDB, actor: Actor, after: int, label: str) -> int | None:
    """Apply an incident to the next contributions under its label; return the last id, None after the last batch."""

    def apply(rules: IntakeRules, seq: int) -> int | None:
        with db.store.begin() as tx:
            page, now = tx.retention.page(after, BATCH, label), db.now()
            append_checked(tx, now, actor, _set_expiries(db, tx, page, rules, now), seq)
        return page[-1].id if len(page) == BATCH else None

    return with_intake(db, apply)


def _apply_retention(db: HashDB, rules: IntakeRules, seq: int) -> bool:
    """Apply the retention to the next contributions; return whether there are more."""
    with db.store.begin() as tx:
        after = tx.retention.applied_upto(lock=True)
        if after is None or tx.retention.in_force() != db.rules.retention:
            return False
        page = tx.retention.page(after, BATCH)
        more = len(page) == BATCH
        tx.retention.mark_applied(page[-1].id if more else None)
        now = db.now()
        append_checked(tx, now, SYSTEM, _set_expiries(db, tx, page, rules, now), seq)
    return more


def _set_expiries(
    db: HashDB, tx: Transaction, page: Sequence[ExpiryFields], rules: IntakeRules, now: datetime
) -> list[LogEntry]:
    """Set the expiries that follow from the rules; return an event for each that changes."""
    # `moved`: pairs of a contribution and its new expiry. `reinstated`: those that had expired, and no longer have.
    moved, reinstated, entries = [], [], []
    for item in page:
        incident = rules.incidents.get(item.incident)
        expires_at = db.rules.retention.expiry(item.own_expiry, item.labels, item.received_at, incident)
        if expires_at == item.expires_at:
            continue
        moved.append((item.id, expires_at))
        if item.logged is Status.EXPIRED and (expires_at is None or expires_at > now):
            reinstated.append(item.id)
            entries.append(LogEntry(Action.CONTRIBUTION_REINSTATED, "contribution", item.id, {"before": "expired"}))
        else:
            details: Details = {"fields": ["expires_at"]}
            entries.append(LogEntry(Action.CONTRIBUTION_AMENDED, "contribution", item.id, details))
    tx.retention.set_expiries(moved)
    tx.statuses.mark_logged(reinstated, Status.ACTIVE)
    return entries
