"""Remembered requests in SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import Member, MemberDraft, MemberKind
from hashdb.domain.contributions import IdempotencyKey
from hashdb.errors import IdempotencyKeyReused
from hashdb.store import Store
from tests.builders import NOON

DAY = timedelta(days=1)
ONCE = IdempotencyKey("request-1", b"1" * 32)
ANSWER = {"contributions": [[1, False], [2, True]], "checkpoint": 7}


def test_a_request_is_answered_as_before_until_it_is_too_old(store: Store, member: Member) -> None:
    with store.begin() as tx:
        assert tx.requests.answered(member.id, ONCE, NOON - DAY) is None
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON, NOON - DAY)
    with store.read() as tx:
        assert tx.requests.answered(member.id, ONCE, NOON - timedelta(microseconds=1)) == ANSWER
        assert tx.requests.answered(member.id, ONCE, NOON) is None


def test_the_same_key_for_another_request_is_refused(store: Store, member: Member) -> None:
    other = IdempotencyKey(ONCE.key, b"2" * 32)
    with store.begin() as tx:
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON, NOON - DAY)
        with pytest.raises(IdempotencyKeyReused):
            tx.requests.answered(member.id, other, NOON - DAY)
        assert tx.requests.answered(member.id, other, NOON) is None


def test_a_key_is_a_members_own(store: Store, member: Member) -> None:
    with store.begin() as tx:
        other = tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON)
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON, NOON - DAY)
        assert tx.requests.answered(other.id, ONCE, NOON - DAY) is None


def test_what_is_too_old_makes_room_for_the_same_key(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON, NOON - DAY)
        tx.requests.remember([(member.id, ONCE, {"checkpoint": 9})], NOON + DAY, NOON)
        assert tx.requests.answered(member.id, ONCE, NOON) == {"checkpoint": 9}
