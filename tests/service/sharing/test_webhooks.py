"""Webhooks: each member's own, and none tells what its key may not ask."""

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
from tests.builders import Clock, again, member_with

URL = "https://example.org/hook"
DRAFT = WebhookDraft(URL, (Topic.FEED_CHANGED,), "mine")


def told(db: HashDB) -> list[tuple[str, str, object]]:
    with db.store.read() as tx:
        events = tx.audit.since(0, 1000)
    return [(one.action, one.actor, dict(one.details)) for one in events if one.kind == "webhook"]


def test_a_webhook_is_made_changed_and_deleted_and_the_log_tells(db: HashDB, clock: Clock, actor: Actor) -> None:
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
    assert told(db) == [
        ("webhook.added", str(actor), {"member": member, "topics": ["feed.changed"]}),
        ("webhook.amended", str(actor), {"fields": ["enabled", "topics"]}),
        ("webhook.renewed", str(actor), {"member": member}),
        ("webhook.deleted", str(actor), {"member": member}),
    ]


def test_a_key_has_others_told_only_what_it_may_ask(db: HashDB, actor: Actor) -> None:
    contributor = again(db, actor, Scope.CONTRIBUTE)
    for topic in (Topic.FEED_CHANGED, Topic.MATCH_REVERSED):
        with pytest.raises(ScopeMissing):
            webhooks.add(db, contributor, WebhookDraft(URL, (topic,)))
    mine = webhooks.add(db, contributor, WebhookDraft(URL, (Topic.CASE_OPENED, Topic.CASE_DECIDED))).webhook
    with pytest.raises(ScopeMissing):
        webhooks.change(db, contributor, mine.id, WebhookChange(topics=(Topic.FEED_CHANGED,)))
    full = webhooks.add(db, actor, DRAFT).webhook
    for attempt in (
        lambda: webhooks.change(db, contributor, full.id, WebhookChange(url="https://example.net/")),
        lambda: webhooks.renew(db, contributor, full.id),
        lambda: webhooks.delete(db, contributor, full.id),
    ):
        with pytest.raises(ScopeMissing):
            attempt()
    assert webhooks.get(db, contributor, full.id) == full


def test_a_webhook_is_its_members_and_an_administrator_may_end_it(db: HashDB, actor: Actor, other: Actor) -> None:
    mine = webhooks.add(db, actor, DRAFT).webhook
    for attempt in (
        lambda: webhooks.get(db, other, mine.id),
        lambda: webhooks.change(db, other, mine.id, WebhookChange(enabled=False)),
        lambda: webhooks.renew(db, other, mine.id),
        lambda: webhooks.test(db, other, mine.id),
        lambda: webhooks.deliveries(db, other, mine.id, None, 0, 9),
        lambda: webhooks.delivery(db, other, mine.id, 1),
        lambda: webhooks.redeliver(db, other, mine.id, 1),
        lambda: webhooks.delete(db, other, mine.id),
    ):
        with pytest.raises(NotFound):
            attempt()
    auditor, admin = member_with(db, Scope.AUDIT), member_with(db, Scope.ADMIN)
    assert webhooks.get(db, auditor, mine.id) == mine
    assert webhooks.deliveries(db, auditor, mine.id, None, 0, 9) == ()
    for attempt in (
        lambda: webhooks.change(db, auditor, mine.id, WebhookChange(enabled=False)),
        lambda: webhooks.test(db, auditor, mine.id),
        lambda: webhooks.delete(db, auditor, mine.id),
    ):
        with pytest.raises(NotYours):
            attempt()
    assert webhooks.page(db, admin, 0, 9) == webhooks.page(db, auditor, 0, 9) == (mine,)
    assert webhooks.page(db, admin, 0, 9, member_id=mine.member) == (mine,)
    assert webhooks.page(db, admin, 0, 9, member_id=mine.member + 1) == ()
    assert not webhooks.change(db, admin, mine.id, WebhookChange(enabled=False)).enabled
    for attempt in (
        lambda: webhooks.change(db, admin, mine.id, WebhookChange(url="https://example.net/")),
        lambda: webhooks.renew(db, admin, mine.id),
    ):
        with pytest.raises(NotYours):
            attempt()
    webhooks.delete(db, admin, mine.id)
    assert webhooks.page(db, actor, 0, 9) == ()
    with pytest.raises(ScopeMissing):
        webhooks.add(db, COMMAND_LINE, DRAFT)


def test_a_member_has_so_many(db: HashDB, actor: Actor, other: Actor) -> None:
    for _ in range(MAX_WEBHOOKS):
        webhooks.add(db, actor, DRAFT)
    with pytest.raises(TooManyWebhooks):
        webhooks.add(db, actor, DRAFT)
    webhooks.add(db, other, DRAFT)


def test_an_address_inside_is_refused_as_it_is_named(db: HashDB, actor: Actor) -> None:
    mine = webhooks.add(db, actor, DRAFT).webhook
    for url in ("http://example.org/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/"):
        with pytest.raises(InvalidInput):
            webhooks.add(db, actor, WebhookDraft(url, DRAFT.topics))
        with pytest.raises(InvalidInput):
            webhooks.change(db, actor, mine.id, WebhookChange(url=url))
    assert webhooks.page(db, actor, 0, 9) == (mine,)


def test_where_they_are_off_none_is_made(db: HashDB, actor: Actor) -> None:
    mine = webhooks.add(db, actor, DRAFT).webhook
    db.rules = replace(db.rules, webhook_egress=None)
    for attempt in (
        lambda: webhooks.add(db, actor, DRAFT),
        lambda: webhooks.test(db, actor, mine.id),
        lambda: webhooks.redeliver(db, actor, mine.id, 1),
    ):
        with pytest.raises(WebhooksOff):
            attempt()
    webhooks.delete(db, actor, mine.id)


def test_a_test_waits_to_be_sent_and_not_too_many(db: HashDB, actor: Actor) -> None:
    id = webhooks.add(db, actor, DRAFT).webhook.id
    asked = webhooks.test(db, actor, id)
    assert (asked.message.topic, asked.outcome, asked.message.data) == (
        TEST_TOPIC,
        DeliveryOutcome.WAITING,
        {"webhook": id},
    )
    assert webhooks.deliveries(db, actor, id, DeliveryOutcome.WAITING, 0, 9) == (asked,)
    assert webhooks.delivery(db, actor, id, asked.id) == webhooks.redeliver(db, actor, id, asked.id) == asked
    for _ in range(MAX_WAITING_DELIVERIES - 1):
        webhooks.test(db, actor, id)
    with pytest.raises(LimitReached):
        webhooks.test(db, actor, id)
