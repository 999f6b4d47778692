"""Retention and expiry in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import Status
from hashdb.domain.review.incidents import Retention
from hashdb.store import Store
from tests.builders import NOON, draft

DAY = timedelta(days=1)


def test_the_retention_and_the_progress_of_its_application_are_stored(store: Store) -> None:
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


def test_the_members_own_expiry_is_kept_beside_the_effective_one(store: Store, member: Member) -> None:
    with store.begin() as tx:
        with_expiry, without_expiry, withdrawn = tx.contributions.add(
            member,
            [draft(1, expires_at=NOON + 9 * DAY, incident="CI:x"), draft(2), draft(3)],
            NOON,
            [NOON + DAY, None, None],
        )
        tx.contributions.withdraw(withdrawn.id, "other", NOON)
        assert (
            with_expiry.expires_at,
            tx.retention.own_expiry(with_expiry.id),
            tx.retention.own_expiry(without_expiry.id),
        ) == (
            NOON + DAY,
            NOON + 9 * DAY,
            None,
        )
        assert tx.contributions.one(with_expiry.id, NOON) == with_expiry
        first, second = tx.retention.page(0, 9)
        assert (first.own_expiry, first.expires_at, first.incident) == (NOON + 9 * DAY, NOON + DAY, "CI:x")
        assert (first.labels, first.received_at, first.logged) == (with_expiry.labels, NOON, Status.ACTIVE)
        assert tx.retention.page(0, 9, "CI:x") == (first,)
        assert tx.retention.page(with_expiry.id, 9) == (second,)
        tx.retention.set_expiries([(with_expiry.id, None), (without_expiry.id, NOON + DAY)])
        contributions = tx.contributions.get([with_expiry.id, without_expiry.id], NOON)
        assert (contributions[with_expiry.id].expires_at, contributions[without_expiry.id].expires_at) == (
            None,
            NOON + DAY,
        )
        assert tx.retention.own_expiry(with_expiry.id) == NOON + 9 * DAY
