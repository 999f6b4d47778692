"""Who would notice that a contribution matches no longer, in SQL."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.members import KeyDraft, Member, MemberChange, MemberStatus, Scope
from hashdb.store import Store
from tests.builders import NOON

TODAY = NOON.date()


def test_readers_of_the_feed_are_counted_by_member(store: Store, member: Member) -> None:
    with store.begin() as tx:
        scopes = (frozenset({Scope.FEED}), frozenset({Scope.FEED, Scope.MATCH}), frozenset({Scope.MATCH}))
        keys = [
            tx.members.add_key(member.id, bytes([i] * 32), KeyDraft(frozenset(one)), NOON)
            for i, one in enumerate(scopes)
        ]
        assert tx.effects.readers(TODAY) == 0
        for key in keys:
            tx.members.first_feed_read(key.id, TODAY.isoformat())
        assert tx.effects.readers(TODAY) == 1
        assert tx.effects.readers(TODAY + timedelta(days=1)) == 0
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.effects.readers(TODAY) == 0
