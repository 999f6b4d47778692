"""Webhooks: each belongs to a member, and reports only what the key that added it may read."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, Scope
from hashdb.domain.sharing.webhooks import (
    MAX_WAITING_DELIVERIES,
    MAX_WEBHOOKS,
    SECRET_OVERLAP,
    TEST_TOPIC,
    DeliveryOutcome,
    Topic,
    WebhookChange,
    WebhookDraft,
)
from hashdb.errors import (
    InvalidInput,
    LimitReached,
    NotFound,
    NotYours,
    ScopeMissing,
    TooManyWebhooks,
    WebhooksOff,
)
from hashdb.service import HashDB
from hashdb.service.sharing import webhooks
from tests.builders import Clock, hashdb, member_with, with_new_key
from tests.postgres import on_postgres

URL = "https://example.org/hook"
DRAFT = WebhookDraft(URL, (Topic.FEED_CHANGED,), "mine")


@on_postgres
def test_a_webhook_that_is_added_does_not_block_what_refers_to_its_member(
    database_url: str, db: HashDB, actor: Actor, clock: Clock
) -> None:
    assert actor.member is not None
    other_process = hashdb(database_url, clock, busy_seconds=1)
    with db.store.begin() as tx:
        assert tx.webhooks.count(actor.member.id) == 0
        # Otherwise one that has locked the log would wait here, and this transaction would wait for the log.
        assert with_new_key(other_process, actor).is_member(actor.member.id)
    other_process.close()


def logged_webhook_events(db: HashDB) -> list[tuple[str, str, object]]:
    with db.store.read() as tx:
        events = tx.audit.since(0, 1000)
    return [(event.action, event.actor, dict(event.details)) for event in events if event.kind == "webhook"]


def test_adding_changing_renewing_and_deleting_a_webhook_is_logged(db: HashDB, clock: Clock, actor: Actor) -> None:
    issued = webhooks.add(db, actor, DRAFT)
    assert issued.secret.startswith("whsec_") and issued.secret not in repr(issued)
    id, member = issued.webhook.id, issued.webhook.member
    changed = webhooks.change(db, actor, id, WebhookChange(enabled=False, topics=(Topic.CASE_OPENED,)))
    assert changed == replace(issued.webhook, enabled=False, topics=(Topic.CASE_OPENED,))
    assert webhooks.change(db, actor, id, WebhookChange(enabled=False)) == changed
    renewed = webhooks.renew(db, actor, id)
    assert renewed.secret != issued.secret
    assert renewed.webhook.overlap_until == clock.at + SECRET_OVERLAP
    assert webhooks.page(db, actor, 0, 9) == (renewed.webhook,) == (webhooks.get(db, actor, id),)
    webhooks.delete(db, actor, id)
    assert webhooks.page(db, actor, 0, 9) == ()
    assert logged_webhook_events(db) == [
        ("webhook.added", str(actor), {"member": member, "topics": ["feed.changed"]}),
        ("webhook.amended", str(actor), {"fields": ["enabled", "topics"]}),
        ("webhook.renewed", str(actor), {"member": member}),
        ("webhook.deleted", str(actor), {"member": member}),
    ]


def test_a_key_can_subscribe_only_to_topics_that_it_may_read(db: HashDB, actor: Actor) -> None:
    contributor = with_new_key(db, actor, Scope.CONTRIBUTE)
    for topic in (Topic.FEED_CHANGED, Topic.MATCH_REVERSED):
        with pytest.raises(ScopeMissing):
            webhooks.add(db, contributor, WebhookDraft(URL, (topic,)))
    cases_webhook = webhooks.add(db, contributor, WebhookDraft(URL, (Topic.CASE_OPENED, Topic.CASE_DECIDED))).webhook
    with pytest.raises(ScopeMissing):
        webhooks.change(db, contributor, cases_webhook.id, WebhookChange(topics=(Topic.FEED_CHANGED,)))
    feed_webhook = webhooks.add(db, actor, DRAFT).webhook
    for attempt in (
        lambda: webhooks.change(db, contributor, feed_webhook.id, WebhookChange(url="https://example.net/")),
        lambda: webhooks.renew(db, contributor, feed_webhook.id),
        lambda: webhooks.delete(db, contributor, feed_webhook.id),
    ):
        with pytest.raises(ScopeMissing):
            attempt()
    assert webhooks.get(db, contributor, feed_webhook.id) == feed_webhook


def test_other_members_cannot_use_a_webhook_and_administrators_can_disable_it(
    db: HashDB, actor: Actor, other: Actor
) -> None:
    webhook = webhooks.add(db, actor, DRAFT).webhook
    for attempt in (
        lambda: webhooks.get(db, other, webhook.id),
        lambda: webhooks.change(db, other, webhook.id, WebhookChange(enabled=False)),
        lambda: webhooks.renew(db, other, webhook.id),
        lambda: webhooks.test(db, other, webhook.id),
        lambda: webhooks.deliveries(db, other, webhook.id, None, 0, 9),
        lambda: webhooks.delivery(db, other, webhook.id, 1),
        lambda: webhooks.redeliver(db, other, webhook.id, 1),
        lambda: webhooks.delete(db, other, webhook.id),
    ):
        with pytest.raises(NotFound):
            attempt()
    auditor, admin = member_with(db, Scope.AUDIT), member_with(db, Scope.ADMIN)
    assert webhooks.get(db, auditor, webhook.id) == webhook
    assert webhooks.deliveries(db, auditor, webhook.id, None, 0, 9) == ()
    for attempt in (
        lambda: webhooks.change(db, auditor, webhook.id, WebhookChange(enabled=False)),
        lambda: webhooks.test(db, auditor, webhook.id),
        lambda: webhooks.delete(db, auditor, webhook.id),
    ):
        with pytest.raises(NotYours):
            attempt()
    assert webhooks.page(db, admin, 0, 9) == webhooks.page(db, auditor, 0, 9) == (webhook,)
    assert webhooks.page(db, admin, 0, 9, member_id=webhook.member) == (webhook,)
    assert webhooks.page(db, admin, 0, 9, member_id=webhook.member + 1) == ()
    assert not webhooks.change(db, admin, webhook.id, WebhookChange(enabled=False)).enabled
    for attempt in (
        lambda: webhooks.change(db, admin, webhook.id, WebhookChange(url="https://example.net/")),
        lambda: webhooks.renew(db, admin, webhook.id),
    ):
        with pytest.raises(NotYours):
            attempt()
    webhooks.delete(db, admin, webhook.id)
    assert webhooks.page(db, actor, 0, 9) == ()
    with pytest.raises(ScopeMissing):
        webhooks.add(db, COMMAND_LINE, DRAFT)


def test_the_number_of_webhooks_of_a_member_is_limited(db: HashDB, actor: Actor, other: Actor) -> None:
    for _ in range(MAX_WEBHOOKS):
        webhooks.add(db, actor, DRAFT)
    with pytest.raises(TooManyWebhooks):
        webhooks.add(db, actor, DRAFT)
    webhooks.add(db, other, DRAFT)


def test_a_forbidden_address_is_rejected_when_it_is_set(db: HashDB, actor: Actor) -> None:
    webhook = webhooks.add(db, actor, DRAFT).webhook
    for url in ("http://example.org/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/"):
        with pytest.raises(InvalidInput):
            webhooks.add(db, actor, WebhookDraft(url, DRAFT.topics))
        with pytest.raises(InvalidInput):
            webhooks.change(db, actor, webhook.id, WebhookChange(url=url))
    assert webhooks.page(db, actor, 0, 9) == (webhook,)


def test_disabled_webhooks_can_only_be_deleted(db: HashDB, actor: Actor) -> None:
    webhook = webhooks.add(db, actor, DRAFT).webhook
    db.rules = replace(db.rules, webhook_egress=None)
    for attempt in (
        lambda: webhooks.add(db, actor, DRAFT),
        lambda: webhooks.test(db, actor, webhook.id),
        lambda: webhooks.redeliver(db, actor, webhook.id, 1),
    ):
        with pytest.raises(WebhooksOff):
            attempt()
    webhooks.delete(db, actor, webhook.id)


def test_a_test_message_is_queued_and_the_queue_is_limited(db: HashDB, actor: Actor) -> None:
    id = webhooks.add(db, actor, DRAFT).webhook.id
    queued = webhooks.test(db, actor, id)
    assert (queued.message.topic, queued.outcome, queued.message.data) == (
        TEST_TOPIC,
        DeliveryOutcome.WAITING,
        {"webhook": id},
    )
    assert webhooks.deliveries(db, actor, id, DeliveryOutcome.WAITING, 0, 9) == (queued,)
    assert webhooks.delivery(db, actor, id, queued.id) == webhooks.redeliver(db, actor, id, queued.id) == queued
    for _ in range(MAX_WAITING_DELIVERIES - 1):
        webhooks.test(db, actor, id)
    with pytest.raises(LimitReached):
        webhooks.test(db, actor, id)
