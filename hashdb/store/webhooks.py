"""Webhooks in SQL."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import NamedTuple, cast

from sqlalchemy import Row, Select, delete, func, insert, select, update

from hashdb.domain.deliveries import WAITING_EACH, Outcome
from hashdb.domain.members import MemberStatus
from hashdb.domain.webhooks import Topic, Webhook, WebhookDraft
from hashdb.errors import NotFound
from hashdb.store.chunks import chunks
from hashdb.store.repositories import Repository
from hashdb.store.tables import deliveries, members, webhook_topics, webhooks


class Place(NamedTuple):
    """How far the deliveries of a webhook's topic have been made."""

    webhook: int
    member: int
    topic: Topic
    seq: int


class Webhooks(Repository):
    """Webhooks within one transaction."""

    def add(self, member: int, draft: WebhookDraft, secret: str, now: datetime, seq: int) -> Webhook:
        """Record a webhook, which tells of what happens after number `seq`."""
        row = {
            "member_id": member,
            "url": draft.url,
            "note": draft.note,
            "enabled": True,
            "secret": secret,
            "created_at": now,
        }
        id = self._connection.execute(insert(webhooks).returning(webhooks.c.id), row).scalar_one()
        self._follow(id, draft.topics, seq)
        return self.one(id)

    def one(self, id: int, *, lock: bool = False) -> Webhook:
        """One webhook, held to the end of the transaction with `lock`. Raises NotFound."""
        query = select(webhooks).where(webhooks.c.id == id)
        row = self._connection.execute(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            raise NotFound(f"webhook {id}")
        return self._webhooks([row])[0]

    def page(self, member: int | None, after: int, limit: int) -> tuple[Webhook, ...]:
        """At most `limit` of a member's webhooks (None: of everybody's) with ids above `after`, in order."""
        query = select(webhooks).where(webhooks.c.id > after).order_by(webhooks.c.id).limit(limit)
        return self._webhooks(
            self._connection.execute(query if member is None else query.where(webhooks.c.member_id == member)).all()
        )

    def count(self, member: int) -> int:
        """How many webhooks a member has; nobody else adds one to it before the end of the transaction."""
        self._connection.execute(select(members.c.id).where(members.c.id == member).with_for_update())
        query = select(func.count()).select_from(webhooks).where(webhooks.c.member_id == member)
        return self._connection.execute(query).scalar_one()

    def change(self, changed: Webhook, before: Webhook, seq: int) -> None:
        """Write what a webhook is now; of a topic that it had not before, it tells from number `seq` on."""
        values = {
            "url": changed.url,
            "note": changed.note,
            "enabled": changed.enabled,
            "failing_since": changed.failing_since,
        }
        self._connection.execute(update(webhooks).where(webhooks.c.id == changed.id).values(values))
        gone = [str(topic) for topic in before.topics if topic not in changed.topics]
        self._connection.execute(
            delete(webhook_topics).where(webhook_topics.c.webhook_id == changed.id, webhook_topics.c.topic.in_(gone))
        )
        self._follow(changed.id, [topic for topic in changed.topics if topic not in before.topics], seq)

    def delete(self, id: int) -> None:
        """Remove a webhook and all that was delivered to it."""
        for table in (deliveries, webhook_topics):
            self._connection.execute(delete(table).where(table.c.webhook_id == id))
        self._connection.execute(delete(webhooks).where(webhooks.c.id == id))

    def renew(self, id: int, secret: str, until: datetime) -> None:
        """Give a webhook a new secret; the present one signs beside it until then."""
        values = {"before": webhooks.c.secret, "secret": secret, "overlap_until": until}
        self._connection.execute(update(webhooks).where(webhooks.c.id == id).values(values))

    def arrived(self, id: int) -> None:
        """Note that something has arrived."""
        query = update(webhooks).where(webhooks.c.id == id, webhooks.c.failing_since.is_not(None))
        self._connection.execute(query.values(failing_since=None))

    def failed(self, id: int, now: datetime) -> datetime:
        """Note that something has not arrived; since when nothing has. Raises NotFound."""
        query = update(webhooks).where(webhooks.c.id == id, webhooks.c.failing_since.is_(None))
        self._connection.execute(query.values(failing_since=now))
        return self.one(id).failing_since or now

    def disable(self, id: int) -> bool:
        """Switch a webhook off; whether it was on."""
        query = update(webhooks).where(webhooks.c.id == id, webhooks.c.enabled.is_(True)).values(enabled=False)
        return self._connection.execute(query).rowcount == 1

    def behind(self, seq: int) -> tuple[Place, ...]:
        """The topics of which deliveries are to be made up to a number, and can be.

        Not those of a webhook for which too many wait, or, where one tells of all, one of that topic.
        """
        return tuple(
            Place(row.webhook_id, row.member_id, Topic(row.topic), row.seq)
            for row in self._connection.execute(_BEHIND.where(webhook_topics.c.seq < seq))
            if row.waiting < WAITING_EACH and not (Topic(row.topic).gathers and row.alike)
        )

    def hold(self, ids: Collection[int]) -> None:
        """Let none of these be deleted or changed before the end of the transaction."""
        for some in chunks(sorted(set(ids))):
            query = select(webhooks.c.id).where(webhooks.c.id.in_(some)).order_by(webhooks.c.id)
            self._connection.execute(query.with_for_update(read=True, key_share=True))

    def move(self, places: Sequence[Place], seq: int) -> frozenset[int]:
        """Move these, all of one topic and at one number, on to another; the webhooks that were still there."""
        moved: set[int] = set()
        for some in chunks(places):
            query = update(webhook_topics).where(
                webhook_topics.c.webhook_id.in_([one.webhook for one in some]),
                webhook_topics.c.topic == str(some[0].topic),
                webhook_topics.c.seq == some[0].seq,
            )
            moved.update(self._connection.scalars(query.values(seq=seq).returning(webhook_topics.c.webhook_id)))
        return frozenset(moved)

    def _follow(self, id: int, topics: Collection[Topic], seq: int) -> None:
        for topic in topics:
            self._connection.execute(insert(webhook_topics), {"webhook_id": id, "topic": str(topic), "seq": seq})

    def _webhooks(self, rows: Sequence[Row[tuple[object, ...]]]) -> tuple[Webhook, ...]:
        topics: dict[int, list[Topic]] = defaultdict(list)
        for some in chunks(rows):
            query = select(webhook_topics.c.webhook_id, webhook_topics.c.topic)
            found = self._connection.execute(query.where(webhook_topics.c.webhook_id.in_([row.id for row in some])))
            for id, topic in found:
                topics[id].append(Topic(topic))
        return tuple(_webhook(row, topics[cast(int, row.id)]) for row in rows)


def _waiting() -> Select[int]:
    return (
        select(func.count())
        .select_from(deliveries)
        .where(deliveries.c.webhook_id == webhooks.c.id, deliveries.c.outcome == str(Outcome.WAITING))
    )


_BEHIND = (
    select(
        webhook_topics,
        webhooks.c.member_id,
        _waiting().correlate(webhooks).scalar_subquery().label("waiting"),
        _waiting()
        .where(deliveries.c.topic == webhook_topics.c.topic)
        .correlate(webhooks, webhook_topics)
        .scalar_subquery()
        .label("alike"),
    )
    .join(webhooks, webhooks.c.id == webhook_topics.c.webhook_id)
    .join(members, members.c.id == webhooks.c.member_id)
    .where(webhooks.c.enabled.is_(True), members.c.status == str(MemberStatus.ACTIVE))
    .order_by(webhook_topics.c.webhook_id, webhook_topics.c.topic)
)


def _webhook(row: Row[tuple[object, ...]], topics: Collection[Topic]) -> Webhook:
    return Webhook(
        id=row.id,
        member=row.member_id,
        url=row.url,
        topics=tuple(topic for topic in Topic if topic in topics),
        note=row.note,
        enabled=row.enabled,
        created_at=row.created_at,
        failing_since=row.failing_since,
        overlap_until=row.overlap_until,
    )
