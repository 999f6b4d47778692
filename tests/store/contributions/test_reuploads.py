"""What was retired or is before a reviewer, in SQL."""

from __future__ import annotations

from hashdb.domain.accounts.members import SYSTEM, Member
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.review.cases import Decision
from hashdb.domain.signals import Algorithm
from hashdb.store import Store
from tests.builders import NOON, draft, signal


def test_the_values_on_which_there_was_a_case_are_read_at_once_and_since_a_number(store: Store, member: Member) -> None:
    with store.begin() as tx:
        assert (tx.retired.case_values(), tx.retired.retired_with([])) == ({}, {})
        ids = [one.id for one in tx.contributions.add(member, [draft(1), draft(2), draft(1), draft(4)], NOON)]
        opened = [tx.cases.open(id, "other", NOON, NOON).id for id in (ids[0], ids[2], ids[3])]
        entries = [LogEntry(Action.CASE_OPENED, "case", id, {}) for id in opened]
        head = tx.audit.append(NOON, SYSTEM, [*entries, LogEntry(Action.CASE_DECIDED, "case", opened[0], {})])
        everything = tx.retired.case_values()
        assert list(everything) == [Algorithm.PDQ]
        assert sorted(everything[Algorithm.PDQ]) == sorted([signal(1).to_bytes(), signal(4).to_bytes()])
        assert tx.retired.case_values_since(head - 2, head) == {Algorithm.PDQ: [signal(4).to_bytes()]}
        assert tx.retired.case_values_since(head - 1, head) == {}


def test_of_what_was_retired_the_signals_that_cast_a_shadow_are_found_whatever_its_status(
    store: Store, member: Member
) -> None:
    with store.begin() as tx:
        ids = [one.id for one in tx.contributions.add(member, [draft(1, 3), draft(2), draft(1), draft(4)], NOON)]
        for id, decision in zip(ids, (Decision.RETIRE, Decision.UPHOLD, Decision.RETIRE, Decision.RETIRE), strict=True):
            shadow = [1] if id == ids[3] else None
            tx.cases.decide(tx.cases.open(id, "other", NOON, NOON).id, decision, None, str(SYSTEM), NOON, shadow)
        tx.statuses.set_standing([ids[0], ids[2], ids[3]], Standing.RETIRED)
        asked = [signal(seed) for seed in (1, 2, 3, 4)]
        assert tx.retired.retired_with(asked) == {signal(1): (ids[0], ids[2])}
        assert tx.retired.shadow_positions(ids) == {id: {1} if id == ids[3] else {0} for id in ids}
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert tx.retired.retired_with(asked) == {signal(1): (ids[0], ids[2])}


def test_what_a_member_holds_and_matches_is_found_by_signals_and_by_number(store: Store, member: Member) -> None:
    with store.begin() as tx:
        ids = [one.id for one in tx.contributions.add(member, [draft(1), draft(1, 2), draft(1), draft(3)], NOON)]
        head = tx.audit.append(
            NOON, SYSTEM, [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, {}) for id in ids]
        )
        tx.contributions.withdraw(ids[0], "other", NOON)
        tx.statuses.set_standing([ids[1]], Standing.RETIRED)
        assert tx.retired.matching_with(member.id, [signal(1), signal(2)], NOON) == (ids[2],)
        assert tx.retired.matching_with(member.id + 1, [signal(1)], NOON) == ()
        assert set(tx.retired.added_since(member.id, 0)) == {ids[2], ids[3]}
        assert tx.retired.added_since(member.id, head - 1) == (ids[3],)
        assert tx.retired.added_since(member.id + 1, 0) == ()


def test_what_a_member_ended_while_it_was_in_question_is_found(store: Store, member: Member) -> None:
    with store.begin() as tx:
        drafts = [draft(1, 2), draft(1), draft(1), draft(1), draft(1)]
        ids = [one.id for one in tx.contributions.add(member, drafts, NOON)]
        for id in (ids[0], ids[1]):
            tx.cases.open(id, "other", NOON, NOON)
        tx.statuses.set_standing([ids[2]], Standing.QUARANTINED)
        for id in (ids[0], ids[2], ids[3]):
            tx.contributions.withdraw(id, "other", NOON)
        # The second signal of the first would cast no shadow, the next ones are active, or nothing was said of them.
        assert tx.retired.ended_with(member.id, [signal(1), signal(2)], NOON) == {signal(1): (ids[0], ids[2])}
        assert tx.retired.ended_with(member.id + 1, [signal(1)], NOON) == {}
