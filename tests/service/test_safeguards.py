"""Safeguards: their settings are in the log, each time a service starts with others."""

from __future__ import annotations

from dataclasses import replace

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.events import Action, Details, Event, LogEntry
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import MatchLog
from hashdb.service import HashDB, health
from tests.builders import RULES


def told(db: HashDB) -> tuple[Event, ...]:
    with db.store.read() as tx:
        return tx.audit.events(0, 100, None, "settings.changed", None)


def test_a_service_that_starts_with_other_settings_says_which_and_what_they_were(db: HashDB) -> None:
    health.log_safeguards(db)
    assert told(db) == ()
    db.rules = replace(RULES, flood_cap=100, two_persons=True)
    for _ in range(2):
        health.log_safeguards(db)
    (first,) = told(db)
    chosen = {"two_persons": "yes", "flood_cap": 100, "match_log": "hits", "max_radius": [], "budgets": []}
    assert (first.actor, first.subject) == (str(SYSTEM), "safeguards:1")
    assert first.details == chosen | {"before": ["flood_cap=none", "two_persons=no"]}
    db.rules = replace(RULES, flood_cap=50, two_persons=True, max_radius={Algorithm.PDQ: 60, Algorithm.PHASH: 12})
    db.rules = replace(db.rules, budgets={Budget.QUERIES: 9})
    db.match_log = MatchLog.COUNTS
    health.log_safeguards(db)
    chosen |= {"flood_cap": 50, "match_log": "counts", "max_radius": ["pdq=60", "phash=12"], "budgets": ["queries=9"]}
    before = ["budgets=none", "flood_cap=100", "match_log=hits", "max_radius=none"]
    assert told(db)[1].details == chosen | {"before": before}
    db.rules, db.match_log = RULES, MatchLog.HITS
    for _ in range(2):
        health.log_safeguards(db)
    assert [event.details["before"] for event in told(db)[2:]] == [
        ["budgets=queries=9", "flood_cap=50", "match_log=counts", "max_radius=pdq=60,phash=12", "two_persons=yes"]
    ]


def test_an_event_of_a_version_without_budgets_says_that_none_was_set(db: HashDB) -> None:
    details: Details = {"two_persons": "yes", "flood_cap": None, "match_log": "hits", "max_radius": [], "before": []}
    with db.store.begin() as tx:
        tx.audit.append(db.now(), SYSTEM, [LogEntry(Action.SETTINGS_CHANGED, "safeguards", 1, details)])
    db.rules = replace(RULES, two_persons=True)
    health.log_safeguards(db)
    assert len(told(db)) == 1
