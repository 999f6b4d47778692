"""Safeguards: a service that starts with changed settings logs them."""

from __future__ import annotations

from dataclasses import replace

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.events import Action, Details, Event, LogEntry
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import MatchLog
from hashdb.service import HashDB, health
from tests.builders import RULES


def settings_events(db: HashDB) -> tuple[Event, ...]:
    with db.store.read() as tx:
        return tx.audit.events(0, 100, None, "settings.changed", None)


def test_changed_settings_are_logged_with_their_previous_values(db: HashDB) -> None:
    health.log_safeguards(db)
    assert settings_events(db) == ()
    db.rules = replace(RULES, flood_cap=100, two_persons=True)
    for _ in range(2):
        health.log_safeguards(db)
    (first,) = settings_events(db)
    logged = {"two_persons": "yes", "flood_cap": 100, "match_log": "hits", "max_radius": [], "budgets": []}
    assert (first.actor, first.subject) == (str(SYSTEM), "safeguards:1")
    assert first.details == logged | {"before": ["flood_cap=none", "two_persons=no"]}
    db.rules = replace(RULES, flood_cap=50, two_persons=True, max_radius={Algorithm.PDQ: 60, Algorithm.PHASH: 12})
    db.rules = replace(db.rules, budgets={Budget.QUERIES: 9})
    db.match_log = MatchLog.COUNTS
    health.log_safeguards(db)
    logged |= {"flood_cap": 50, "match_log": "counts", "max_radius": ["pdq=60", "phash=12"], "budgets": ["queries=9"]}
    before = ["budgets=none", "flood_cap=100", "match_log=hits", "max_radius=none"]
    assert settings_events(db)[1].details == logged | {"before": before}
    db.rules, db.match_log = RULES, MatchLog.HITS
    for _ in range(2):
        health.log_safeguards(db)
    assert [event.details["before"] for event in settings_events(db)[2:]] == [
        ["budgets=queries=9", "flood_cap=50", "match_log=counts", "max_radius=pdq=60,phash=12", "two_persons=yes"]
    ]


def test_an_older_event_without_budgets_counts_as_no_budget_set(db: HashDB) -> None:
    details: Details = {"two_persons": "yes", "flood_cap": None, "match_log": "hits", "max_radius": [], "before": []}
    with db.store.begin() as tx:
        tx.audit.append(db.now(), SYSTEM, [LogEntry(Action.SETTINGS_CHANGED, "safeguards", 1, details)])
    db.rules = replace(RULES, two_persons=True)
    health.log_safeguards(db)
    assert len(settings_events(db)) == 1
