"""Retention and expiry in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Status
from hashdb.domain.review.incidents import Retention
from hashdb.store import Store
from tests.builders import NOON, draft

DAY = timedelta(days=1)


def test_the_retention_in_force_and_how_far_it_has_come_are_kept(store: Store) -> None:
    with store.begin() as tx:
        assert (tx.retention.in_force(), tx.retention.applied_upto()) == (Retention({}), None)
        tx.retention.begin(Retention({"manifesto": 7}))
        assert (tx.retention.in_force(), tx.retention.applied_upto(lock=True)) == (Retention({"manifesto": 7}), 0)
        tx.retention.mark_applied(5)
        assert tx.retention.applied_upto() == 5
        tx.retention.mark_applied(None)
        assert tx.retention.applied_upto() is None
        tx.retention.begin(Retention({}))
        assert (tx.retention.in_force(), tx.retention.applied_upto()) == (Retention({}), 0)


def test_what_a_member_asked_is_kept_beside_what_is_in_force(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two, gone = tx.contributions.add(
            member,
            [draft(1, expires_at=NOON + 9 * DAY, incident="CI:x"), draft(2), draft(3)],
            NOON,
            [NOON + DAY, None, None],
        )
        tx.contributions.withdraw(gone.id, "other", NOON)
        assert (one.expires_at, tx.retention.own_expiry(one.id), tx.retention.own_expiry(two.id)) == (
            NOON + DAY,
            NOON + 9 * DAY,
            None,
        )
        assert tx.contributions.one(one.id, NOON) == one
        first, second = tx.retention.page(0, 9)
        assert (first.own_expiry, first.expires_at, first.incident) == (NOON + 9 * DAY, NOON + DAY, "CI:x")
        assert (first.labels, first.received_at, first.logged) == (one.labels, NOON, Status.ACTIVE)
        assert tx.retention.page(0, 9, "CI:x") == (first,)
        assert tx.retention.page(one.id, 9) == (second,)
        tx.retention.set_expiries([(one.id, None), (two.id, NOON + DAY)])
        found = tx.contributions.get([one.id, two.id], NOON)
        assert (found[one.id].expires_at, found[two.id].expires_at) == (None, NOON + DAY)
        assert tx.retention.own_expiry(one.id) == NOON + 9 * DAY
