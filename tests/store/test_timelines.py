"""What happened to a contribution, in SQL."""

from __future__ import annotations

from hashdb.domain.audit import Action, Entry
from hashdb.domain.contributions import Amendment
from hashdb.domain.members import SYSTEM, KeyDraft, Member, Scope
from hashdb.store import Store
from tests.builders import NOON, draft


def test_events_on_subjects_come_in_the_order_of_the_log(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.audit.append(NOON, SYSTEM, [Entry(Action.CASE_OPENED, "case", id, {}) for id in (2, 1, 3, 2)])
    with store.read() as tx:
        assert [(one.seq, one.id) for one in tx.timelines.events("case", [1, 2])] == [(1, 2), (2, 1), (4, 2)]
        assert tx.timelines.events("opinion", [1]) == []


def test_old_values_come_in_the_order_of_the_changes(store: Store, member: Member) -> None:
    with store.begin() as tx:
        (one,) = tx.contributions.add(member, [draft(1)], NOON)
        for severity in (1, 2):
            tx.contributions.amend(tx.contributions.one(one.id, NOON), Amendment(severity=severity), NOON)
        assert tx.timelines.amended(one.id) == [(NOON, {"severity": None}), (NOON, {"severity": 1})]
        assert tx.timelines.amended(one.id + 1) == []


def test_keys_have_the_names_of_their_members(store: Store, member: Member) -> None:
    with store.begin() as tx:
        key = tx.members.add_key(member.id, bytes(32), KeyDraft(frozenset({Scope.MATCH})), NOON)
        actors = [f"key:{key.id}", "key:99", "user:1", "system:cli", "key:x"]
        assert tx.timelines.names(actors) == {f"key:{key.id}": member.name}
