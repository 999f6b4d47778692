"""Webhooks: a member manages its own; a key with `audit` sees all, and one with `admin` may disable or delete any."""

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
from hashdb.errors import LimitReached, NotFound, NotYours, ScopeMissing, TooManyWebhooks, WebhooksOff, reject_field
from hashdb.service import HashDB
from hashdb.store import Transaction

_SECRET_BYTES = 32
_RETRY_AFTER = 60
"""Seconds after which a client may try again if too many deliveries wait."""


def page(db: HashDB, actor: Actor, after: int, limit: int, member_id: int | None = None) -> tuple[Webhook, ...]:
    """At most `limit` webhooks with ids above `after`, in order: the actor's own.

    With the scope `audit`: those of `member_id`, or of all members if it is None.
    """
    owner = member_id if actor.has(Scope.AUDIT) else _require_member(actor).id
    with db.read(actor) as tx:
        return tx.webhooks.page(owner, after, limit)


def get(db: HashDB, actor: Actor, id: int) -> Webhook:
    """One webhook: one of the actor's own, or any with the scope `audit`. Raises NotFound."""
    with db.read(actor) as tx:
        return _visible(tx, actor, id)


def add(db: HashDB, actor: Actor, draft: WebhookDraft) -> IssuedWebhook:
    """Add a webhook of the actor's member, for events from now on. Only the returned value shows its secret.

    Raises WebhooksOff, ScopeMissing, InvalidInput, TooManyWebhooks.
    """
    member = _require_member(actor)
    _require_scopes(actor, draft.topics)
    _check_url(db, draft.url)
    secret, now = secret_text(secrets.token_bytes(_SECRET_BYTES)), db.now()
    with db.store.begin() as tx:
        if tx.webhooks.count(member.id) >= MAX_WEBHOOKS:
            raise TooManyWebhooks(MAX_WEBHOOKS)
        added = tx.webhooks.add(member.id, draft, secret, now, tx.audit.head().seq)
        details: Details = {"member": member.id, "topics": [str(topic) for topic in added.topics]}
        tx.audit.append(now, actor, [LogEntry(Action.WEBHOOK_ADDED, "webhook", added.id, details)])
    return IssuedWebhook(added, secret)


def change(db: HashDB, actor: Actor, id: int, webhook_change: WebhookChange) -> Webhook:
    """Change a webhook of the actor's member; with the scope `admin`, enable or disable any.

    A webhook that is enabled again continues after the last event that it was sent.

    Raises NotFound, NotYours, ScopeMissing, InvalidInput.
    """
    with db.begin(actor) as tx:
        before = _changeable(tx, actor, id)
        after = _apply_change(before, webhook_change)
        changed = [
            name for name in ("enabled", "note", "topics", "url") if getattr(before, name) != getattr(after, name)
        ]
        if changed != ["enabled"] or not actor.has(Scope.ADMIN):
            _require_own(actor, before)
            _require_scopes(actor, after.topics)
        if "url" in changed:
            _check_url(db, after.url)
        if changed:
            tx.webhooks.change(after, before, tx.audit.head().seq)
            tx.audit.append(db.now(), actor, [LogEntry(Action.WEBHOOK_AMENDED, "webhook", id, {"fields": changed})])
        return after


def delete(db: HashDB, actor: Actor, id: int) -> None:
    """Delete a webhook of the actor's member, or any with the scope `admin`. Its waiting deliveries are not sent.

    Raises NotFound, ScopeMissing.
    """
    with db.begin(actor) as tx:
        webhook = _changeable(tx, actor, id)
        if not actor.has(Scope.ADMIN):
            _require_scopes(actor, webhook.topics)
        tx.webhooks.delete(id)
        tx.audit.append(db.now(), actor, [LogEntry(Action.WEBHOOK_DELETED, "webhook", id, {"member": webhook.member})])


def renew(db: HashDB, actor: Actor, id: int) -> IssuedWebhook:
    """Give a webhook a new secret, which only the returned value shows.

    For a day (`SECRET_OVERLAP`) messages are signed with both secrets.

    Raises NotFound, NotYours, ScopeMissing.
    """
    actor.require_not_suspended()
    secret, now = secret_text(secrets.token_bytes(_SECRET_BYTES)), db.now()
    with db.store.begin() as tx:
        webhook = _require_own(actor, _changeable(tx, actor, id))
        _require_scopes(actor, webhook.topics)
        tx.webhooks.renew(id, secret, now + SECRET_OVERLAP)
        tx.audit.append(now, actor, [LogEntry(Action.WEBHOOK_RENEWED, "webhook", id, {"member": webhook.member})])
        return IssuedWebhook(tx.webhooks.one(id), secret)


def test(db: HashDB, actor: Actor, id: int) -> Delivery:
    """Queue a test message to a webhook. The service sends it once, even if the webhook is disabled.

    Raises NotFound, WebhooksOff, LimitReached.
    """
    actor.require_not_suspended()
    _require_egress(db)
    with db.store.begin() as tx:
        _changeable(tx, actor, id)
        if tx.deliveries.count_waiting(id) >= MAX_WAITING_DELIVERIES:
            raise LimitReached(f"{MAX_WAITING_DELIVERIES} waiting deliveries", _RETRY_AFTER)
        return tx.deliveries.add(id, new_message(db, TEST_TOPIC, {"webhook": id}))


def deliveries(
    db: HashDB, actor: Actor, id: int, outcome: DeliveryOutcome | None, after: int, limit: int
) -> tuple[Delivery, ...]:
    """At most `limit` deliveries to a webhook with ids above `after`, in order; those with an outcome, or all (None).

    Raises NotFound.
    """
    with db.read(actor) as tx:
        _visible(tx, actor, id)
        return tx.deliveries.page(id, outcome, after, limit)


def delivery(db: HashDB, actor: Actor, id: int, delivery: int) -> Delivery:
    """One delivery to a webhook. Raises NotFound."""
    with db.read(actor) as tx:
        _visible(tx, actor, id)
        return tx.deliveries.one(id, delivery)


def redeliver(db: HashDB, actor: Actor, id: int, delivery: int) -> Delivery:
    """Queue a delivery again, under the same id. Raises NotFound, WebhooksOff."""
    actor.require_not_suspended()
    _require_egress(db)
    with db.store.begin() as tx:
        _changeable(tx, actor, id)
        tx.deliveries.one(id, delivery, lock=True)
        tx.deliveries.requeue(delivery, db.now())
        return tx.deliveries.one(id, delivery)


def new_message(db: HashDB, topic: str, data: dict[str, object]) -> Message:
    """A new message, of the present time, with an id that is unique across services."""
    return Message(f"msg_{secrets.token_urlsafe(18)}", topic, db.now(), data)


def _apply_change(before: Webhook, change: WebhookChange) -> Webhook:
    """The webhook after a change. A field of the change that is None stays as it was."""
    values = {field.name: getattr(change, field.name) for field in fields(change)}
    after = replace(before, **{name: value for name, value in values.items() if value is not None})
    topics = tuple(topic for topic in Topic if topic in after.topics)
    return replace(
        after, topics=topics, failing_since=before.failing_since if after.enabled is before.enabled else None
    )


def _require_member(actor: Actor) -> Member:
    """The member of the actor's key. Raises ScopeMissing for an actor without a member."""
    actor.require_not_suspended()
    if actor.member is None:
        raise ScopeMissing(Scope.MATCH)
    return actor.member


def _visible(tx: Transaction, actor: Actor, id: int, *, lock: bool = False) -> Webhook:
    """A webhook that the actor may see: its own, or any with the scope `audit`. Raises NotFound."""
    webhook = tx.webhooks.one(id, lock=lock)
    if not actor.has(Scope.AUDIT) and not actor.is_member(webhook.member):
        raise NotFound(f"webhook {id}")
    return webhook


def _changeable(tx: Transaction, actor: Actor, id: int) -> Webhook:
    """A webhook that the actor may change: its own, or any with the scope `admin`. It is locked."""
    webhook = _visible(tx, actor, id, lock=True)
    return webhook if actor.has(Scope.ADMIN) else _require_own(actor, webhook)


def _require_own(actor: Actor, webhook: Webhook) -> Webhook:
    if not actor.is_member(webhook.member):
        raise NotYours("webhook", webhook.id)
    return webhook


def _require_scopes(actor: Actor, topics: tuple[Topic, ...]) -> None:
    """Require the scopes of the topics: a webhook must not receive what the key may not read."""
    for topic in topics:
        if topic.scope is not None:
            actor.require(topic.scope)


def _require_egress(db: HashDB) -> EgressPolicy:
    """The addresses that webhooks may have. Raises WebhooksOff if the operator has not turned webhooks on."""
    if db.rules.webhook_egress is None:
        raise WebhooksOff()
    return db.rules.webhook_egress


def _check_url(db: HashDB, url: str) -> None:
    """Raise WebhooksOff, or InvalidInput if the service may not send to this URL."""
    reject_field("url", url_fault(url, _require_egress(db)))
