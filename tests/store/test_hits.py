"""Hits in SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hashdb.domain.hits import Hit
from hashdb.domain.members import Member
from hashdb.store import Store
from tests.builders import NOON, draft

HOUR = timedelta(hours=1)
HIT = Hit(NOON.date(), 3, 17, NOON, NOON + HOUR, 9, 2, {"pdq": 6})


def test_hits_of_one_day_become_one(store: Store) -> None:
    later = replace(HIT, first_at=NOON - HOUR, last_at=NOON, times=5, distance={"phash": 2})
    with store.begin() as tx:
        tx.hits.add([HIT, replace(HIT, member=4, first_at=NOON + HOUR), replace(HIT, contribution=18)])
        tx.hits.add([later])
    with store.read() as tx:
        assert sorted(tx.hits.firsts(NOON + 2 * HOUR)) == [
            (17, 3, NOON - HOUR),
            (17, 4, NOON + HOUR),
            (18, 3, NOON),
        ]
        assert sorted(tx.hits.firsts(NOON)) == [(17, 3, NOON - HOUR)]


def test_contributors_are_found(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two = tx.contributions.add(member, [draft(1), draft(2)], NOON)
        assert tx.hits.contributors([one.id, two.id, 99]) == {one.id: member.id, two.id: member.id}
