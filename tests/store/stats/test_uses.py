"""Uses of keys in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.accounts.members import KeyDraft, Member, MemberChange, MemberStatus, Scope
from hashdb.store import Store
from tests.builders import NOON

TODAY = NOON.date()


def test_each_member_that_reads_the_feed_is_counted_once(store: Store, member: Member) -> None:
    with store.begin() as tx:
        scopes = (frozenset({Scope.FEED}), frozenset({Scope.FEED, Scope.MATCH}), frozenset({Scope.MATCH}))
        keys = [
            tx.members.add_key(member.id, bytes([number] * 32), KeyDraft(frozenset(key_scopes)), NOON)
            for number, key_scopes in enumerate(scopes)
        ]
        assert tx.uses.count_feed_readers(TODAY) == 0
        for key in keys:
            tx.members.record_feed_read(key.id, TODAY.isoformat())
        assert tx.uses.count_feed_readers(TODAY) == 1
        assert tx.uses.count_feed_readers(TODAY + timedelta(days=1)) == 0
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.uses.count_feed_readers(TODAY) == 0
