"""Intake: signals are checked against the rules. A change that was checked against outdated rules is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import SYSTEM
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN
from hashdb.domain.review.incidents import Incident
from hashdb.domain.signals import Algorithm
from hashdb.service import HashDB
from hashdb.service.contributions.intake import StaleRead, append_checked
from hashdb.service.views import IntakeRules
from hashdb.store.matching.benign import BenignSignal
from tests.builders import NOON, draft, near, signal

BENIGN_ENTRIES = (
    BenignSignal(1, signal(1), 15),
    BenignSignal(2, signal(1), 31),
    BenignSignal(3, signal(2), 0),
    BenignSignal(4, signal(1, Algorithm.PHASH), 3),
)


@pytest.mark.parametrize(("distance", "entries"), [(0, {1, 2}), (15, {1, 2}), (16, {2}), (31, {2}), (32, {None})])
def test_each_benign_signal_has_its_own_radius(distance: int, entries: set[int | None]) -> None:
    queried = near(signal(1), distance)
    assert IntakeRules(BENIGN_ENTRIES, ()).close_to_benign([queried]).get(queried) in entries


def test_only_signals_of_the_same_algorithm_are_close() -> None:
    signals = [signal(2), near(signal(2), 1), signal(1, Algorithm.PHASH), signal(1, Algorithm.PHASH256)]
    assert IntakeRules(BENIGN_ENTRIES, ()).close_to_benign(signals) == {signal(2): 3, signal(1, Algorithm.PHASH): 4}
    assert IntakeRules((), ()).close_to_benign(signals) == {}


def test_each_fault_names_its_draft_and_its_field() -> None:
    ended = Incident(1, "CIP:over", NOON - timedelta(days=2), NOON, True)
    rules = IntakeRules(BENIGN_ENTRIES, [ended])
    faults = list(rules.faults([draft(9), draft(9, 2, incident="CIP:over"), draft(8, incident="CI:x")], NOON))
    assert [(position, fault.at) for position, fault in faults] == [(1, "signals[1]"), (1, "incident")]
    assert faults[0][1].reason == CLOSE_TO_BENIGN
    assert rules.incident_fault("CIP:over", NOON - timedelta(microseconds=1)) is None


@pytest.mark.parametrize(
    ("action", "changes"),
    [
        (Action.BENIGN_ADDED, True),
        (Action.INCIDENT_AMENDED, True),
        (Action.CONTRIBUTION_RETIRED, True),
        (Action.CONTRIBUTION_ADDED, False),
        (Action.KEY_ISSUED, False),
    ],
)
def test_a_change_checked_against_outdated_rules_is_not_appended(db: HashDB, action: Action, changes: bool) -> None:
    known = db.index.catch_up().seq
    entry = LogEntry(action, action.partition(".")[0], 1, {})
    with db.store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, [entry])
    if changes:
        with pytest.raises(StaleRead), db.store.begin() as tx:
            append_checked(tx, NOON, SYSTEM, [entry], known)
    else:
        with db.store.begin() as tx:
            append_checked(tx, NOON, SYSTEM, [entry], known)
    with db.store.begin() as tx:
        append_checked(tx, NOON, SYSTEM, [entry], db.index.catch_up().seq)
