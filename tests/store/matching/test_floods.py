"""The hits of the flood guard in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Standing
from hashdb.domain.matching.floods import Flood
from hashdb.store import Store
from tests.builders import NOON, draft

STEP = timedelta(minutes=5)


def test_hits_of_the_last_hour_are_added_up_and_older_ones_deleted(store: Store, member: Member) -> None:
    with store.begin() as tx:
        first, second = (added.id for added in tx.contributions.add(member, [draft(1), draft(2)], NOON, [None, None]))
        a, b, c = (member.id + number for number in (1, 2, 3))
        old = {(first, a, NOON): 2, (first, b, NOON): 1, (second, a, NOON): 9, (second, b, NOON): 9, (99, a, NOON): 9}
        tx.floods.add(old, NOON)
        late = {(first, a, NOON + STEP): 1, (first, b, NOON + STEP): 2, (first, c, NOON + STEP): 1}
        tx.floods.add({(first, a, NOON): 3, **late}, NOON + STEP)
        # The members a, b and c have 6, 3 and 1 hits. With the cap 4, at most 2 of each member count: 5 in all.
        assert tx.floods.above_cap(4, NOON + STEP) == (Flood(first, 10, 3),)
        assert tx.floods.above_cap(5, NOON + STEP) == ()
        assert tx.floods.above_cap(3, NOON + 12 * STEP) == ()
        assert tx.floods.above_cap(2, NOON + 12 * STEP) == (Flood(first, 4, 3),)
        tx.floods.add({(first, a, NOON): 5}, NOON + 12 * STEP)
        assert tx.floods.above_cap(2, NOON + STEP) == (Flood(first, 4, 3),)


def test_hits_of_the_contributor_do_not_count(store: Store, member: Member) -> None:
    with store.begin() as tx:
        (id,) = (added.id for added in tx.contributions.add(member, [draft(1)], NOON, [None]))
        own = {(id, member.id, NOON): 99}
        tx.floods.add(own | {(id, member.id + 1, NOON): 1, (id, member.id + 2, NOON): 1}, NOON)
        assert tx.floods.above_cap(1, NOON) == ()
        tx.floods.add({(id, member.id + 3, NOON): 1}, NOON)
        assert tx.floods.above_cap(2, NOON) == (Flood(id, 3, 3),)


def test_retired_and_withdrawn_contributions_are_not_returned(store: Store, member: Member) -> None:
    with store.begin() as tx:
        retired, withdrawn = (
            added.id for added in tx.contributions.add(member, [draft(1), draft(2)], NOON, [None, None])
        )
        others = range(member.id + 1, member.id + 4)
        tx.floods.add({(id, other, NOON): 2 for id in (retired, withdrawn) for other in others}, NOON)
        assert len(tx.floods.above_cap(1, NOON)) == 2
        tx.statuses.set_standing([retired], Standing.RETIRED)
        tx.contributions.withdraw(withdrawn, "other", NOON)
        assert tx.floods.above_cap(1, NOON) == ()
