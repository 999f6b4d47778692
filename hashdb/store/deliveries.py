"""Deliveries in SQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Row, and_, delete, func, insert, or_, select, update

from hashdb.domain.deliveries import KEPT_EACH, Attempt, Claimed, Delivery, Outcome, Trouble
from hashdb.domain.members import MemberStatus
from hashdb.domain.webhooks import TESTED, Message
from hashdb.errors import NotFound
from hashdb.store.repositories import Repository
from hashdb.store.tables import deliveries, members, webhooks

_WAITS = deliveries.c.outcome == str(Outcome.WAITING)


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
            "outcome": str(Outcome.WAITING),
            "attempts": 0,
            "next_at": message.at,
        }
        return _delivery(self._connection.execute(insert(deliveries).returning(deliveries), row).one())

    def one(self, webhook: int, id: int, *, lock: bool = False) -> Delivery:
        """One delivery to a webhook, held to the end of the transaction with `lock`. Raises NotFound."""
        query = select(deliveries).where(deliveries.c.id == id, deliveries.c.webhook_id == webhook)
        row = self._connection.execute(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            raise NotFound(f"delivery {id} of webhook {webhook}")
        return _delivery(row)

    def page(self, webhook: int, outcome: Outcome | None, after: int, limit: int) -> tuple[Delivery, ...]:
        """At most `limit` deliveries to a webhook with ids above `after`, in order, of an outcome (None: any)."""
        query = select(deliveries).where(deliveries.c.webhook_id == webhook, deliveries.c.id > after)
        if outcome is not None:
            query = query.where(deliveries.c.outcome == str(outcome))
        return tuple(map(_delivery, self._connection.execute(query.order_by(deliveries.c.id).limit(limit))))

    def waiting(self, webhook: int) -> int:
        """How many wait for a webhook."""
        query = select(func.count()).select_from(deliveries).where(deliveries.c.webhook_id == webhook, _WAITS)
        return self._connection.execute(query).scalar_one()

    def again(self, id: int, now: datetime) -> None:
        """Send a delivery at once, as if for the first time."""
        values = {"outcome": str(Outcome.WAITING), "attempts": 0, "next_at": now}
        self._connection.execute(update(deliveries).where(deliveries.c.id == id).values(values))

    def due(self, now: datetime, busy: Collection[int]) -> tuple[int, ...]:
        """Of every webhook that is not `busy`, the first delivery that is to be sent now."""
        query = (
            select(func.min(deliveries.c.id))
            .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
            .join(members, members.c.id == webhooks.c.member_id)
            .where(
                _WAITS,
                deliveries.c.next_at <= now,
                members.c.status == str(MemberStatus.ACTIVE),
                or_(webhooks.c.enabled.is_(True), deliveries.c.topic == TESTED),
                deliveries.c.webhook_id.not_in(busy),
            )
            .group_by(deliveries.c.webhook_id)
        )
        return tuple(sorted(self._connection.scalars(query)))

    def claim(self, ids: Collection[int], now: datetime, until: datetime) -> tuple[Claimed, ...]:
        """Of these, the ones that are still to be sent now; no other process takes them before `until`."""
        query = update(deliveries).where(deliveries.c.id.in_(ids), _WAITS, deliveries.c.next_at <= now)
        taken = self._connection.scalars(query.values(next_at=until).returning(deliveries.c.id)).all()
        found = (
            select(deliveries, webhooks.c.url, webhooks.c.secret, webhooks.c.before, webhooks.c.overlap_until)
            .join(webhooks, webhooks.c.id == deliveries.c.webhook_id)
            .where(deliveries.c.id.in_(taken))
            .order_by(deliveries.c.id)
        )
        return tuple(_claimed(row, now) for row in self._connection.execute(found))

    def note(self, claimed: Claimed, attempt: Attempt, outcome: Outcome, now: datetime, then: datetime | None) -> bool:
        """Write down how an attempt went, and when the next one is; whether the delivery is still there."""
        query = update(deliveries).where(deliveries.c.id == claimed.id)
        # Meanwhile it may have been asked for anew, or have been taken for lost and sent by another process.
        still = and_(_WAITS, deliveries.c.attempts == claimed.attempts)
        values = {
            "outcome": str(outcome),
            "attempts": claimed.attempts + 1,
            "next_at": then,
            "tried_at": now,
            "status": attempt.status,
            "ms": attempt.ms,
            "trouble": attempt.trouble,
        }
        return self._connection.execute(query.where(still).values(values)).rowcount == 1

    def prune(self, before: datetime, keep: int = KEPT_EACH) -> int:
        """Forget deliveries that do not wait: those made before then, and of each webhook all but the last `keep`."""
        done = deliveries.c.outcome != str(Outcome.WAITING)
        forgotten = self._connection.execute(delete(deliveries).where(done, deliveries.c.made_at < before)).rowcount
        many = select(deliveries.c.webhook_id).group_by(deliveries.c.webhook_id).having(func.count() > keep)
        for webhook in self._connection.scalars(many).all():
            of = deliveries.c.webhook_id == webhook
            last = select(deliveries.c.id).where(of).order_by(deliveries.c.id.desc()).offset(keep).limit(1)
            first = self._connection.execute(last).scalar_one()
            forgotten += self._connection.execute(delete(deliveries).where(of, done, deliveries.c.id <= first)).rowcount
        return forgotten

    def retrying(self) -> int:
        """How many failed and are tried again."""
        query = select(func.count()).select_from(deliveries).where(_WAITS, deliveries.c.attempts > 0)
        return self._connection.execute(query).scalar_one()


def _message(row: Row[tuple[object, ...]]) -> Message:
    return Message(row.message, row.topic, row.made_at, row.data)


def _claimed(row: Row[tuple[object, ...]], now: datetime) -> Claimed:
    overlaps = row.before is not None and row.overlap_until is not None and now < row.overlap_until
    secrets = (row.secret, row.before) if overlaps else (row.secret,)
    return Claimed(row.id, row.webhook_id, row.url, secrets, _message(row), row.attempts)


def _delivery(row: Row[tuple[object, ...]]) -> Delivery:
    return Delivery(
        id=row.id,
        webhook=row.webhook_id,
        message=_message(row),
        outcome=Outcome(row.outcome),
        attempts=row.attempts,
        next_at=row.next_at,
        tried_at=row.tried_at,
        status=row.status,
        ms=row.ms,
        trouble=None if row.trouble is None else Trouble(row.trouble),
    )
