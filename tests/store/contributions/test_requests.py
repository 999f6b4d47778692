"""Requests with an idempotency key in SQL."""

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


def test_a_repeated_request_gets_the_stored_answer_until_it_expires(store: Store, member: Member) -> None:
    with store.begin() as tx:
        assert tx.requests.answered(member.id, ONCE, NOON) is None
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON)
    with store.read() as tx:
        assert tx.requests.answered(member.id, ONCE, NOON + DAY - timedelta(microseconds=1)) == ANSWER
        assert tx.requests.answered(member.id, ONCE, NOON + DAY) is None


def test_another_request_with_the_same_key_is_rejected(store: Store, member: Member) -> None:
    other = IdempotencyKey(ONCE.key, b"2" * 32)
    with store.begin() as tx:
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON)
        with pytest.raises(IdempotencyKeyReused):
            tx.requests.answered(member.id, other, NOON)
        assert tx.requests.answered(member.id, other, NOON + DAY) is None


def test_keys_of_different_members_are_independent(store: Store, member: Member) -> None:
    with store.begin() as tx:
        other = tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON)
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON)
        assert tx.requests.answered(other.id, ONCE, NOON) is None


def test_the_key_of_an_expired_request_can_be_used_again(store: Store, member: Member) -> None:
    with store.begin() as tx:
        tx.requests.remember([(member.id, ONCE, ANSWER)], NOON)
        tx.requests.remember([(member.id, ONCE, {"checkpoint": 9})], NOON + DAY)
        assert tx.requests.answered(member.id, ONCE, NOON + DAY) == {"checkpoint": 9}
