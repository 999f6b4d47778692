"""Floods in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Standing
from hashdb.domain.matching.matches import Flood
from hashdb.store import Store
from tests.builders import NOON, draft

STEP = timedelta(minutes=5)


def test_hits_of_the_last_hour_are_added_up_and_old_ones_forgotten(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two = (made.id for made in tx.contributions.add(member, [draft(1), draft(2)], NOON, [None, None]))
        a, b, c = (member.id + number for number in (1, 2, 3))
        old = {(one, a, NOON): 2, (one, b, NOON): 1, (two, a, NOON): 9, (two, b, NOON): 9, (99, a, NOON): 9}
        tx.floods.add(old, NOON)
        late = {(one, a, NOON + STEP): 1, (one, b, NOON + STEP): 2, (one, c, NOON + STEP): 1}
        tx.floods.add({(one, a, NOON): 3, **late}, NOON + STEP)
        # Of the first member's six hits two count, of the next one's three two, and one.
        assert tx.floods.above_cap(4, NOON + STEP) == (Flood(one, 10, 3),)
        assert tx.floods.above_cap(5, NOON + STEP) == ()
        assert tx.floods.above_cap(3, NOON + 12 * STEP) == ()
        assert tx.floods.above_cap(2, NOON + 12 * STEP) == (Flood(one, 4, 3),)
        tx.floods.add({(one, a, NOON): 5}, NOON + 12 * STEP)
        assert tx.floods.above_cap(2, NOON + STEP) == (Flood(one, 4, 3),)


def test_the_contributors_own_hits_do_not_count(store: Store, member: Member) -> None:
    with store.begin() as tx:
        (one,) = (made.id for made in tx.contributions.add(member, [draft(1)], NOON, [None]))
        own = {(one, member.id, NOON): 99}
        tx.floods.add(own | {(one, member.id + 1, NOON): 1, (one, member.id + 2, NOON): 1}, NOON)
        assert tx.floods.above_cap(1, NOON) == ()
        tx.floods.add({(one, member.id + 3, NOON): 1}, NOON)
        assert tx.floods.above_cap(2, NOON) == (Flood(one, 3, 3),)


def test_what_does_not_match_is_left_out(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two = (made.id for made in tx.contributions.add(member, [draft(1), draft(2)], NOON, [None, None]))
        others = range(member.id + 1, member.id + 4)
        tx.floods.add({(id, other, NOON): 2 for id in (one, two) for other in others}, NOON)
        assert len(tx.floods.above_cap(1, NOON)) == 2
        tx.statuses.set_standing([one], Standing.RETIRED)
        tx.contributions.withdraw(two, "other", NOON)
        assert tx.floods.above_cap(1, NOON) == ()
