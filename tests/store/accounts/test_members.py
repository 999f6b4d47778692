"""Members and keys in SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import (
    KeyDraft,
    Member,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberLimits,
    MemberStatus,
    Scope,
)
from hashdb.errors import NameTaken, NotFound
from hashdb.store import Store
from tests.builders import NOON

DRAFT = MemberDraft("Flaggers «ü»", MemberKind.TRUSTED_FLAGGER, "mail@example.org", MemberLimits(100))


def test_every_field_of_a_member_is_returned(store: Store) -> None:
    with store.begin() as tx:
        added = tx.members.add(DRAFT, NOON)
    assert replace(added, id=0) == Member(
        0, DRAFT.name, DRAFT.kind, MemberStatus.ACTIVE, DRAFT.contact, MemberLimits(100), NOON
    )
    with store.read() as tx:
        assert tx.members.get(added.id) == tx.members.named(DRAFT.name) == added
        assert tx.members.page(0, 10) == (added,)


def test_a_second_member_with_the_same_name_is_rejected(store: Store, member: Member) -> None:
    with pytest.raises(NameTaken, match=r"^a member named Example already exists$"), store.begin() as tx:
        tx.members.add(MemberDraft("Example", MemberKind.PLATFORM), NOON)
    with store.begin() as tx:
        other = tx.members.add(DRAFT, NOON)
    with pytest.raises(NameTaken), store.begin() as tx:
        tx.members.change(other.id, MemberChange(name="Example"))
    with store.begin() as tx:
        assert tx.members.change(member.id, MemberChange(name="Example")) == member


def test_unknown_members_and_keys_are_reported(store: Store, member: Member) -> None:
    with store.begin() as tx:
        with pytest.raises(NotFound, match=r"^member 99 does not exist$"):
            tx.members.get(99)
        with pytest.raises(NotFound, match=r"^member 99 does not exist$"):
            tx.members.change(99, MemberChange(name="New"))
        with pytest.raises(NotFound, match=r"^a member named example does not exist$"):
            tx.members.named("example")
        with pytest.raises(NotFound, match=r"^key 99 does not exist$"):
            tx.members.key(99)
        assert tx.members.key_by_digest(b"0" * 32) is None


def test_a_change_keeps_the_fields_that_it_does_not_name(store: Store, member: Member) -> None:
    changes = [
        (MemberChange(), {}),
        (MemberChange(name="New"), {"name": "New"}),
        (MemberChange(kind=MemberKind.OPERATOR), {"kind": MemberKind.OPERATOR}),
        (MemberChange(contact="c"), {"contact": "c"}),
        (MemberChange(contact=""), {"contact": ""}),
        (MemberChange(limits=MemberLimits(0)), {"limits": MemberLimits(0)}),
        (MemberChange(limits=MemberLimits(None)), {"limits": MemberLimits(None)}),
        (MemberChange(status=MemberStatus.SUSPENDED), {"status": MemberStatus.SUSPENDED}),
        (MemberChange(status=MemberStatus.ACTIVE), {"status": MemberStatus.ACTIVE}),
    ]
    expected = member
    with store.begin() as tx:
        for change, fields in changes:
            expected = replace(expected, **fields)  # type: ignore[arg-type]
            assert tx.members.change(member.id, change) == expected
            assert tx.members.get(member.id) == expected


def test_members_and_keys_are_returned_in_pages(store: Store) -> None:
    with store.begin() as tx:
        added = [tx.members.add(replace(DRAFT, name=str(n)), NOON) for n in range(5)]
        keys = [
            tx.members.add_key(added[0].id, bytes([n]) * 32, KeyDraft(frozenset({Scope.MATCH})), NOON) for n in range(3)
        ]
        tx.members.add_key(added[1].id, b"x" * 32, KeyDraft(frozenset({Scope.MATCH})), NOON)
    with store.read() as tx:
        assert tx.members.page(added[1].id, 2) == tuple(added[2:4])
        assert tx.members.page(added[4].id, 2) == ()
        assert tx.members.keys(added[0].id, 0, 2) == tuple(keys[:2])
        assert tx.members.keys(added[0].id, keys[1].id, 2) == (keys[2],)


def test_a_key_is_found_by_its_digest_and_can_be_revoked(store: Store, member: Member) -> None:
    digest, ends = b"d" * 32, NOON + timedelta(days=30)
    with store.begin() as tx:
        key = tx.members.add_key(member.id, digest, KeyDraft(frozenset({Scope.MATCH, Scope.FEED}), ends), NOON)
    assert (key.member, key.scopes) == (member.id, frozenset({Scope.FEED, Scope.MATCH}))
    assert (key.created_at, key.expires_at, key.revoked_at) == (NOON, ends, None)
    with store.begin() as tx:
        assert tx.members.key_by_digest(digest) == tx.members.key(key.id) == key
        revoked = tx.members.revoke(key.id, NOON)
        assert revoked == tx.members.key_by_digest(digest) == replace(key, revoked_at=NOON)


def test_first_feed_read_is_true_once_a_day_for_each_key(store: Store, member: Member) -> None:
    with store.begin() as tx:
        key = tx.members.add_key(member.id, b"d" * 32, KeyDraft(frozenset({Scope.FEED})), NOON)
        other = tx.members.add_key(member.id, b"e" * 32, KeyDraft(frozenset({Scope.FEED})), NOON)
        days = ["2026-11-20", "2026-11-20", "2026-11-21"]
        assert [tx.members.record_feed_read(key.id, day) for day in days] == [True, False, True]
        assert tx.members.record_feed_read(other.id, days[0])
