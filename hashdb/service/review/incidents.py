"""Incidents: opened, changed and closed by an administrator; what was contributed under their labels follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft, IncidentEffect, end_fault
from hashdb.domain.rules import incident_fault
from hashdb.domain.times import format_instant
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB
from hashdb.service.contributions.expiry import settle


def page(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Incident, ...]:
    """At most `limit` incidents with ids above `after`, in order."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.incidents.page(after, limit)


def get(db: HashDB, actor: Actor, id: int) -> Incident:
    """One incident. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.incidents.one(id)


def named(db: HashDB, actor: Actor, labels: Collection[str]) -> Mapping[str, int]:
    """How many contributions have each of these labels and have not ended."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.incidents.held(labels, db.now())


def effect(db: HashDB, actor: Actor, asked: Incident) -> IncidentEffect:
    """What becomes of the contributions under an incident's label once it is as asked."""
    actor.require(Scope.AUDIT)
    now = db.now()
    with db.store.read() as tx:
        held = tx.incidents.held([asked.label], now)[asked.label]
        sooner = 0 if asked.expiry is None else tx.incidents.lasting(asked.label, now, asked.expiry)
    return IncidentEffect(held, sooner, asked.expiry, ended=asked.expiry is not None and asked.expiry <= now)


def add(db: HashDB, actor: Actor, draft: IncidentDraft) -> Incident:
    """Open an incident; what was contributed under its label before goes by it, too.

    Raises InvalidInput, IncidentExists.
    """
    actor.require(Scope.ADMIN)
    found = {"label": incident_fault(draft.label), "end": end_fault(draft.start, draft.end)}
    if faults := tuple(Fault(at, reason) for at, reason in found.items() if reason):
        raise InvalidInput(faults)
    with db.store.begin() as tx:
        added = tx.incidents.add(draft)
        details: Details = {"label": added.label, **_told(added)}
        tx.audit.append(db.now(), actor, [Entry(Action.INCIDENT_ADDED, "incident", added.id, details)])
    settle(db, actor)
    return added


def change(db: HashDB, actor: Actor, id: int, asked: IncidentChange) -> Incident:
    """Change when an incident starts or ends, or whether its contributions expire with it: they follow at once.

    Raises NotFound, InvalidInput.
    """
    actor.require(Scope.ADMIN)
    with db.store.begin() as tx:
        before = tx.incidents.one(id, lock=True)
        after = asked.of(before)
        if reason := end_fault(after.start, after.end):
            raise InvalidInput((Fault("end", reason),))
        fields = [name for name in ("end", "expires", "start") if getattr(before, name) != getattr(after, name)]
        if fields:
            tx.incidents.change(after)
            details: Details = {
                "fields": fields,
                **{name: said for name, said in _told(after).items() if name in fields},
            }
            tx.audit.append(db.now(), actor, [Entry(Action.INCIDENT_AMENDED, "incident", id, details)])
    settle(db, actor)
    return after


def _told(incident: Incident) -> Details:
    """What the log tells of an incident beside its label."""
    return {
        "start": format_instant(incident.start),
        "end": None if incident.end is None else format_instant(incident.end),
        "expires": "yes" if incident.expires else "no",
    }
