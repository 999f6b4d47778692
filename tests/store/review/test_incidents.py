"""Incidents in SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.review.incidents import IncidentDraft
from hashdb.errors import IncidentExists, NotFound
from hashdb.store import Store
from tests.builders import NOON

DAY = timedelta(days=1)


def test_an_incident_is_returned_as_it_was_added_and_changed(store: Store) -> None:
    with store.begin() as tx:
        added = tx.incidents.add(IncidentDraft("CI:x", NOON, None, True))
        other = tx.incidents.add(IncidentDraft("CI:y", NOON - DAY, NOON))
    changed = replace(added, start=NOON - DAY, end=NOON + DAY, expires=False)
    with store.begin() as tx:
        assert tx.incidents.one(added.id, lock=True) == added
        tx.incidents.change(changed)
    with store.read() as tx:
        assert tx.incidents.all() == tx.incidents.page(0, 9) == (changed, other)
        assert tx.incidents.page(added.id, 9) == (other,)
        with pytest.raises(NotFound):
            tx.incidents.one(99)


def test_a_second_incident_with_the_same_label_is_rejected(store: Store) -> None:
    with store.begin() as tx:
        tx.incidents.add(IncidentDraft("CI:x", NOON))
    with pytest.raises(IncidentExists), store.begin() as tx:
        tx.incidents.add(IncidentDraft("CI:x", NOON))


def test_settling_an_outdated_incident_has_no_effect(store: Store) -> None:
    with store.begin() as tx:
        incident = tx.incidents.add(IncidentDraft("CI:x", NOON))
        changed = replace(incident, end=NOON + DAY)
        tx.incidents.change(changed)
        tx.incidents.settle(incident)
        assert tx.incidents.unsettled() == (changed,)
        tx.incidents.settle(changed)
        assert tx.incidents.unsettled() == ()
        tx.incidents.change(incident)
        assert tx.incidents.unsettled() == (incident,)
