"""Deliveries in SQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import Member, MemberChange, MemberStatus
from hashdb.domain.sharing.webhooks import (
    ATTEMPT_LEASE,
    TEST_TOPIC,
    Attempt,
    DeliveryOutcome,
    Message,
    Topic,
    Trouble,
    WebhookDraft,
)
from hashdb.errors import NotFound
from hashdb.store import Store, Transaction
from tests.builders import NOON

MINUTE = timedelta(minutes=1)


def webhook(tx: Transaction, member: Member) -> int:
    draft = WebhookDraft("https://example.org/", (Topic.FEED_CHANGED,))
    return tx.webhooks.add(member.id, draft, "whsec_YQ==", NOON, 0).id


def message(number: int = 1, topic: str = "feed.changed") -> Message:
    return Message(f"msg_{number}", topic, NOON, {"count": number})


def test_a_delivery_comes_back_as_it_was_made_and_tried(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = webhook(tx, member)
        made = tx.deliveries.add(id, message())
        assert (made.message, made.outcome, made.attempts, made.next_at) == (
            message(),
            DeliveryOutcome.WAITING,
            0,
            NOON,
        )
        (claimed,) = tx.deliveries.claim([made.id], NOON, NOON + ATTEMPT_LEASE)
        failed = Attempt(500, 12, Trouble.STATUS)
        assert tx.deliveries.record_attempt(claimed, failed, DeliveryOutcome.WAITING, NOON, NOON + MINUTE)
        found = tx.deliveries.one(id, made.id, lock=True)
        assert (found.attempts, found.next_at, found.status, found.ms) == (1, NOON + MINUTE, 500, 12)
        assert (found.trouble, tx.deliveries.count_retrying(), tx.deliveries.count_waiting(id)) == (
            Trouble.STATUS,
            1,
            1,
        )
        assert tx.deliveries.page(id, None, 0, 9) == tx.deliveries.page(id, DeliveryOutcome.WAITING, 0, 9) == (found,)
        assert tx.deliveries.page(id, DeliveryOutcome.FAILED, 0, 9) == tx.deliveries.page(id, None, made.id, 9) == ()
        # An attempt that was taken for lost changes nothing of the one that was made instead.
        assert not tx.deliveries.record_attempt(claimed, Attempt(200, 1), DeliveryOutcome.DELIVERED, NOON, None)
        tx.deliveries.requeue(made.id, NOON)
        assert tx.deliveries.one(id, made.id).attempts == 0
        for other in (0, id + 1):
            with pytest.raises(NotFound):
                tx.deliveries.one(other, made.id)


def test_of_each_webhook_the_first_that_is_due_is_sent_by_one(store: Store, member: Member) -> None:
    with store.begin() as tx:
        one, two = webhook(tx, member), webhook(tx, member)
        first = tx.deliveries.add(one, message(1)).id
        second = tx.deliveries.add(one, message(2)).id
        third = tx.deliveries.add(two, message(3)).id
        assert tx.deliveries.due(NOON, ()) == (first, third)
        assert tx.deliveries.due(NOON, [two]) == (first,)
        assert tx.deliveries.due(NOON - MINUTE, ()) == ()
        assert [found.id for found in tx.deliveries.claim([first, third], NOON, NOON + ATTEMPT_LEASE)] == [first, third]
        assert tx.deliveries.claim([first, third], NOON, NOON + ATTEMPT_LEASE) == ()
        assert tx.deliveries.due(NOON, ()) == (second,)
        assert tx.deliveries.due(NOON + ATTEMPT_LEASE, ()) == (first, third)


def test_both_secrets_sign_until_the_overlap_is_over(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = webhook(tx, member)
        tx.webhooks.renew(id, "whsec_Yg==", NOON + MINUTE)
        made = tx.deliveries.add(id, message()).id
        (during,) = tx.deliveries.claim([made], NOON, NOON)
        (after,) = tx.deliveries.claim([made], NOON + MINUTE, NOON + ATTEMPT_LEASE)
    assert during.secrets == ("whsec_Yg==", "whsec_YQ==")
    assert after.secrets == ("whsec_Yg==",)


def test_nothing_is_due_to_one_that_is_disabled_but_a_test_and_nothing_to_a_suspended_member(
    store: Store, member: Member
) -> None:
    with store.begin() as tx:
        id = webhook(tx, member)
        tx.deliveries.add(id, message(1))
        test = tx.deliveries.add(id, message(2, TEST_TOPIC)).id
        tx.webhooks.disable(id)
        assert tx.deliveries.due(NOON, ()) == (test,)
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.deliveries.due(NOON, ()) == ()


def test_old_ones_and_too_many_are_forgotten_unless_they_wait(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id, other = webhook(tx, member), webhook(tx, member)
        waits = tx.deliveries.add(id, message()).id
        tx.deliveries.add(other, message())
        for number in range(12):
            made = tx.deliveries.add(id, message(number)).id
            (claimed,) = tx.deliveries.claim([made], NOON, NOON + ATTEMPT_LEASE)
            tx.deliveries.record_attempt(claimed, Attempt(200, 1), DeliveryOutcome.DELIVERED, NOON, None)
        assert tx.deliveries.prune(NOON, 7) == 5
        left = tx.deliveries.page(id, None, 0, 9)
        assert (len(left), left[0].id) == (8, waits)
        assert tx.deliveries.prune(NOON, 7) == 0
        assert tx.deliveries.prune(NOON + MINUTE) == 7
        assert [one.id for one in tx.deliveries.page(id, None, 0, 9)] == [waits]
