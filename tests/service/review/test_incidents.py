"""Incidents: contributions under a label may expire with the incident, and follow its changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.contributions import Amendment, Status
from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft, IncidentImpact
from hashdb.errors import IncidentExists, InvalidInput, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.contributions import contributions
from hashdb.service.matching import matches
from hashdb.service.review import incidents
from tests.builders import NOON, Clock, contributed, draft, member_with, query

DAY = timedelta(days=1)
LABEL = "CIP:example-2026"


def add_incident(
    db: HashDB, end: datetime | None = NOON + DAY, *, expires: bool = True, label: str = LABEL
) -> Incident:
    return incidents.add(db, COMMAND_LINE, IncidentDraft(label, NOON - DAY, end, expires))


def expiry(db: HashDB, actor: Actor, id: int) -> datetime | None:
    return contributions.get(db, actor, id).expires_at


def actions_after_added(db: HashDB, id: int) -> list[str]:
    with db.store.read() as tx:
        return [event.action for event in tx.audit.events(0, 1000, None, None, ("contribution", id))][1:]


def test_contributions_expire_with_their_incident_if_it_expires_them(db: HashDB, actor: Actor) -> None:
    add_incident(db)
    add_incident(db, label="CI:lasting", expires=False)
    sooner, later = NOON + DAY / 2, NOON + 2 * DAY
    items = contributed(
        db,
        actor,
        draft(1, incident=LABEL),
        draft(2, incident=LABEL, expires_at=sooner),
        draft(3, incident=LABEL, expires_at=later),
        draft(4, incident="CI:lasting", expires_at=later),
        draft(5, incident="CI:unknown"),
        draft(6),
    )
    expected = [NOON + DAY, sooner, NOON + DAY, later, None, None]
    assert [item.expires_at for item in items] == expected
    assert [expiry(db, actor, item.id) for item in items] == expected


def test_adding_an_incident_sets_the_expiry_of_older_contributions(db: HashDB, actor: Actor) -> None:
    labelled, unlabelled = contributed(db, actor, draft(1, incident=LABEL), draft(2))
    add_incident(db)
    assert (expiry(db, actor, labelled.id), expiry(db, actor, unlabelled.id)) == (NOON + DAY, None)
    assert (actions_after_added(db, labelled.id), actions_after_added(db, unlabelled.id)) == (
        ["contribution.amended"],
        [],
    )


def test_changing_an_incident_changes_the_expiry_of_its_contributions(db: HashDB, actor: Actor, clock: Clock) -> None:
    incident = add_incident(db, None)
    without_expiry, with_own_expiry = contributed(
        db, actor, draft(1, incident=LABEL), draft(2, incident=LABEL, expires_at=NOON + timedelta(hours=3))
    )
    assert without_expiry.expires_at is None
    incidents.change(db, COMMAND_LINE, incident.id, IncidentChange(end=NOON + timedelta(hours=2)))
    assert [expiry(db, actor, id) for id in (without_expiry.id, with_own_expiry.id)] == [NOON + timedelta(hours=2)] * 2
    incidents.change(db, COMMAND_LINE, incident.id, IncidentChange(end=NOON + DAY))
    assert [expiry(db, actor, id) for id in (without_expiry.id, with_own_expiry.id)] == [
        NOON + DAY,
        NOON + timedelta(hours=3),
    ]
    incidents.change(db, COMMAND_LINE, incident.id, IncidentChange(expires=False))
    assert [expiry(db, actor, id) for id in (without_expiry.id, with_own_expiry.id)] == [
        None,
        NOON + timedelta(hours=3),
    ]
    clock.advance(hours=1)
    incidents.change(db, COMMAND_LINE, incident.id, IncidentChange(end=NOON + timedelta(minutes=1), expires=True))
    assert contributions.get(db, actor, without_expiry.id).status is Status.EXPIRED
    assert matches.match(db, actor, [query(1)]).results[0].matches == ()


def test_a_later_end_reinstates_contributions_that_expired_with_the_incident(
    db: HashDB, actor: Actor, other: Actor, clock: Clock
) -> None:
    incident = add_incident(db)
    without_expiry, withdrawn, with_own_expiry = contributed(
        db,
        actor,
        draft(1, incident=LABEL),
        draft(2, incident=LABEL),
        draft(3, incident=LABEL, expires_at=NOON + timedelta(hours=1)),
    )
    contributions.withdraw(db, actor, withdrawn.id, "other")
    clock.advance(days=2)
    assert contributions.emit_pending(db) == 2
    incidents.change(db, COMMAND_LINE, incident.id, IncidentChange(end=NOON + 3 * DAY))
    assert actions_after_added(db, without_expiry.id) == ["contribution.expired", "contribution.reinstated"]
    statuses = [contributions.get(db, actor, item.id).status for item in (without_expiry, withdrawn, with_own_expiry)]
    assert statuses == [Status.ACTIVE, Status.WITHDRAWN, Status.EXPIRED]
    answer = matches.match(db, other, [query(1), query(2), query(3)])
    assert [len(result.matches) for result in answer.results] == [1, 0, 0]
    assert contributions.emit_pending(db) == 0


def test_drafts_under_an_ended_incident_that_expires_them_are_rejected(db: HashDB, actor: Actor, clock: Clock) -> None:
    add_incident(db)
    add_incident(db, label="CI:lasting", expires=False)
    (contribution,) = contributed(db, actor, draft(7))
    clock.advance(days=1)
    with pytest.raises(InvalidInput) as caught:
        contributions.contribute(db, actor, [draft(1), draft(2, incident=LABEL)])
    assert [fault.at for fault in caught.value.faults] == ["contributions[1].incident"]
    with pytest.raises(InvalidInput) as caught:
        contributions.amend(db, actor, contribution.id, Amendment(incident=LABEL))
    assert [fault.at for fault in caught.value.faults] == ["incident"]
    contributed(db, actor, draft(1, incident="CI:lasting"))


def test_the_expiry_of_an_amended_contribution_follows_its_new_fields(db: HashDB, actor: Actor) -> None:
    add_incident(db)
    (contribution,) = contributed(db, actor, draft(1, expires_at=NOON + 2 * DAY))
    labelled = contributions.amend(db, actor, contribution.id, Amendment(incident=LABEL))
    assert labelled.expires_at == NOON + DAY
    later = contributions.amend(db, actor, contribution.id, Amendment(expires_at=NOON + 3 * DAY))
    assert later.expires_at == NOON + DAY
    assert contributions.amend(db, actor, contribution.id, Amendment(severity=1)).expires_at == NOON + DAY
    unlabelled = contributions.amend(db, actor, contribution.id, Amendment(incident=None))
    assert unlabelled.expires_at == NOON + 3 * DAY
    with db.store.read() as tx:
        events = tx.audit.events(0, 1000, None, "contribution.amended", None)
    assert [event.details["fields"] for event in events] == [
        ["expires_at", "incident"],
        ["expires_at"],
        ["severity"],
        ["expires_at", "incident"],
    ]


def test_a_second_incident_with_the_same_label_is_rejected(db: HashDB) -> None:
    add_incident(db)
    with pytest.raises(IncidentExists):
        add_incident(db)


def test_incidents_are_listed_in_pages(db: HashDB) -> None:
    added = [add_incident(db, label=f"CI:{number}") for number in range(3)]
    assert incidents.page(db, COMMAND_LINE, 0, 2) == tuple(added[:2])
    assert incidents.page(db, COMMAND_LINE, added[1].id, 2) == (added[2],)
    assert incidents.get(db, COMMAND_LINE, added[1].id) == added[1]
    with pytest.raises(NotFound):
        incidents.get(db, COMMAND_LINE, 99)
    with pytest.raises(NotFound):
        incidents.change(db, COMMAND_LINE, 99, IncidentChange(expires=True))


def test_invalid_incidents_are_rejected_and_an_unchanged_one_is_not_logged(db: HashDB) -> None:
    with pytest.raises(InvalidInput) as caught:
        incidents.add(db, COMMAND_LINE, IncidentDraft("example", NOON, NOON))
    assert [fault.at for fault in caught.value.faults] == ["label", "end"]
    incident = add_incident(db)
    for change in (IncidentChange(end=incident.start), IncidentChange(start=NOON + DAY)):
        with pytest.raises(InvalidInput):
            incidents.change(db, COMMAND_LINE, incident.id, change)
    head = db.store.head()
    assert incidents.change(db, COMMAND_LINE, incident.id, IncidentChange(end=incident.end)) == incident
    assert db.store.head() == head


VERBS: list[Callable[[HashDB, Actor], object]] = [
    lambda db, actor: incidents.add(db, actor, IncidentDraft(LABEL, NOON)),
    lambda db, actor: incidents.change(db, actor, 1, IncidentChange()),
]


@pytest.mark.parametrize("verb", VERBS)
def test_only_administrators_may_change_incidents(db: HashDB, verb: Callable[[HashDB, Actor], object]) -> None:
    with pytest.raises(ScopeMissing):
        verb(db, member_with(db, *(scope for scope in Scope if scope is not Scope.ADMIN)))


def test_the_impact_of_an_incident_is_computed_before_it_is_added(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1, incident=LABEL), draft(2, incident=LABEL, expires_at=NOON + DAY / 2), draft(3))
    incident = Incident(0, LABEL, NOON - DAY, NOON + DAY, True)
    auditor = member_with(db, Scope.AUDIT)
    assert incidents.impact(db, auditor, incident) == IncidentImpact(2, 1, NOON + DAY, ended=False)
    assert incidents.impact(db, auditor, replace(incident, end=NOON)) == IncidentImpact(2, 2, NOON, ended=True)
    assert incidents.impact(db, auditor, replace(incident, expires=False)) == IncidentImpact(2, 0, None, ended=False)
    assert incidents.count_by_label(db, auditor, [LABEL, "CI:other"]) == {LABEL: 2, "CI:other": 0}


def test_auditors_may_read_incidents_and_reviewers_may_not(db: HashDB) -> None:
    incident, auditor = add_incident(db), member_with(db, Scope.AUDIT)
    assert incidents.page(db, auditor, 0, 9) == (incidents.get(db, auditor, incident.id),) == (incident,)
    with pytest.raises(ScopeMissing):
        incidents.get(db, member_with(db, Scope.REVIEW), incident.id)
