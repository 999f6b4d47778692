"""Webhooks in SQL."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from hashdb.domain.accounts.members import Member, MemberChange, MemberDraft, MemberKind, MemberStatus
from hashdb.domain.sharing.webhooks import MAX_WAITING_DELIVERIES, Message, Topic, WebhookDraft
from hashdb.errors import NotFound
from hashdb.store import Store
from hashdb.store.sharing.webhooks import DeliveryPosition
from tests.builders import NOON

DRAFT = WebhookDraft("https://example.org/", (Topic.FEED_CHANGED, Topic.CASE_OPENED), "mine")
DAY = timedelta(days=1)


def test_a_webhook_is_returned_as_it_was_added_and_changed(store: Store, member: Member) -> None:
    with store.begin() as tx:
        added = tx.webhooks.add(member.id, DRAFT, "whsec_YQ==", NOON, 7)
        other = tx.webhooks.add(member.id, DRAFT, "whsec_YQ==", NOON, 7)
    assert (added.url, added.topics, added.note, added.enabled) == (DRAFT.url, DRAFT.topics, "mine", True)
    changed = replace(
        added, url="https://example.net/", topics=(Topic.MATCH_REVERSED, Topic.CASE_DUE), note="", enabled=False
    )
    with store.begin() as tx:
        assert tx.webhooks.one(added.id, lock=True) == added
        tx.webhooks.change(changed, added, 9)
        tx.webhooks.renew(other.id, "whsec_Yg==", NOON + DAY)
    with store.read() as tx:
        assert tx.webhooks.one(added.id) == changed
        assert tx.webhooks.page(None, 0, 9)[0] == changed
        assert [each.id for each in tx.webhooks.page(member.id, added.id, 9)] == [other.id]
        assert tx.webhooks.page(member.id + 1, 0, 9) == ()
        assert tx.webhooks.one(other.id).overlap_until == NOON + DAY
    with store.begin() as tx:
        assert tx.webhooks.count(member.id) == 2
        tx.deliveries.add(other.id, Message("msg_1", "feed.changed", NOON, {}))
        tx.webhooks.delete(other.id)
        assert tx.webhooks.count(member.id) == 1
        with pytest.raises(NotFound):
            tx.webhooks.one(other.id)
        # The log contains the id, so it is never reused.
        assert tx.webhooks.add(member.id, DRAFT, "whsec_YQ==", NOON, 7).id > other.id


def test_an_arrival_ends_a_series_of_failures(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = tx.webhooks.add(member.id, DRAFT, "whsec_YQ==", NOON, 7).id
        assert tx.webhooks.record_failure(id, NOON) == NOON
        assert tx.webhooks.record_failure(id, NOON + DAY) == NOON
        tx.webhooks.record_arrival(id)
        assert tx.webhooks.one(id).failing_since is None
        assert tx.webhooks.disable(id)
        assert not tx.webhooks.disable(id)


def test_a_position_is_advanced_by_one_process_only(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = tx.webhooks.add(member.id, DRAFT, "whsec_YQ==", NOON, 7).id
        assert tx.webhooks.positions_behind(7) == ()
        case, feed = tx.webhooks.positions_behind(8)
        assert (case, feed) == (
            DeliveryPosition(id, member.id, Topic.CASE_OPENED, 7),
            DeliveryPosition(id, member.id, Topic.FEED_CHANGED, 7),
        )
        tx.webhooks.lock([id])
        assert tx.webhooks.advance([feed], 8) == {id}
        assert tx.webhooks.advance([feed], 8) == frozenset()
        assert tx.webhooks.positions_behind(8) == (case,)


def test_positions_of_full_disabled_or_suspended_webhooks_are_not_returned(store: Store, member: Member) -> None:
    with store.begin() as tx:
        id = tx.webhooks.add(member.id, DRAFT, "whsec_YQ==", NOON, 7).id
        tx.deliveries.add(id, Message("msg_1", "feed.changed", NOON, {}))
        assert [position.topic for position in tx.webhooks.positions_behind(8)] == [Topic.CASE_OPENED]
        for number in range(MAX_WAITING_DELIVERIES):
            tx.deliveries.add(id, Message(f"msg_{number}", "case.opened", NOON, {}))
        assert tx.webhooks.positions_behind(8) == ()
        other = tx.members.add(MemberDraft("Other", MemberKind.PLATFORM), NOON)
        other_webhook = tx.webhooks.add(other.id, DRAFT, "whsec_YQ==", NOON, 7)
        assert len(tx.webhooks.positions_behind(8)) == 2
        tx.webhooks.disable(other_webhook.id)
        assert tx.webhooks.positions_behind(8) == ()
        tx.webhooks.change(other_webhook, other_webhook, 7)
        tx.members.change(other.id, MemberChange(status=MemberStatus.SUSPENDED))
        assert tx.webhooks.positions_behind(8) == ()
