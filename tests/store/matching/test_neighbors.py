"""Who holds signals, in SQL."""

from __future__ import annotations

from hashdb.domain.accounts.members import Member
from hashdb.domain.signals import Algorithm
from hashdb.store import Store
from tests.builders import NOON, draft, signal


def test_who_holds_signals_is_told_whatever_the_status(store: Store, member: Member) -> None:
    phash = signal(1, Algorithm.PHASH)
    with store.begin() as tx:
        one, two, three = tx.contributions.add(member, [draft(1, phash), draft(1), draft(2)], NOON)
        tx.contributions.withdraw(two.id, "other", NOON)
        found = tx.matches.contributions_with([signal(1), phash, signal(9)], 50)
        assert {id: set(held) for id, held in found.items()} == {one.id: {signal(1), phash}, two.id: {signal(1)}}
        assert len(tx.matches.contributions_with([signal(1)], 1)) == 1
        assert tx.matches.contributions_with([], 1) == {}
        assert three.id not in found
