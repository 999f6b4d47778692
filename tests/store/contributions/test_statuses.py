"""Statuses in SQL: which changes are not yet logged."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import Member, MemberChange, MemberDraft, MemberKind, MemberStatus
from hashdb.domain.contributions import Standing, Status
from hashdb.store import Store
from hashdb.store.contributions.statuses import PendingStatus
from tests.builders import NOON, draft

ACTIVE, WITHDRAWN, EXPIRED, SUSPENDED = Status
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def ids(store: Store, member: Member) -> list[int]:
    """Three contributions; the second and the third expire later."""
    drafts = [draft(1), draft(2, expires_at=LATER), draft(3, expires_at=LATER)]
    with store.begin() as tx:
        return [contribution.id for contribution in tx.contributions.add(member, drafts, NOON)]


def suspend(store: Store, member: Member, status: MemberStatus = MemberStatus.SUSPENDED) -> None:
    with store.begin() as tx:
        tx.members.change(member.id, MemberChange(status=status))


def test_no_status_is_pending_while_all_contributions_are_active(store: Store, ids: list[int]) -> None:
    with store.begin() as tx:
        assert tx.statuses.pending(NOON, 10) == ()
        assert tx.statuses.logged(ids) == dict.fromkeys(ids, ACTIVE)
        assert tx.statuses.logged([99]) == {}


def test_an_expiry_is_pending_from_its_time_until_it_is_logged(store: Store, ids: list[int]) -> None:
    with store.begin() as tx:
        pending = tx.statuses.pending(LATER, 10)
        assert pending == (PendingStatus(ids[1], ACTIVE, EXPIRED), PendingStatus(ids[2], ACTIVE, EXPIRED))
        assert tx.statuses.pending(LATER, 1) == pending[:1]
        assert tx.statuses.pending(LATER, 10, lock=False) == pending
        tx.statuses.mark_logged([ids[1]], EXPIRED)
        assert tx.statuses.pending(LATER, 10) == pending[1:]
        assert tx.statuses.logged(ids) == {ids[0]: ACTIVE, ids[1]: EXPIRED, ids[2]: ACTIVE}


def test_a_suspension_and_its_end_are_pending_until_they_are_logged(
    store: Store, member: Member, ids: list[int]
) -> None:
    suspend(store, member)
    with store.begin() as tx:
        assert [(status.logged, status.current) for status in tx.statuses.pending(NOON, 10)] == [
            (ACTIVE, SUSPENDED)
        ] * 3
        tx.statuses.mark_logged(ids, SUSPENDED)
        assert tx.statuses.pending(NOON, 10) == ()
        assert [(status.id, status.logged, status.current) for status in tx.statuses.pending(LATER, 10)] == [
            (ids[1], SUSPENDED, EXPIRED),
            (ids[2], SUSPENDED, EXPIRED),
        ]
    suspend(store, member, MemberStatus.ACTIVE)
    with store.begin() as tx:
        assert [(status.logged, status.current) for status in tx.statuses.pending(LATER, 10)] == [
            (SUSPENDED, ACTIVE),
            (SUSPENDED, EXPIRED),
            (SUSPENDED, EXPIRED),
        ]


def test_a_suspension_that_ended_before_it_was_logged_is_not_pending(
    store: Store, member: Member, ids: list[int]
) -> None:
    suspend(store, member)
    suspend(store, member, MemberStatus.ACTIVE)
    with store.begin() as tx:
        assert tx.statuses.pending(NOON, 10) == ()


def test_a_withdrawal_is_never_pending(store: Store, member: Member, ids: list[int]) -> None:
    with store.begin() as tx:
        tx.contributions.withdraw(ids[1], "other", NOON)
    suspend(store, member)
    with store.begin() as tx:
        assert [status.id for status in tx.statuses.pending(LATER, 10)] == [ids[0], ids[2]]
        assert tx.statuses.logged([ids[1]]) == {ids[1]: WITHDRAWN}


def test_two_transactions_do_not_lock_the_same_pending_status(postgres_url: str) -> None:
    store = Store(postgres_url, busy_seconds=2)
    store.migrate()
    with store.begin() as tx:
        member = tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
        added = tx.contributions.add(member, [draft(seed, expires_at=LATER) for seed in range(2)], NOON)
    with store.begin() as first, store.begin() as second:
        assert [pending.id for pending in first.statuses.pending(LATER, 1)] == [added[0].id]
        assert [pending.id for pending in second.statuses.pending(LATER, 10)] == [added[1].id]
    store.close()


def test_set_standing_changes_only_the_given_contributions(store: Store, ids: list[int]) -> None:
    with store.begin() as tx:
        tx.statuses.set_standing(ids[:2], Standing.DISPUTED)
        contributions = tx.contributions.get(ids, NOON)
    assert [contributions[id].standing for id in ids] == [Standing.DISPUTED, Standing.DISPUTED, Standing.UNREVIEWED]
