"""Deliveries on the wire."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hashdb.domain.deliveries import Delivery, Outcome, Trouble
from hashdb.domain.webhooks import Message
from hashdb.wire import Answered, Moment
from hashdb.wire.pages import PageQuery


class DeliveriesQuery(PageQuery):
    """Which deliveries to list."""

    outcome: Outcome | None = None


class DeliveryOut(Answered):
    """A delivery; the status, the milliseconds and the trouble are those of the last attempt."""

    id: int
    webhook: int
    message: str = Field(description="The `webhook-id`: the same at every attempt.")
    topic: str
    data: dict[str, Any]
    made_at: Moment
    outcome: Outcome
    attempts: int
    next_at: Moment | None = Field(description="The next attempt, while it waits.")
    tried_at: Moment | None
    status: int | None
    ms: int | None
    trouble: Trouble | None

    @classmethod
    def of(cls, delivery: Delivery) -> DeliveryOut:
        """The wire form of a delivery; `value` is the inverse."""
        return cls.model_construct(
            id=delivery.id,
            webhook=delivery.webhook,
            message=delivery.message.id,
            topic=delivery.message.topic,
            data=dict(delivery.message.data),
            made_at=delivery.message.at,
            outcome=delivery.outcome,
            attempts=delivery.attempts,
            next_at=delivery.next_at,
            tried_at=delivery.tried_at,
            status=delivery.status,
            ms=delivery.ms,
            trouble=delivery.trouble,
        )

    def value(self) -> Delivery:
        """The delivery that this spells."""
        return Delivery(
            self.id,
            self.webhook,
            Message(self.message, self.topic, self.made_at, self.data),
            self.outcome,
            self.attempts,
            self.next_at,
            self.tried_at,
            self.status,
            self.ms,
            self.trouble,
        )


class DeliveriesOut(Answered):
    """A page of deliveries."""

    deliveries: list[DeliveryOut]
    next: int | None
