"""Webhooks and their deliveries in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import ColumnElement, Row, ScalarSelect, and_, func, insert, or_, select, update

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.sharing.webhooks import (
    MAX_KEPT_DELIVERIES,
    MAX_WAITING_DELIVERIES,
    TEST_TOPIC,
    Attempt,
    ClaimedDelivery,
    Delivery,
    DeliveryOutcome,
    Message,
    Topic,
    Trouble,
    Webhook,
    WebhookDraft,
)
from hashdb.store.accounts.members import Members
from hashdb.store.repositories import Repository, attributes, chunks
from hashdb.store.review.due import DueNotices, RecipientKind
from hashdb.store.tables import deliveries, members, webhook_topics, webhooks


class DeliveryPosition(NamedTuple):
    """The seq up to which the deliveries of a webhook's topic have been made."""

    webhook: int
    member: int
    topic: Topic
    seq: int


class Webhooks(Repository):
    """Webhooks within one transaction."""

    def add(self, member: int, draft: WebhookDraft, secret: str, now: datetime, seq: int) -> Webhook:
        """Record a webhook, which receives the events after `seq`."""
        row = {
            "member_id": member,
            **attributes(draft, "url", "note"),
            "enabled": True,
            "secret": secret,
            "created_at": now,
        }
        row["reports_due"] = Topic.CASE_DUE in draft.topics
        id = self._insert(webhooks, row).id
        self._follow(id, draft.topics, seq)
        return self.one(id)

    def one(self, id: int, *, lock: bool = False) -> Webhook:
        """One webhook; `lock` locks it until the transaction ends. Raises NotFound."""
        return self._webhooks([self._get_row(select(webhooks).where(webhooks.c.id == id), f"webhook {id}", lock=lock)])[
            0
        ]

    def page(self, member: int | None, after: int, limit: int) -> tuple[Webhook, ...]:
        """At most `limit` of a member's webhooks (None: of everybody's) with ids above `after`, in order."""
        query = select(webhooks) if member is None else select(webhooks).where(webhooks.c.member_id == member)
        return self._webhooks(self._page_after(query, webhooks.c.id, after, limit))

    def count(self, member: int) -> int:
        """How many webhooks a member has; locks the member, so that nobody else adds one until the transaction ends."""
        Members(self._connection).lock([member])
        return self._count(webhooks.c.member_id == member)

    def change(self, changed: Webhook, before: Webhook, seq: int) -> None:
        """Store a changed webhook; of a topic that it did not have `before`, it receives the events after `seq`."""
        values = attributes(changed, "url", "note", "enabled", "failing_since")
        values["reports_due"] = Topic.CASE_DUE in changed.topics
        self._update(webhooks, changed.id, **values)
        dropped_topics = [str(topic) for topic in before.topics if topic not in changed.topics]
        self._delete(
            webhook_topics, webhook_topics.c.webhook_id == changed.id, webhook_topics.c.topic.in_(dropped_topics)
        )
        self._follow(changed.id, [topic for topic in changed.topics if topic not in before.topics], seq)

    def delete(self, id: int) -> None:
        """Remove a webhook and its deliveries."""
        for table in (deliveries, webhook_topics):
            self._delete(table, table.c.webhook_id == id)
        DueNotices(self._connection).forget_recipient(RecipientKind.WEBHOOK, id)
        self._delete(webhooks, webhooks.c.id == id)

    def renew(self, id: int, secret: str, until: datetime) -> None:
        """Give a webhook a new secret; the present one signs beside it until `until`."""
        self._update(webhooks, id, before=webhooks.c.secret, secret=secret, overlap_until=until)

    def record_arrival(self, id: int) -> None:
        """Record that a delivery to a webhook has arrived."""
        query = update(webhooks).where(webhooks.c.id == id, webhooks.c.failing_since.is_not(None))
        self._connection.execute(query.values(failing_since=None))

    def record_failure(self, id: int, now: datetime) -> datetime:
        """Record that a delivery to a webhook has failed; return since when none has arrived. Raises NotFound."""
        query = update(webhooks).where(webhooks.c.id == id, webhooks.c.failing_since.is_(None))
        self._connection.execute(query.values(failing_since=now))
        return self.one(id).failing_since or now

    def disable(self, id: int) -> bool:
        """Disable a webhook; return whether it was enabled."""
        query = update(webhooks).where(webhooks.c.id == id, webhooks.c.enabled.is_(True)).values(enabled=False)
        return self._connection.execute(query).rowcount == 1

    def positions_behind(self, seq: int) -> tuple[DeliveryPosition, ...]:
        """The positions of webhooks' topics whose deliveries are to be made up to `seq`.

        A webhook with too many waiting deliveries is left out. So is a topic whose messages combine several events,
        while a delivery of it waits.
        """
        return tuple(
            DeliveryPosition(row.webhook_id, row.member_id, Topic(row.topic), row.seq)
            for row in self._connection.execute(_BEHIND.where(webhook_topics.c.seq < seq))
            if row.waiting < MAX_WAITING_DELIVERIES and not (Topic(row.topic).gathers and row.waiting_of_topic)
        )

    def reporting_due_cases(self) -> tuple[int, ...]:
        """The webhooks that report cases due soon, and have no message of that topic waiting."""
        rows = self._connection.execute(_OF_DUE_CASES)
        return tuple(row.id for row in rows if row.waiting < MAX_WAITING_DELIVERIES and not row.waiting_of_topic)

    def lock(self, ids: Collection[int]) -> None:
        """Lock these webhooks until the transaction ends, so that none is deleted or changed."""
        for chunk in chunks(sorted(set(ids))):
            query = select(webhooks.c.id).where(webhooks.c.id.in_(chunk)).order_by(webhooks.c.id)
            self._connection.execute(query.with_for_update(read=True, key_share=True))

    def advance(self, positions: Sequence[DeliveryPosition], seq: int) -> frozenset[int]:
        """Advance positions, all of one topic and at one seq, to a later `seq`.

        Returns the webhooks whose position nobody else had advanced.
        """
        moved: set[int] = set()
        for chunk in chunks(positions):
            query = update(webhook_topics).where(
                webhook_topics.c.webhook_id.in_([position.webhook for position in chunk]),
                webhook_topics.c.topic == str(chunk[0].topic),
                webhook_topics.c.seq == chunk[0].seq,
            )
            moved.update(self._connection.scalars(query.values(seq=seq).returning(webhook_topics.c.webhook_id)))
        return frozenset(moved)

    def _follow(self, id: int, topics: Collection[Topic], seq: int) -> None:
        """Let a webhook receive the events after `seq` of these topics."""
        # Cases become due without an event, so this topic has no position in the log.
        for topic in set(topics) - {Topic.CASE_DUE}:
            self._connection.execute(insert(webhook_topics), {"webhook_id": id, "topic": str(topic), "seq": seq})

    def _webhooks(self, rows: Sequence[Row[tuple[object, ...]]]) -> tuple[Webhook, ...]:
        topics: dict[int, list[Topic]] = defaultdict(list)
        query = select(webhook_topics.c.webhook_id, webhook_topics.c.topic)
        for id, topic in self._rows_in(query, webhook_topics.c.webhook_id, [row.id for row in rows]):
            topics[id].append(Topic(topic))
        for row in rows:
            if row.reports_due:
                topics[cast(int, row.id)].append(Topic.CASE_DUE)
        return tuple(_webhook(row, topics[cast(int, row.id)]) for row in rows)


_WAITS = deliveries.c.outcome == str(DeliveryOutcome.WAITING)
_IN_USE = and_(webhooks.c.enabled.is_(True), members.c.status == str(MemberStatus.ACTIVE))


def _waiting(*conditions: ColumnElement[bool]) -> ScalarSelect[int]:
    """How many deliveries of a webhook wait."""
    query = select(func.count()).where(deliveries.c.webhook_id == webhooks.c.id, _WAITS, *conditions)
    return query.correlate(webhooks, webhook_topics).scalar_subquery()


_BEHIND = (
    select(
        webhook_topics,
        webhooks.c.member_id,
        _waiting().label("waiting"),
        _waiting(deliveries.c.topic == webhook_topics.c.topic).label("waiting_of_topic"),
    )
    .join(webhooks, webhooks.c.id == webhook_topics.c.webhook_id)
    .join(members, members.c.id == webhooks.c.member_id)
    .where(_IN_USE)
    .order_by(webhook_topics.c.webhook_id, webhook_topics.c.topic)
)
_OF_DUE_CASES = (
    select(
        webhooks.c.id,
        _waiting().label("waiting"),
        _waiting(deliveries.c.topic == str(Topic.CASE_DUE)).label("waiting_of_topic"),
    )
    .join(members, members.c.id == webhooks.c.member_id)
    .where(webhooks.c.reports_due.is_(True), _IN_USE)
    .order_by(webhooks.c.id)
)


def _webhook(row: Row[tuple[object, ...]], topics: Collection[Topic]) -> Webhook:
    return Webhook(
        **attributes(row, "id", "url", "note", "enabled", "created_at", "failing_since", "overlap_until"),
        member=row.member_id,
        topics=tuple(topic for topic in Topic if topic in topics),
    )


class Deliveries(Repository):
    """Deliveries within one transaction."""

    def add(self, webhook: int, message: Message) -> Delivery:
        """Record a message that is to be sent at once."""
        row = {
            "webhook_id": webhook,
            "message": message.id,
            "topic": message.topic,
            "data": dict(message.data),
            "made_at": message.at,
            "outcome": str(DeliveryOutcome.WAITING),
            "attempts": 0,
            "next_at": message.at,
        }
        return _delivery(self._insert(deliveries, row))

    def one(self, webhook: int, id: int, *, lock: bool = False) -> Delivery:
        """One delivery to a webhook; `lock` locks it until the transaction ends. Raises NotFound."""
        query = select(deliveries).where(deliveries.c.id == id, deliveries.c.webhook_id == webhook)
        return _delivery(self._get_row(query, f"delivery {id} of webhook {webhook}", lock=lock))

    def page(self, webhook: int, outcome: DeliveryOutcome | None, after: int, limit: int) -> tuple[Delivery, ...]:
        """At most `limit` deliveries to a webhook with ids above `after`, in order, of an outcome (None: any)."""
        query = select(deliveries).where(deliveries.c.webhook_id == webhook)
        if outcome is not None:
            query = query.where(deliveries.c.outcome == str(outcome))
        return tuple(map(_delivery, self._page_after(query, deliveries.c.id, after, limit)))

    def count_waiting(self, webhook: int) -> int:
        """How many deliveries of a webhook wait."""
        return self._count(deliveries.c.webhook_id == webhook, _WAITS)

    def requeue(self, id: int, now: datetime) -> None:
        """Make a delivery due at once, with no attempts so far."""
        self._update(deliveries, id, outcome=str(DeliveryOutcome.WAITING), attempts=0, next_at=now)

    def due(self, now: datetime, busy: Collection[int]) -> tuple[int, ...]:
        """The first delivery that is due of every webhook whose id is not in `busy`."""
        query = (
            select(func.min(deliveries.c.id))
            .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
            .join(members, members.c.id == webhooks.c.member_id)
            .where(
                _WAITS,
                deliveries.c.next_at <= now,
                members.c.status == str(MemberStatus.ACTIVE),
                or_(webhooks.c.enabled.is_(True), deliveries.c.topic == TEST_TOPIC),
                deliveries.c.webhook_id.not_in(busy),
            )
            .group_by(deliveries.c.webhook_id)
        )
        return tuple(sorted(self._connection.scalars(query)))

    def claim(self, ids: Collection[int], now: datetime, until: datetime) -> tuple[ClaimedDelivery, ...]:
        """Claim those of these deliveries that are still due; no other process takes them before `until`."""
        query = update(deliveries).where(deliveries.c.id.in_(ids), _WAITS, deliveries.c.next_at <= now)
        claimed_ids = self._connection.scalars(query.values(next_at=until).returning(deliveries.c.id)).all()
        query_claimed = (
            select(deliveries, webhooks.c.url, webhooks.c.secret, webhooks.c.before, webhooks.c.overlap_until)
            .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
            .where(deliveries.c.id.in_(claimed_ids))
            .order_by(deliveries.c.id)
        )
        return tuple(_claimed(row, now) for row in self._connection.execute(query_claimed))

    def record_attempt(
        self,
        claimed: ClaimedDelivery,
        attempt: Attempt,
        outcome: DeliveryOutcome,
        now: datetime,
        next_at: datetime | None,
    ) -> bool:
        """Record the result of an attempt and when the next one is; return whether the delivery was still claimed."""
        query = update(deliveries).where(deliveries.c.id == claimed.id)
        # Meanwhile a member may have requested it again, or another process may have sent it after the claim expired.
        still_claimed = and_(_WAITS, deliveries.c.attempts == claimed.attempts)
        values = {
            "outcome": str(outcome),
            "attempts": claimed.attempts + 1,
            "next_at": next_at,
            "tried_at": now,
            **attributes(attempt, "status", "ms", "trouble"),
        }
        return self._connection.execute(query.where(still_claimed).values(values)).rowcount == 1

    def prune(self, before: datetime, keep: int = MAX_KEPT_DELIVERIES) -> int:
        """Delete deliveries that do not wait: those made before `before`, and all but the last `keep` of a webhook."""
        done = deliveries.c.outcome != str(DeliveryOutcome.WAITING)
        deleted = self._delete(deliveries, done, deliveries.c.made_at < before)
        many = select(deliveries.c.webhook_id).group_by(deliveries.c.webhook_id).having(func.count() > keep)
        for webhook in self._connection.scalars(many).all():
            to_webhook = deliveries.c.webhook_id == webhook
            newest_first = select(deliveries.c.id).where(to_webhook).order_by(deliveries.c.id.desc())
            last_deleted = newest_first.offset(keep).limit(1).scalar_subquery()
            deleted += self._delete(deliveries, to_webhook, done, deliveries.c.id <= last_deleted)
        return deleted

    def count_retrying(self) -> int:
        """How many deliveries have failed and will be retried."""
        return self._count(_WAITS, deliveries.c.attempts > 0)


def _message(row: Row[tuple[object, ...]]) -> Message:
    return Message(row.message, row.topic, row.made_at, row.data)


def _claimed(row: Row[tuple[object, ...]], now: datetime) -> ClaimedDelivery:
    overlaps = row.before is not None and row.overlap_until is not None and now < row.overlap_until
    secrets = (row.secret, row.before) if overlaps else (row.secret,)
    return ClaimedDelivery(row.id, row.webhook_id, row.url, secrets, _message(row), row.attempts)


def _delivery(row: Row[tuple[object, ...]]) -> Delivery:
    return Delivery(
        **attributes(row, "id", "attempts", "next_at", "tried_at", "status", "ms"),
        webhook=row.webhook_id,
        message=_message(row),
        outcome=DeliveryOutcome(row.outcome),
        trouble=None if row.trouble is None else Trouble(row.trouble),
    )
