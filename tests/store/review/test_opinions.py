"""Opinions in SQL: which are stored, which count, and which changes are not yet logged."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import Member, MemberChange, MemberDraft, MemberKind, MemberStatus
from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
from hashdb.errors import NotFound
from hashdb.store import Store
from tests.builders import NOON, draft

CONFIRMS = OpinionDraft(Stance.CONFIRMS, note="seen too")
DISPUTES = OpinionDraft(Stance.DISPUTES, "edsa_context", "a news report")


@pytest.fixture
def ids(store: Store, member: Member) -> list[int]:
    with store.begin() as tx:
        return [contribution.id for contribution in tx.contributions.add(member, [draft(1), draft(2)], NOON)]


@pytest.fixture
def others(store: Store) -> list[int]:
    with store.begin() as tx:
        return [tx.members.add(MemberDraft(name, MemberKind.PLATFORM), NOON).id for name in ("Beta", "Gamma")]


def set_status(store: Store, member: int, status: MemberStatus) -> None:
    with store.begin() as tx:
        tx.members.change(member, MemberChange(status=status))


def test_an_opinion_is_returned_as_it_was_given(store: Store, ids: list[int], others: list[int]) -> None:
    with store.begin() as tx:
        opinion = tx.opinions.add(ids[0], others[0], DISPUTES, None, NOON)
        assert opinion == tx.opinions.one(opinion.id)
        assert opinion.equals(DISPUTES)
        assert (
            opinion.contribution,
            opinion.member,
            opinion.member_name,
            opinion.given_at,
            opinion.case,
            opinion.counts,
        ) == ((ids[0], others[0], "Beta", NOON, None, True))
        with pytest.raises(NotFound, match=r"^opinion 99 does not exist$"):
            tx.opinions.one(99)


def test_the_last_opinion_of_a_member_counts_and_all_are_listed(
    store: Store, ids: list[int], others: list[int]
) -> None:
    with store.begin() as tx:
        tx.opinions.add(ids[0], others[0], DISPUTES, None, NOON)
        tx.opinions.add(ids[0], others[1], CONFIRMS, None, NOON)
        tx.opinions.add(ids[1], others[0], CONFIRMS, None, NOON)
        tx.opinions.add(ids[0], others[0], CONFIRMS, None, NOON)
        listed = tx.opinions.page(ids[0], 0, 10)
        assert [(opinion.member, opinion.stance, opinion.counts) for opinion in listed] == [
            (others[0], Stance.DISPUTES, False),
            (others[1], Stance.CONFIRMS, True),
            (others[0], Stance.CONFIRMS, True),
        ]
        assert tx.opinions.page(ids[0], listed[0].id, 1) == listed[1:2]
        assert tx.opinions.current(ids)[ids[0]] == listed[1:]
        assert len(tx.opinions.current(ids)[ids[1]]) == 1


def test_a_dispute_counts_until_its_case_is_decided(store: Store, ids: list[int], others: list[int]) -> None:
    with store.begin() as tx:
        case = tx.cases.open(ids[0], "other", NOON, NOON + timedelta(hours=1))
        disputed = tx.opinions.add(ids[0], others[0], DISPUTES, case.id, NOON)
        confirmed = tx.opinions.add(ids[0], others[1], CONFIRMS, case.id, NOON)
        assert disputed.counts and confirmed.counts
        tx.cases.decide(case.id, Decision.UPHOLD, None, "key:1", NOON)
        assert not tx.opinions.one(disputed.id).counts
        assert tx.opinions.one(confirmed.id).counts


def test_a_case_has_the_last_opinion_of_each_member(store: Store, ids: list[int], others: list[int]) -> None:
    with store.begin() as tx:
        first, second = (tx.cases.open(ids[0], "other", NOON, NOON) for _ in range(2))
        tx.opinions.add(ids[0], others[0], CONFIRMS, first.id, NOON)
        last = tx.opinions.add(ids[0], others[0], DISPUTES, first.id, NOON)
        later = tx.opinions.add(ids[0], others[0], CONFIRMS, second.id, NOON)
        by_case = tx.opinions.by_case([first.id, second.id])
    assert {case: [opinion.id for opinion in listed] for case, listed in by_case.items()} == {
        first.id: [last.id],
        second.id: [later.id],
    }


def test_erasing_deletes_only_the_notes_of_a_contribution(store: Store, ids: list[int], others: list[int]) -> None:
    with store.begin() as tx:
        kept = tx.opinions.add(ids[1], others[0], DISPUTES, None, NOON)
        erased = tx.opinions.add(ids[0], others[0], DISPUTES, None, NOON)
        tx.opinions.erase(ids[0])
        assert tx.opinions.one(erased.id).equals(OpinionDraft(Stance.DISPUTES, "edsa_context"))
        assert tx.opinions.one(kept.id) == kept


def test_a_suspension_and_its_end_are_pending_until_they_are_logged(
    store: Store, ids: list[int], others: list[int]
) -> None:
    with store.begin() as tx:
        for id in ids:
            tx.opinions.add(id, others[0], CONFIRMS, None, NOON)
        tx.opinions.add(ids[1], others[0], DISPUTES, None, NOON)
        assert tx.opinions.pending(10) == ()
    for status, counts in ((MemberStatus.SUSPENDED, False), (MemberStatus.ACTIVE, True)):
        set_status(store, others[0], status)
        with store.begin() as tx:
            assert [opinion.counts for listed in tx.opinions.current(ids).values() for opinion in listed] == [
                counts
            ] * 2
            assert sorted(tx.opinions.pending(10)) == ids
            assert len(tx.opinions.pending(1)) == len(tx.opinions.pending(1, lock=False)) == 1
            tx.opinions.mark_logged(ids[:1])
            assert tx.opinions.pending(10) == (ids[1],)
            tx.opinions.mark_logged(ids)
            assert tx.opinions.pending(10) == ()


def test_two_transactions_do_not_lock_the_same_pending_contribution(postgres_url: str) -> None:
    store = Store(postgres_url, busy_seconds=2)
    store.migrate()
    with store.begin() as tx:
        contributor, confirming = (
            tx.members.add(MemberDraft(name, MemberKind.PLATFORM), NOON) for name in ("One", "Two")
        )
        added = [contribution.id for contribution in tx.contributions.add(contributor, [draft(1), draft(2)], NOON)]
        for id in added:
            tx.opinions.add(id, confirming.id, CONFIRMS, None, NOON)
    set_status(store, confirming.id, MemberStatus.SUSPENDED)
    with store.begin() as tx, store.begin() as other:
        (locked,) = tx.opinions.pending(1)
        assert other.opinions.pending(10) == tuple(id for id in added if id != locked)
    store.close()
