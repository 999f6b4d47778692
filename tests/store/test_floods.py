"""Floods in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.contributions import Standing
from hashdb.domain.floods import Flood
from hashdb.domain.members import Member
from hashdb.store import Store
from tests.builders import NOON, draft

STEP = timedelta(minutes=5)


def test_hits_of_the_last_hour_are_added_up_and_old_ones_forgotten(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two = (made.id for made in tx.contributions.add(member, [draft(1), draft(2)], NOON, [None, None]))
        tx.floods.add({(one, 1, NOON): 2, (one, 2, NOON): 1, (two, 0, NOON): 9, (99, 1, NOON): 9}, NOON)
        tx.floods.add({(one, 1, NOON): 3, (one, 1, NOON + STEP): 1}, NOON + STEP)
        assert tx.floods.over(6, NOON + STEP) == (Flood(one, 7, 2), Flood(two, 9, None))
        assert tx.floods.over(7, NOON + STEP) == (Flood(two, 9, None),)
        assert tx.floods.over(0, NOON + 12 * STEP) == (Flood(one, 1, 1),)
        tx.floods.add({(one, 1, NOON): 5}, NOON + 12 * STEP)
        assert tx.floods.over(0, NOON + STEP) == (Flood(one, 1, 1),)


def test_what_does_not_match_is_left_out(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two = (made.id for made in tx.contributions.add(member, [draft(1), draft(2)], NOON, [None, None]))
        tx.floods.add({(one, 1, NOON): 2, (two, 1, NOON): 2}, NOON)
        tx.statuses.judge([one], Standing.RETIRED)
        tx.contributions.withdraw(two, "other", NOON)
        assert tx.floods.over(1, NOON) == ()
