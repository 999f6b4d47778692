"""Deliveries in SQL."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

import pytest
from sqlalchemy import event

from hashdb.domain.accounts.members import Member, MemberChange, MemberDraft, MemberKind, MemberStatus
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


def add_webhook(tx: Transaction, member: Member) -> int:
    draft = WebhookDraft("https://example.org/", (Topic.FEED_CHANGED,))
    return tx.webhooks.add(member.id, draft, "whsec_YQ==", NOON, 0).id


def message(number: int = 1, topic: str = "feed.changed") -> Message:
    return Message(f"msg_{number}", topic, NOON, {"count": number})


def test_a_delivery_is_returned_with_its_attempts(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = add_webhook(tx, member)
        delivery = tx.deliveries.add(id, message())
        assert (delivery.message, delivery.outcome, delivery.attempts, delivery.next_at) == (
            message(),
            DeliveryOutcome.WAITING,
            0,
            NOON,
        )
        (claimed,) = tx.deliveries.claim([delivery.id], NOON, NOON + ATTEMPT_LEASE)
        failed = Attempt(500, 12, Trouble.STATUS)
        assert tx.deliveries.record_attempt(claimed, failed, DeliveryOutcome.WAITING, NOON, NOON + MINUTE)
        tried = tx.deliveries.one(id, delivery.id, lock=True)
        assert (tried.attempts, tried.next_at, tried.status, tried.ms) == (1, NOON + MINUTE, 500, 12)
        assert (tried.trouble, tx.deliveries.count_retrying(), tx.deliveries.count_waiting(id)) == (
            Trouble.STATUS,
            1,
            1,
        )
        assert tx.deliveries.page(id, None, 0, 9) == tx.deliveries.page(id, DeliveryOutcome.WAITING, 0, 9) == (tried,)
        assert (
            tx.deliveries.page(id, DeliveryOutcome.FAILED, 0, 9) == tx.deliveries.page(id, None, delivery.id, 9) == ()
        )
        # The late result of an attempt whose claim expired does not change the delivery.
        assert not tx.deliveries.record_attempt(claimed, Attempt(200, 1), DeliveryOutcome.DELIVERED, NOON, None)
        tx.deliveries.requeue(delivery.id, NOON)
        assert tx.deliveries.one(id, delivery.id).attempts == 0
        for wrong_webhook in (0, id + 1):
            with pytest.raises(NotFound):
                tx.deliveries.one(wrong_webhook, delivery.id)


def test_the_first_due_delivery_of_each_webhook_is_claimed_once(store: Store, member: Member) -> None:
    with store.begin() as tx:
        webhook, other_webhook = add_webhook(tx, member), add_webhook(tx, member)
        first = tx.deliveries.add(webhook, message(1)).id
        second = tx.deliveries.add(webhook, message(2)).id
        third = tx.deliveries.add(other_webhook, message(3)).id
        assert tx.deliveries.due(NOON, ()) == (first, third)
        assert tx.deliveries.due(NOON, [other_webhook]) == (first,)
        assert tx.deliveries.due(NOON - MINUTE, ()) == ()
        assert [claimed.id for claimed in tx.deliveries.claim([first, third], NOON, NOON + ATTEMPT_LEASE)] == [
            first,
            third,
        ]
        assert tx.deliveries.claim([first, third], NOON, NOON + ATTEMPT_LEASE) == ()
        assert tx.deliveries.due(NOON, ()) == (second,)
        assert tx.deliveries.due(NOON + ATTEMPT_LEASE, ()) == (first, third)


def test_both_secrets_sign_until_the_overlap_ends(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = add_webhook(tx, member)
        tx.webhooks.renew(id, "whsec_Yg==", NOON + MINUTE)
        delivery = tx.deliveries.add(id, message()).id
        (during,) = tx.deliveries.claim([delivery], NOON, NOON)
        (after,) = tx.deliveries.claim([delivery], NOON + MINUTE, NOON + ATTEMPT_LEASE)
    assert during.secrets == ("whsec_Yg==", "whsec_YQ==")
    assert after.secrets == ("whsec_Yg==",)


def test_a_disabled_webhook_gets_only_tests_and_a_suspended_member_nothing(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = add_webhook(tx, member)
        tx.deliveries.add(id, message(1))
        test = tx.deliveries.add(id, message(2, TEST_TOPIC)).id
        tx.webhooks.disable(id)
        assert tx.deliveries.due(NOON, ()) == (test,)
        tx.members.change(member.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.deliveries.due(NOON, ()) == ()


def test_old_and_excess_deliveries_are_deleted_unless_they_wait(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id, other = add_webhook(tx, member), add_webhook(tx, member)
        waiting = tx.deliveries.add(id, message()).id
        tx.deliveries.add(other, message())
        for number in range(12):
            delivery = tx.deliveries.add(id, message(number)).id
            (claimed,) = tx.deliveries.claim([delivery], NOON, NOON + ATTEMPT_LEASE)
            tx.deliveries.record_attempt(claimed, Attempt(200, 1), DeliveryOutcome.DELIVERED, NOON, None)
        assert tx.deliveries.prune(NOON, 7) == 5
        remaining = tx.deliveries.page(id, None, 0, 9)
        assert (len(remaining), remaining[0].id) == (8, waiting)
        assert tx.deliveries.prune(NOON, 7) == 0
        assert tx.deliveries.prune(NOON + MINUTE) == 7
        assert [each.id for each in tx.deliveries.page(id, None, 0, 9)] == [waiting]


def test_a_webhook_may_be_deleted_while_its_deliveries_are_counted(postgres_url: str) -> None:
    with closing(Store(postgres_url)) as store, closing(Store(postgres_url)) as other_store:
        with store.begin() as tx:
            member = tx.members.add(MemberDraft("Platform", MemberKind.PLATFORM), NOON)
            id = add_webhook(tx, member)
            for number in range(2):
                tx.deliveries.add(id, message(number))

        @event.listens_for(store.engine, "after_cursor_execute")
        def delete_webhook(connection: object, cursor: object, statement: str, *_: object) -> None:
            if "HAVING" in statement:
                with other_store.begin() as other:
                    other.webhooks.delete(id)

        with store.begin() as tx:
            assert tx.deliveries.prune(NOON, 1) == 0
