"""Refusals in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.audit import Action, Entry
from hashdb.domain.members import SYSTEM
from hashdb.store import Store
from tests.builders import NOON


def test_what_is_to_be_told_adds_up_until_it_is_told(store: Store) -> None:
    with store.begin() as tx:
        tx.refusals.add({"no-key": 1, "unknown-key": 2})
        tx.refusals.add({"no-key": 4})
        tx.refusals.add({})
        assert tx.refusals.untold() == {"no-key": 5, "unknown-key": 2}
        tx.refusals.forget()
        assert tx.refusals.untold() == {}


def test_the_last_event_of_a_subject_is_found(store: Store) -> None:
    with store.begin() as tx:
        for hours, action in enumerate((Action.AUTH_REFUSED, Action.AUTH_REFUSED, Action.FEED_READ)):
            tx.audit.append(NOON + timedelta(hours=hours), SYSTEM, [Entry(action, "key", 9, {})])
        assert tx.refusals.last_told("key", 9) == NOON + timedelta(hours=1)
        assert tx.refusals.last_told("key", 10) is None
