"""Cases in SQL: opening, deciding and listing, also for the members that may see them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import Member, MemberDraft, MemberKind
from hashdb.domain.review.cases import CaseState, Decision, OpinionDraft, Stance
from hashdb.errors import NotFound
from hashdb.store import Store
from tests.builders import NOON, draft

DUE = NOON + timedelta(hours=72)


@pytest.fixture
def ids(store: Store, member: Member) -> list[int]:
    with store.begin() as tx:
        return [contribution.id for contribution in tx.contributions.add(member, [draft(1), draft(2)], NOON)]


@pytest.fixture
def other(store: Store) -> int:
    with store.begin() as tx:
        return tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON).id


def test_a_case_is_returned_as_it_was_opened_and_decided(store: Store, member: Member, ids: list[int]) -> None:
    with store.begin() as tx:
        opened = tx.cases.open(ids[0], "edsa_context", NOON, DUE, holds=True)
        assert tx.cases.one(opened.id) == opened
        assert (opened.contribution, opened.member, opened.member_name) == (ids[0], member.id, "Example")
        assert (opened.reason, opened.holds, opened.opened_at, opened.due_at) == ("edsa_context", True, NOON, DUE)
        assert (opened.state, opened.decision, opened.note, opened.decided_at) == (CaseState.OPEN, None, None, None)
        tx.cases.decide(opened.id, Decision.RETIRE, "a news report", "key:9", DUE)
        decided = tx.cases.one(opened.id)
        assert (decided.decision, decided.note, decided.decided_at, decided.decided_by) == (
            (Decision.RETIRE, "a news report", DUE, "key:9")
        )
        tx.cases.erase(ids[1])
        assert tx.cases.one(opened.id) == decided
        tx.cases.erase(ids[0])
        assert tx.cases.one(opened.id).note is None
        with pytest.raises(NotFound, match=r"^case 99 does not exist$"):
            tx.cases.one(99)


def test_cases_are_listed_by_state_and_by_contribution(store: Store, ids: list[int]) -> None:
    with store.begin() as tx:
        decided, of_second, of_first = (tx.cases.open(id, "other", NOON, DUE).id for id in (ids[0], ids[1], ids[0]))
        tx.cases.decide(decided, Decision.UPHOLD, None, "key:9", NOON)

        def case_ids(state: CaseState | None = None, after: int = 0, limit: int = 10) -> list[int]:
            return [case.id for case in tx.cases.page(state, None, after, limit)]

        assert case_ids() == [decided, of_second, of_first]
        assert case_ids(limit=2) == [decided, of_second]
        assert case_ids(after=decided) == [of_second, of_first]
        assert case_ids(CaseState.OPEN) == [of_second, of_first]
        assert case_ids(CaseState.DECIDED) == [decided]
        cases = tx.cases.by_contribution(ids)
        assert {id: [case.id for case in listed] for id, listed in cases.items()} == {
            ids[0]: [decided, of_first],
            ids[1]: [of_second],
        }


def test_only_the_contributor_and_disputers_see_a_case(
    store: Store, member: Member, ids: list[int], other: int
) -> None:
    with store.begin() as tx:
        stranger = tx.members.add(MemberDraft("Stranger", MemberKind.PLATFORM), NOON).id
        disputed, confirmed = (tx.cases.open(id, "other", NOON, DUE).id for id in ids)
        tx.opinions.add(ids[0], other, OpinionDraft(Stance.DISPUTES, "other"), disputed, NOON)
        tx.opinions.add(ids[0], other, OpinionDraft(Stance.CONFIRMS), disputed, NOON)
        tx.opinions.add(ids[1], other, OpinionDraft(Stance.CONFIRMS), confirmed, NOON)
        visible = {
            reader: [case.id for case in tx.cases.page(None, reader, 0, 10)] for reader in (member.id, other, stranger)
        }
        assert visible == {member.id: [disputed, confirmed], other: [disputed], stranger: []}
        assert tx.cases.one(disputed, other).opinions[0].stance is Stance.CONFIRMS
        for reader, case in ((other, confirmed), (stranger, disputed)):
            with pytest.raises(NotFound):
                tx.cases.one(case, reader)
