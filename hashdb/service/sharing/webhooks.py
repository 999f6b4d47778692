"""Webhooks: a member adds, changes, tests and deletes its own; auditors see all; administrators may stop any."""

from __future__ import annotations

import secrets
from dataclasses import fields, replace

from hashdb.domain.accounts.members import Actor, Member, Scope
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.sharing.webhooks import (
    MAX_WAITING_DELIVERIES,
    MAX_WEBHOOKS,
    SECRET_OVERLAP,
    TEST_TOPIC,
    Delivery,
    DeliveryOutcome,
    IssuedWebhook,
    Message,
    Topic,
    Webhook,
    WebhookChange,
    WebhookDraft,
    secret_text,
    url_fault,
)
from hashdb.errors import (
    LimitReached,
    NotFound,
    NotYours,
    ScopeMissing,
    TooManyWebhooks,
    WebhooksOff,
    reject_field,
)
from hashdb.service import HashDB
from hashdb.store import Transaction

_SECRET_BYTES = 32
_RETRY_AFTER = 60


def page(db: HashDB, actor: Actor, after: int, limit: int, of: int | None = None) -> tuple[Webhook, ...]:
    """At most `limit` webhooks with ids above `after`: the actor's own; with `audit` all, or those of member `of`."""
    member = of if actor.has(Scope.AUDIT) else _member(actor).id
    with db.read(actor) as tx:
        return tx.webhooks.page(member, after, limit)


def get(db: HashDB, actor: Actor, id: int) -> Webhook:
    """One webhook: the actor's own, with `audit` any. Raises NotFound."""
    with db.read(actor) as tx:
        return _visible(tx, actor, id)


def add(db: HashDB, actor: Actor, draft: WebhookDraft) -> IssuedWebhook:
    """Add a webhook of the actor's member, for events from now on; only the returned value has its secret.

    Raises WebhooksOff, ScopeMissing, InvalidInput, TooManyWebhooks.
    """
    member = _member(actor)
    _require(actor, draft.topics)
    _check(db, draft.url)
    secret, now = secret_text(secrets.token_bytes(_SECRET_BYTES)), db.now()
    with db.store.begin() as tx:
        if tx.webhooks.count(member.id) >= MAX_WEBHOOKS:
            raise TooManyWebhooks(MAX_WEBHOOKS)
        added = tx.webhooks.add(member.id, draft, secret, now, tx.audit.head().seq)
        details: Details = {"member": member.id, "topics": [str(topic) for topic in added.topics]}
        tx.audit.append(now, actor, [LogEntry(Action.WEBHOOK_ADDED, "webhook", added.id, details)])
    return IssuedWebhook(added, secret)


def change(db: HashDB, actor: Actor, id: int, webhook_change: WebhookChange) -> Webhook:
    """Change a webhook of the actor's member; an administrator may enable and disable any.

    A webhook that is enabled again continues where it was. Raises NotFound, NotYours, ScopeMissing, InvalidInput.
    """
    with db.begin(actor) as tx:
        before = _changeable(tx, actor, id)
        after = _changed(before, webhook_change)
        fields = [
            name for name in ("enabled", "note", "topics", "url") if getattr(before, name) != getattr(after, name)
        ]
        if fields != ["enabled"] or not actor.has(Scope.ADMIN):
            _require_own(actor, before)
            _require(actor, after.topics)
        if "url" in fields:
            _check(db, after.url)
        if fields:
            tx.webhooks.change(after, before, tx.audit.head().seq)
            tx.audit.append(db.now(), actor, [LogEntry(Action.WEBHOOK_AMENDED, "webhook", id, {"fields": fields})])
        return after


def delete(db: HashDB, actor: Actor, id: int) -> None:
    """Delete a webhook of the actor's member, with `admin` any; its waiting deliveries are not sent.

    Raises NotFound, ScopeMissing.
    """
    with db.begin(actor) as tx:
        webhook = _changeable(tx, actor, id)
        if not actor.has(Scope.ADMIN):
            _require(actor, webhook.topics)
        tx.webhooks.delete(id)
        tx.audit.append(db.now(), actor, [LogEntry(Action.WEBHOOK_DELETED, "webhook", id, {"member": webhook.member})])


def renew(db: HashDB, actor: Actor, id: int) -> IssuedWebhook:
    """Give a webhook a new secret, which only the returned value has; for a day both secrets sign.

    Raises NotFound, NotYours, ScopeMissing.
    """
    actor.require()
    secret, now = secret_text(secrets.token_bytes(_SECRET_BYTES)), db.now()
    with db.store.begin() as tx:
        webhook = _require_own(actor, _changeable(tx, actor, id))
        _require(actor, webhook.topics)
        tx.webhooks.renew(id, secret, now + SECRET_OVERLAP)
        tx.audit.append(now, actor, [LogEntry(Action.WEBHOOK_RENEWED, "webhook", id, {"member": webhook.member})])
        return IssuedWebhook(tx.webhooks.one(id), secret)


def test(db: HashDB, actor: Actor, id: int) -> Delivery:
    """Queue a test message, which is sent once, even if the webhook is disabled.

    Raises NotFound, WebhooksOff, LimitReached.
    """
    actor.require()
    _require_on(db)
    with db.store.begin() as tx:
        _changeable(tx, actor, id)
        if tx.deliveries.waiting(id) >= MAX_WAITING_DELIVERIES:
            raise LimitReached(f"{MAX_WAITING_DELIVERIES} deliveries that wait", _RETRY_AFTER)
        return tx.deliveries.add(id, new_message(db, TEST_TOPIC, {"webhook": id}))


def deliveries(
    db: HashDB, actor: Actor, id: int, outcome: DeliveryOutcome | None, after: int, limit: int
) -> tuple[Delivery, ...]:
    """At most `limit` deliveries to a webhook with ids above `after`, in order. Raises NotFound."""
    with db.read(actor) as tx:
        _visible(tx, actor, id)
        return tx.deliveries.page(id, outcome, after, limit)


def delivery(db: HashDB, actor: Actor, id: int, delivery: int) -> Delivery:
    """One delivery to a webhook. Raises NotFound."""
    with db.read(actor) as tx:
        _visible(tx, actor, id)
        return tx.deliveries.one(id, delivery)


def redeliver(db: HashDB, actor: Actor, id: int, delivery: int) -> Delivery:
    """Queue a delivery again, with the same id. Raises NotFound, WebhooksOff."""
    actor.require()
    _require_on(db)
    with db.store.begin() as tx:
        _changeable(tx, actor, id)
        tx.deliveries.one(id, delivery, lock=True)
        tx.deliveries.again(delivery, db.now())
        return tx.deliveries.one(id, delivery)


def new_message(db: HashDB, topic: str, data: dict[str, object]) -> Message:
    """A message of now, with an id that is unique across databases."""
    return Message(f"msg_{secrets.token_urlsafe(18)}", topic, db.now(), data)


def _changed(before: Webhook, change: WebhookChange) -> Webhook:
    """The webhook with the fields of the change, where it has them."""
    values = {field.name: getattr(change, field.name) for field in fields(change)}
    after = replace(before, **{name: value for name, value in values.items() if value is not None})
    topics = tuple(topic for topic in Topic if topic in after.topics)
    return replace(
        after, topics=topics, failing_since=before.failing_since if after.enabled is before.enabled else None
    )


def _member(actor: Actor) -> Member:
    actor.require()
    if actor.member is None:
        raise ScopeMissing(Scope.MATCH)
    return actor.member


def _visible(tx: Transaction, actor: Actor, id: int, *, lock: bool = False) -> Webhook:
    webhook = tx.webhooks.one(id, lock=lock)
    if not actor.has(Scope.AUDIT) and not actor.is_member(webhook.member):
        raise NotFound(f"webhook {id}")
    return webhook


def _changeable(tx: Transaction, actor: Actor, id: int) -> Webhook:
    """A webhook that the actor may change: its own, with `admin` any."""
    webhook = _visible(tx, actor, id, lock=True)
    return webhook if actor.has(Scope.ADMIN) else _require_own(actor, webhook)


def _require_own(actor: Actor, webhook: Webhook) -> Webhook:
    if not actor.is_member(webhook.member):
        raise NotYours("webhook", webhook.id)
    return webhook


def _require(actor: Actor, topics: tuple[Topic, ...]) -> None:
    """Require the scopes of the topics: a key must not send by webhook what it may not read."""
    for topic in topics:
        if topic.scope is not None:
            actor.require(topic.scope)


def _require_on(db: HashDB) -> EgressPolicy:
    if db.rules.webhook_egress is None:
        raise WebhooksOff()
    return db.rules.webhook_egress


def _check(db: HashDB, url: str) -> None:
    reject_field("url", url_fault(url, _require_on(db)))
