"""What was retired, in SQL."""

from __future__ import annotations

from hashdb.domain.audit import Action, Entry
from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Standing
from hashdb.domain.members import SYSTEM, Member
from hashdb.domain.signals import Algorithm
from hashdb.store import Store
from tests.builders import NOON, draft, signal


def test_the_values_of_what_was_retired_are_read_at_once_and_since_a_number(store: Store, member: Member) -> None:
    with store.begin() as tx:
        assert (tx.retired.every(), tx.retired.among([])) == ({}, {})
        ids = [one.id for one in tx.contributions.add(member, [draft(1), draft(2), draft(1), draft(4)], NOON)]
        for id, decision in zip(ids, (Decision.RETIRE, Decision.UPHOLD, Decision.RETIRE, Decision.RETIRE), strict=True):
            tx.cases.decide(tx.cases.open(id, "other", NOON, NOON).id, decision, None, str(SYSTEM), NOON)
        tx.statuses.judge([ids[0], ids[2]], Standing.RETIRED)
        entries = [Entry(Action.CONTRIBUTION_RETIRED, "contribution", id, {}) for id in (ids[0], ids[3])]
        head = tx.audit.append(NOON, SYSTEM, entries)
        everything = tx.retired.every()
        assert list(everything) == [Algorithm.PDQ]
        assert sorted(everything[Algorithm.PDQ]) == sorted([signal(1).to_bytes(), signal(4).to_bytes()])
        assert tx.retired.since(head - 1, head) == {Algorithm.PDQ: [signal(4).to_bytes()]}
        assert tx.retired.since(head, head) == {}
        assert tx.retired.among([signal(1), signal(2), signal(4)]) == {signal(1): ids[0]}
        tx.contributions.withdraw(ids[0], "other", NOON)
        assert tx.retired.among([signal(1)]) == {signal(1): ids[0]}
