"""Incidents: an administrator opens and changes them; contributions under their labels expire with them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft, IncidentImpact, end_fault
from hashdb.domain.times import format_instant
from hashdb.domain.vocabulary import incident_fault
from hashdb.errors import Fault, reject, reject_field
from hashdb.service import HashDB
from hashdb.service.contributions import expiry


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Incident, ...]:
    """At most `limit` incidents with ids above `after`, in order."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.incidents.page(after, limit)


def get(db: HashDB, actor: Actor, id: int) -> Incident:
    """One incident. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.incidents.one(id)


def count_by_label(db: HashDB, actor: Actor, labels: Collection[str]) -> Mapping[str, int]:
    """By label, how many contributions have it and have not ended."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.incidents.count_contributions(labels, db.now())


def impact(db: HashDB, actor: Actor, incident: Incident) -> IncidentImpact:
    """What a new or changed incident would do to the contributions under its label."""
    now = db.now()
    with db.read(actor, Scope.AUDIT) as tx:
        count = tx.incidents.count_contributions([incident.label], now)[incident.label]
        sooner = 0 if incident.expiry is None else tx.incidents.count_lasting(incident.label, now, incident.expiry)
    ended = incident.expiry is not None and incident.expiry <= now
    return IncidentImpact(held=count, sooner=sooner, expiry=incident.expiry, ended=ended)


def add(db: HashDB, actor: Actor, draft: IncidentDraft) -> Incident:
    """Open an incident; it applies to contributions that already have its label, too.

    Raises InvalidInput, IncidentExists.
    """
    actor.require(Scope.ADMIN)
    reasons = {"label": incident_fault(draft.label), "end": end_fault(draft.start, draft.end)}
    reject(Fault(at, reason) for at, reason in reasons.items() if reason)
    with db.store.begin() as tx:
        added = tx.incidents.add(draft)
        details: Details = {"label": added.label, **_details(added)}
        tx.audit.append(db.now(), actor, [LogEntry(Action.INCIDENT_ADDED, "incident", added.id, details)])
    expiry.settle(db, actor)
    return added


def change(db: HashDB, actor: Actor, id: int, incident_change: IncidentChange) -> Incident:
    """Change when an incident starts or ends, or whether its contributions expire with it; expiries follow at once.

    Raises NotFound, InvalidInput.
    """
    with db.begin(actor, Scope.ADMIN) as tx:
        before = tx.incidents.one(id, lock=True)
        after = incident_change.apply_to(before)
        reject_field("end", end_fault(after.start, after.end))
        fields = [name for name in ("end", "expires", "start") if getattr(before, name) != getattr(after, name)]
        if fields:
            tx.incidents.change(after)
            values = {name: value for name, value in _details(after).items() if name in fields}
            details: Details = {"fields": fields, **values}
            tx.audit.append(db.now(), actor, [LogEntry(Action.INCIDENT_AMENDED, "incident", id, details)])
    expiry.settle(db, actor)
    return after


def _details(incident: Incident) -> Details:
    """The details of an incident in the log, without its label."""
    return {
        "start": format_instant(incident.start),
        "end": None if incident.end is None else format_instant(incident.end),
        "expires": "yes" if incident.expires else "no",
    }
