"""Incidents: what is contributed under their labels may expire with them, and follows when they change."""

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


def opened(db: HashDB, end: datetime | None = NOON + DAY, *, expires: bool = True, label: str = LABEL) -> Incident:
    return incidents.add(db, COMMAND_LINE, IncidentDraft(label, NOON - DAY, end, expires))


def expiry(db: HashDB, actor: Actor, id: int) -> datetime | None:
    return contributions.get(db, actor, id).expires_at


def told(db: HashDB, id: int) -> list[str]:
    with db.store.read() as tx:
        return [event.action for event in tx.audit.events(0, 1000, None, None, ("contribution", id))][1:]


def test_what_is_contributed_under_an_incident_expires_with_it_where_it_says_so(db: HashDB, actor: Actor) -> None:
    opened(db)
    opened(db, label="CI:lasting", expires=False)
    sooner, later = NOON + DAY / 2, NOON + 2 * DAY
    items = contributed(
        db,
        actor,
        draft(1, incident=LABEL),
        draft(2, incident=LABEL, expires_at=sooner),
        draft(3, incident=LABEL, expires_at=later),
        draft(4, incident="CI:lasting", expires_at=later),
        draft(5, incident="CI:unheard-of"),
        draft(6),
    )
    expected = [NOON + DAY, sooner, NOON + DAY, later, None, None]
    assert [item.expires_at for item in items] == expected
    assert [expiry(db, actor, item.id) for item in items] == expected


def test_what_was_contributed_before_the_incident_was_opened_follows(db: HashDB, actor: Actor) -> None:
    mine, another = contributed(db, actor, draft(1, incident=LABEL), draft(2))
    opened(db)
    assert (expiry(db, actor, mine.id), expiry(db, actor, another.id)) == (NOON + DAY, None)
    assert (told(db, mine.id), told(db, another.id)) == (["contribution.amended"], [])


def test_changing_the_end_acts_on_its_contributions_at_once(db: HashDB, actor: Actor, clock: Clock) -> None:
    one = opened(db, None)
    mine, own = contributed(
        db, actor, draft(1, incident=LABEL), draft(2, incident=LABEL, expires_at=NOON + timedelta(hours=3))
    )
    assert mine.expires_at is None
    incidents.change(db, COMMAND_LINE, one.id, IncidentChange(end=NOON + timedelta(hours=2)))
    assert [expiry(db, actor, id) for id in (mine.id, own.id)] == [NOON + timedelta(hours=2)] * 2
    incidents.change(db, COMMAND_LINE, one.id, IncidentChange(end=NOON + DAY))
    assert [expiry(db, actor, id) for id in (mine.id, own.id)] == [NOON + DAY, NOON + timedelta(hours=3)]
    incidents.change(db, COMMAND_LINE, one.id, IncidentChange(expires=False))
    assert [expiry(db, actor, id) for id in (mine.id, own.id)] == [None, NOON + timedelta(hours=3)]
    clock.go(hours=1)
    incidents.change(db, COMMAND_LINE, one.id, IncidentChange(end=NOON + timedelta(minutes=1), expires=True))
    assert contributions.get(db, actor, mine.id).status is Status.EXPIRED
    assert matches.match(db, actor, [query(1)]).results[0].matches == ()


def test_moving_the_end_on_brings_back_what_had_expired(db: HashDB, actor: Actor, other: Actor, clock: Clock) -> None:
    one = opened(db)
    mine, withdrawn, own = contributed(
        db,
        actor,
        draft(1, incident=LABEL),
        draft(2, incident=LABEL),
        draft(3, incident=LABEL, expires_at=NOON + timedelta(hours=1)),
    )
    contributions.withdraw(db, actor, withdrawn.id, "other")
    clock.go(days=2)
    assert contributions.emit_pending(db) == 2
    incidents.change(db, COMMAND_LINE, one.id, IncidentChange(end=NOON + 3 * DAY))
    assert told(db, mine.id) == ["contribution.expired", "contribution.reinstated"]
    statuses = [contributions.get(db, actor, item.id).status for item in (mine, withdrawn, own)]
    assert statuses == [Status.ACTIVE, Status.WITHDRAWN, Status.EXPIRED]
    answer = matches.match(db, other, [query(1), query(2), query(3)])
    assert [len(result.matches) for result in answer.results] == [1, 0, 0]
    assert contributions.emit_pending(db) == 0


def test_nothing_is_contributed_under_an_incident_that_has_ended_with_its_contributions(
    db: HashDB, actor: Actor, clock: Clock
) -> None:
    opened(db)
    opened(db, label="CI:lasting", expires=False)
    (mine,) = contributed(db, actor, draft(7))
    clock.go(days=1)
    with pytest.raises(InvalidInput) as refusal:
        contributions.contribute(db, actor, [draft(1), draft(2, incident=LABEL)])
    assert [fault.at for fault in refusal.value.faults] == ["contributions[1].incident"]
    with pytest.raises(InvalidInput) as refusal:
        contributions.amend(db, actor, mine.id, Amendment(incident=LABEL))
    assert [fault.at for fault in refusal.value.faults] == ["incident"]
    contributed(db, actor, draft(1, incident="CI:lasting"))


def test_an_amended_contribution_goes_by_what_it_says_now(db: HashDB, actor: Actor) -> None:
    opened(db)
    (mine,) = contributed(db, actor, draft(1, expires_at=NOON + 2 * DAY))
    under = contributions.amend(db, actor, mine.id, Amendment(incident=LABEL))
    assert under.expires_at == NOON + DAY
    later = contributions.amend(db, actor, mine.id, Amendment(expires_at=NOON + 3 * DAY))
    assert later.expires_at == NOON + DAY
    assert contributions.amend(db, actor, mine.id, Amendment(severity=1)).expires_at == NOON + DAY
    out = contributions.amend(db, actor, mine.id, Amendment(incident=None))
    assert out.expires_at == NOON + 3 * DAY
    with db.store.read() as tx:
        events = tx.audit.events(0, 1000, None, "contribution.amended", None)
    assert [event.details["fields"] for event in events] == [
        ["expires_at", "incident"],
        ["expires_at"],
        ["severity"],
        ["expires_at", "incident"],
    ]


def test_a_label_has_one_incident(db: HashDB) -> None:
    opened(db)
    with pytest.raises(IncidentExists):
        opened(db)


def test_incidents_are_listed_page_by_page(db: HashDB) -> None:
    made = [opened(db, label=f"CI:{number}") for number in range(3)]
    assert incidents.page(db, COMMAND_LINE, 0, 2) == tuple(made[:2])
    assert incidents.page(db, COMMAND_LINE, made[1].id, 2) == (made[2],)
    assert incidents.get(db, COMMAND_LINE, made[1].id) == made[1]
    with pytest.raises(NotFound):
        incidents.get(db, COMMAND_LINE, 99)
    with pytest.raises(NotFound):
        incidents.change(db, COMMAND_LINE, 99, IncidentChange(expires=True))


def test_what_makes_no_sense_is_refused_and_what_changes_nothing_is_no_event(db: HashDB) -> None:
    with pytest.raises(InvalidInput) as refusal:
        incidents.add(db, COMMAND_LINE, IncidentDraft("example", NOON, NOON))
    assert [fault.at for fault in refusal.value.faults] == ["label", "end"]
    one = opened(db)
    for asked in (IncidentChange(end=one.start), IncidentChange(start=NOON + DAY)):
        with pytest.raises(InvalidInput):
            incidents.change(db, COMMAND_LINE, one.id, asked)
    head = db.store.head()
    assert incidents.change(db, COMMAND_LINE, one.id, IncidentChange(end=one.end)) == one
    assert db.store.head() == head


VERBS: list[Callable[[HashDB, Actor], object]] = [
    lambda db, actor: incidents.add(db, actor, IncidentDraft(LABEL, NOON)),
    lambda db, actor: incidents.change(db, actor, 1, IncidentChange()),
]


@pytest.mark.parametrize("verb", VERBS)
def test_incidents_are_for_administrators_to_change(db: HashDB, verb: Callable[[HashDB, Actor], object]) -> None:
    with pytest.raises(ScopeMissing):
        verb(db, member_with(db, *(scope for scope in Scope if scope is not Scope.ADMIN)))


def test_the_effect_of_an_incident_is_told_before(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1, incident=LABEL), draft(2, incident=LABEL, expires_at=NOON + DAY / 2), draft(3))
    asked = Incident(0, LABEL, NOON - DAY, NOON + DAY, True)
    auditor = member_with(db, Scope.AUDIT)
    assert incidents.impact(db, auditor, asked) == IncidentImpact(2, 1, NOON + DAY, ended=False)
    assert incidents.impact(db, auditor, replace(asked, end=NOON)) == IncidentImpact(2, 2, NOON, ended=True)
    assert incidents.impact(db, auditor, replace(asked, expires=False)) == IncidentImpact(2, 0, None, ended=False)
    assert incidents.count_by_label(db, auditor, [LABEL, "CI:other"]) == {LABEL: 2, "CI:other": 0}


def test_incidents_are_shown_to_auditors(db: HashDB) -> None:
    one, auditor = opened(db), member_with(db, Scope.AUDIT)
    assert incidents.page(db, auditor, 0, 9) == (incidents.get(db, auditor, one.id),) == (one,)
    with pytest.raises(ScopeMissing):
        incidents.get(db, member_with(db, Scope.REVIEW), one.id)
