"""Contributions with certain signals, in SQL."""

from __future__ import annotations

from hashdb.domain.accounts.members import Member
from hashdb.domain.signals import Algorithm
from hashdb.store import Store
from tests.builders import NOON, draft, signal


def test_contributions_with_a_signal_are_returned_with_any_status(store: Store, member: Member) -> None:
    phash = signal(1, Algorithm.PHASH)
    with store.begin() as tx:
        active, withdrawn, without_signal = tx.contributions.add(member, [draft(1, phash), draft(1), draft(2)], NOON)
        tx.contributions.withdraw(withdrawn.id, "other", NOON)
        contributions = tx.matches.contributions_with([signal(1), phash, signal(9)], 50)
        assert {id: set(shared) for id, shared in contributions.items()} == {
            active.id: {signal(1), phash},
            withdrawn.id: {signal(1)},
        }
        assert len(tx.matches.contributions_with([signal(1)], 1)) == 1
        assert tx.matches.contributions_with([], 1) == {}
        assert without_signal.id not in contributions
