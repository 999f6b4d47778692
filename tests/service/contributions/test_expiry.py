"""Expiry and retention: the earliest time applies, also to contributions that are older than the setting."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.contributions import Amendment
from hashdb.domain.review.incidents import Incident, IncidentDraft, Retention
from hashdb.service import HashDB
from hashdb.service.contributions import contributions, expiry
from hashdb.service.review import incidents
from tests.builders import NOON, RULES, Clock, contributed, draft, hashdb, member_with

DAY = timedelta(days=1)
RETENTION = Retention({"graphic_violence": 10, "manifesto": 20})


def settled_service(url: str, clock: Clock, retention: Retention = RETENTION) -> HashDB:
    """A service that has applied this retention to all contributions."""
    db = hashdb(url, clock, replace(RULES, retention=retention))
    expiry.put_retention_in_force(db)
    expiry.settle(db)
    return db


def test_the_earliest_of_expiry_and_retention_applies(database_url: str, clock: Clock) -> None:
    db = settled_service(database_url, clock)
    actor = member_with(db)
    items = contributed(
        db,
        actor,
        draft(1),
        draft(2, labels=("graphic_violence",)),
        draft(3, labels=("manifesto", "graphic_violence", "incitement")),
        draft(4, labels=("manifesto",), expires_at=NOON + DAY),
        draft(5, labels=("manifesto",), expires_at=NOON + 30 * DAY),
    )
    days = [None, 10, 10, 1, 20]
    expected = [None if count is None else NOON + count * DAY for count in days]
    assert [item.expires_at for item in items] == expected
    assert [contributions.get(db, actor, item.id).expires_at for item in items] == expected
    assert contributions.amend(db, actor, items[0].id, Amendment(labels=("manifesto",))).expires_at == NOON + 20 * DAY
    assert contributions.amend(db, actor, items[4].id, Amendment(labels=("incitement",))).expires_at == NOON + 30 * DAY
    clock.advance(days=10)
    assert contributions.emit_pending(db) == 3
    db.close()


def test_a_changed_retention_applies_to_existing_contributions(
    database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 2)
    earlier = settled_service(database_url, clock, Retention({}))
    actor = member_with(earlier)
    items = contributed(earlier, actor, *(draft(seed, labels=("manifesto",)) for seed in range(5)), draft(9))
    earlier.close()
    later = settled_service(database_url, clock)
    shown = [contributions.get(later, actor, item.id).expires_at for item in items]
    assert shown == [NOON + 20 * DAY] * 5 + [None]
    with later.store.read() as tx:
        (settings,) = tx.audit.events(0, 100, None, "settings.changed", None)
        amended = tx.audit.events(0, 100, None, "contribution.amended", None)
    assert settings.details == {"days": ["graphic_violence=10", "manifesto=20"]}
    assert [event.id for event in amended] == [item.id for item in items[:5]]
    head = later.store.head()
    expiry.put_retention_in_force(later)
    expiry.settle(later)
    assert later.store.head() == head
    later.close()
    unlimited = settled_service(database_url, clock, Retention({}))
    assert [contributions.get(unlimited, actor, item.id).expires_at for item in items] == [None] * 6
    unlimited.close()


def test_an_interrupted_settlement_continues_where_it_stopped(
    database_url: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expiry, "BATCH", 2)
    db = settled_service(database_url, clock, Retention({}))
    actor = member_with(db)
    items = contributed(db, actor, *(draft(seed, labels=("manifesto",)) for seed in range(5)))
    db.rules = replace(db.rules, retention=RETENTION)
    expiry.put_retention_in_force(db)
    assert expiry._apply_retention(db, db.intake_rules(), db.index.catch_up().seq)
    with db.store.read() as tx:
        assert tx.retention.applied_upto() == items[1].id
    expiry.settle(db)
    with db.store.read() as tx:
        assert tx.retention.applied_upto() is None
        amended = tx.audit.events(0, 100, None, "contribution.amended", None)
    assert [event.id for event in amended] == [item.id for item in items]
    db.close()


def test_the_end_of_an_incident_applies_before_a_longer_retention(database_url: str, clock: Clock) -> None:
    db = settled_service(database_url, clock)
    actor = member_with(db)
    (contribution,) = contributed(db, actor, draft(1, labels=("manifesto",), incident="CI:x"))
    incident = incidents.add(db, COMMAND_LINE, IncidentDraft("CI:x", NOON, NOON + 5 * DAY, True))
    assert isinstance(incident, Incident)
    assert contributions.get(db, actor, contribution.id).expires_at == NOON + 5 * DAY
    db.close()


def test_a_process_with_an_outdated_retention_settles_nothing(db: HashDB, actor: Actor) -> None:
    contributed(db, actor, draft(1, labels=("manifesto",)))
    db.rules = replace(db.rules, retention=RETENTION)
    expiry.put_retention_in_force(db)
    db.rules = RULES
    head = db.store.head()
    expiry.settle(db)
    assert db.store.head() == head
