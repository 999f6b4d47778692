"""Webhooks: a member makes, changes, tests and deletes its own; auditors see all, an administrator may end one."""

from __future__ import annotations

import secrets
from dataclasses import replace

from hashdb.domain.accounts.members import Actor, Member, Scope
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.sharing.webhooks import (
    MOST,
    OVERLAP,
    TESTED,
    WAITING_EACH,
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
    Fault,
    InvalidInput,
    LimitReached,
    NotFound,
    NotYours,
    ScopeMissing,
    TooManyWebhooks,
    WebhooksOff,
)
from hashdb.service import HashDB
from hashdb.store import Transaction

_SECRET_BYTES = 32
_RETRY_AFTER = 60


def page(db: HashDB, actor: Actor, after: int, limit: int, of: int | None = None) -> tuple[Webhook, ...]:
    """At most `limit` webhooks with ids above `after`, in order: the actor's own, with `audit` everybody's.

    Of everybody's, those of the member `of` alone, where one is named.
    """
    member = of if actor.has(Scope.AUDIT) else _member(actor).id
    actor.require()
    with db.store.read() as tx:
        return tx.webhooks.page(member, after, limit)


def get(db: HashDB, actor: Actor, id: int) -> Webhook:
    """One webhook: the actor's own, with `audit` anybody's. Raises NotFound."""
    actor.require()
    with db.store.read() as tx:
        return _seen(tx, actor, id)


def add(db: HashDB, actor: Actor, draft: WebhookDraft) -> IssuedWebhook:
    """Make a webhook of the actor's member, which tells of what happens from now on; its secret is in the answer only.

    Raises WebhooksOff, ScopeMissing, InvalidInput, TooManyWebhooks.
    """
    member = _member(actor)
    _require(actor, draft.topics)
    _check(db, draft.url)
    secret, now = secret_text(secrets.token_bytes(_SECRET_BYTES)), db.now()
    with db.store.begin() as tx:
        if tx.webhooks.count(member.id) >= MOST:
            raise TooManyWebhooks(MOST)
        added = tx.webhooks.add(member.id, draft, secret, now, tx.audit.head().seq)
        details: Details = {"member": member.id, "topics": [str(topic) for topic in added.topics]}
        tx.audit.append(now, actor, [Entry(Action.WEBHOOK_ADDED, "webhook", added.id, details)])
    return IssuedWebhook(added, secret)


def change(db: HashDB, actor: Actor, id: int, asked: WebhookChange) -> Webhook:
    """Change a webhook of the actor's member; of anybody's, an administrator may change whether it is enabled.

    One that is enabled again goes on where it was. Raises NotFound, NotYours, ScopeMissing, InvalidInput.
    """
    actor.require()
    with db.store.begin() as tx:
        before = _changeable(tx, actor, id)
        after = _changed(before, asked)
        fields = [
            name for name in ("enabled", "note", "topics", "url") if getattr(before, name) != getattr(after, name)
        ]
        if fields != ["enabled"] or not actor.has(Scope.ADMIN):
            _own(actor, before)
            _require(actor, after.topics)
        if "url" in fields:
            _check(db, after.url)
        if fields:
            tx.webhooks.change(after, before, tx.audit.head().seq)
            tx.audit.append(db.now(), actor, [Entry(Action.WEBHOOK_AMENDED, "webhook", id, {"fields": fields})])
        return after


def delete(db: HashDB, actor: Actor, id: int) -> None:
    """Delete a webhook of the actor's member, with `admin` of anybody's; what waits for it is not sent.

    Raises NotFound, ScopeMissing.
    """
    actor.require()
    with db.store.begin() as tx:
        found = _changeable(tx, actor, id)
        if not actor.has(Scope.ADMIN):
            _require(actor, found.topics)
        tx.webhooks.delete(id)
        tx.audit.append(db.now(), actor, [Entry(Action.WEBHOOK_DELETED, "webhook", id, {"member": found.member})])


def renew(db: HashDB, actor: Actor, id: int) -> IssuedWebhook:
    """Give a webhook another secret, which is in the answer only; the one before signs beside it for a day.

    Raises NotFound, NotYours, ScopeMissing.
    """
    actor.require()
    secret, now = secret_text(secrets.token_bytes(_SECRET_BYTES)), db.now()
    with db.store.begin() as tx:
        found = _own(actor, _changeable(tx, actor, id))
        _require(actor, found.topics)
        tx.webhooks.renew(id, secret, now + OVERLAP)
        tx.audit.append(now, actor, [Entry(Action.WEBHOOK_RENEWED, "webhook", id, {"member": found.member})])
        return IssuedWebhook(tx.webhooks.one(id), secret)


def test(db: HashDB, actor: Actor, id: int) -> Delivery:
    """Have a message sent that tells of nothing, once, also where the webhook is not enabled.

    Raises NotFound, WebhooksOff, LimitReached.
    """
    actor.require()
    _on(db)
    with db.store.begin() as tx:
        _changeable(tx, actor, id)
        if tx.deliveries.waiting(id) >= WAITING_EACH:
            raise LimitReached(f"{WAITING_EACH} deliveries that wait", _RETRY_AFTER)
        return tx.deliveries.add(id, new_message(db, TESTED, {"webhook": id}))


def deliveries(
    db: HashDB, actor: Actor, id: int, outcome: DeliveryOutcome | None, after: int, limit: int
) -> tuple[Delivery, ...]:
    """At most `limit` deliveries to a webhook with ids above `after`, in order. Raises NotFound."""
    actor.require()
    with db.store.read() as tx:
        _seen(tx, actor, id)
        return tx.deliveries.page(id, outcome, after, limit)


def delivery(db: HashDB, actor: Actor, id: int, delivery: int) -> Delivery:
    """One delivery to a webhook. Raises NotFound."""
    actor.require()
    with db.store.read() as tx:
        _seen(tx, actor, id)
        return tx.deliveries.one(id, delivery)


def redeliver(db: HashDB, actor: Actor, id: int, delivery: int) -> Delivery:
    """Send a delivery again, at once, with the id that it had. Raises NotFound, WebhooksOff."""
    actor.require()
    _on(db)
    with db.store.begin() as tx:
        _changeable(tx, actor, id)
        tx.deliveries.one(id, delivery, lock=True)
        tx.deliveries.again(delivery, db.now())
        return tx.deliveries.one(id, delivery)


def new_message(db: HashDB, topic: str, data: dict[str, object]) -> Message:
    """A message of now, with an id that no other has, of whatever database."""
    return Message(f"msg_{secrets.token_urlsafe(18)}", topic, db.now(), data)


def _changed(before: Webhook, asked: WebhookChange) -> Webhook:
    enabled = before.enabled if asked.enabled is None else asked.enabled
    return replace(
        before,
        url=before.url if asked.url is None else asked.url,
        topics=before.topics if asked.topics is None else tuple(topic for topic in Topic if topic in asked.topics),
        note=before.note if asked.note is None else asked.note,
        enabled=enabled,
        failing_since=before.failing_since if enabled is before.enabled else None,
    )


def _member(actor: Actor) -> Member:
    actor.require()
    if actor.member is None:
        raise ScopeMissing(Scope.MATCH)
    return actor.member


def _seen(tx: Transaction, actor: Actor, id: int, *, lock: bool = False) -> Webhook:
    found = tx.webhooks.one(id, lock=lock)
    if not actor.has(Scope.AUDIT) and (actor.member is None or found.member != actor.member.id):
        raise NotFound(f"webhook {id}")
    return found


def _changeable(tx: Transaction, actor: Actor, id: int) -> Webhook:
    """One of which the actor may change something: its own, with `admin` anybody's."""
    found = _seen(tx, actor, id, lock=True)
    return found if actor.has(Scope.ADMIN) else _own(actor, found)


def _own(actor: Actor, webhook: Webhook) -> Webhook:
    if actor.member is None or webhook.member != actor.member.id:
        raise NotYours("webhook", webhook.id)
    return webhook


def _require(actor: Actor, topics: tuple[Topic, ...]) -> None:
    """Have the scopes of what is told: a key must not have others told what it may not ask."""
    for topic in topics:
        if topic.scope is not None:
            actor.require(topic.scope)


def _on(db: HashDB) -> None:
    if db.rules.reach is None:
        raise WebhooksOff()


def _check(db: HashDB, url: str) -> None:
    if db.rules.reach is None:
        raise WebhooksOff()
    if reason := url_fault(url, db.rules.reach):
        raise InvalidInput((Fault("url", reason),))
