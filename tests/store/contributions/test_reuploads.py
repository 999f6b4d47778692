"""Retired contributions and those with a case, in SQL."""

from __future__ import annotations

from hashdb.domain.accounts.members import SYSTEM, Member
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.review.cases import Decision
from hashdb.domain.signals import Algorithm
from hashdb.store import Store
from tests.builders import NOON, draft, signal


def test_values_with_a_case_are_read_all_or_since_an_event(store: Store, member: Member) -> None:
    with store.begin() as tx:
        assert (tx.shadows.case_values(), tx.shadows.retired_with([])) == ({}, {})
        ids = [
            contribution.id
            for contribution in tx.contributions.add(member, [draft(1), draft(2), draft(1), draft(4)], NOON)
        ]
        opened = [tx.cases.open(id, "other", NOON, NOON).id for id in (ids[0], ids[2], ids[3])]
        entries = [LogEntry(Action.CASE_OPENED, "case", id, {}) for id in opened]
        head = tx.audit.append(NOON, SYSTEM, [*entries, LogEntry(Action.CASE_DECIDED, "case", opened[0], {})])
        values = tx.shadows.case_values()
        assert list(values) == [Algorithm.PDQ]
        assert sorted(values[Algorithm.PDQ]) == sorted([signal(1).to_bytes(), signal(4).to_bytes()])
        assert tx.shadows.case_values_since(head - 2, head) == {Algorithm.PDQ: [signal(4).to_bytes()]}
        assert tx.shadows.case_values_since(head - 1, head) == {}


def test_shadow_signals_of_retired_contributions_are_found_in_any_status(store: Store, member: Member) -> None:
    with store.begin() as tx:
        ids = [
            contribution.id
            for contribution in tx.contributions.add(member, [draft(1, 3), draft(2), draft(1), draft(4)], NOON)
        ]
        for id, decision in zip(ids, (Decision.RETIRE, Decision.UPHOLD, Decision.RETIRE, Decision.RETIRE), strict=True):
            shadow = [1] if id == ids[3] else None
            tx.cases.decide(tx.cases.open(id, "other", NOON, NOON).id, decision, None, str(SYSTEM), NOON, shadow)
        tx.statuses.set_standing([ids[0], ids[2], ids[3]], Standing.RETIRED)
        signals = [signal(seed) for seed in (1, 2, 3, 4)]
        assert tx.shadows.retired_with(signals) == {signal(1): (ids[0], ids[2])}
        assert tx.shadows.shadow_positions(ids) == {id: {1} if id == ids[3] else {0} for id in ids}
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert tx.shadows.retired_with(signals) == {signal(1): (ids[0], ids[2])}


def test_matching_contributions_of_a_member_are_found_by_signals_and_event(store: Store, member: Member) -> None:
    with store.begin() as tx:
        ids = [
            contribution.id
            for contribution in tx.contributions.add(member, [draft(1), draft(1, 2), draft(1), draft(3)], NOON)
        ]
        head = tx.audit.append(
            NOON, SYSTEM, [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, {}) for id in ids]
        )
        tx.contributions.withdraw(ids[0], "other", NOON)
        tx.statuses.set_standing([ids[1]], Standing.RETIRED)
        assert tx.shadows.twins_with(member.id, [signal(1), signal(2)], NOON) == (ids[2],)
        assert tx.shadows.twins_with(member.id + 1, [signal(1)], NOON) == ()
        assert set(tx.shadows.contributed_or_amended_since(member.id, 0)) == {ids[2], ids[3]}
        assert tx.shadows.contributed_or_amended_since(member.id, head - 1) == (ids[3],)
        assert tx.shadows.contributed_or_amended_since(member.id + 1, 0) == ()


def test_withdrawals_of_a_member_during_a_case_or_quarantine_are_found(store: Store, member: Member) -> None:
    with store.begin() as tx:
        drafts = [draft(1, 2), draft(1), draft(1), draft(1), draft(1)]
        ids = [contribution.id for contribution in tx.contributions.add(member, drafts, NOON)]
        for id in (ids[0], ids[1]):
            tx.cases.open(id, "other", NOON, NOON)
        tx.statuses.set_standing([ids[2]], Standing.QUARANTINED)
        for id in (ids[0], ids[2], ids[3]):
            tx.contributions.withdraw(id, "other", NOON)
        # Not found: the second signal (no shadow), the active contributions, and the one without a case.
        assert tx.shadows.ended_with(member.id, [signal(1), signal(2)], NOON) == {signal(1): (ids[0], ids[2])}
        assert tx.shadows.ended_with(member.id + 1, [signal(1)], NOON) == {}
