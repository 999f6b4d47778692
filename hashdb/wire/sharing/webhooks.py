"""Models of webhooks, and of their messages and deliveries."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import AfterValidator, Field, StringConstraints

from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.sharing.webhooks import (
    Delivery,
    DeliveryOutcome,
    IssuedWebhook,
    Message,
    Topic,
    Trouble,
    Webhook,
    WebhookChange,
    WebhookDraft,
    url_fault,
)
from hashdb.wire import UNSENT, Line, Moment, Next, PageModel, RequestModel, ResponseModel, checked_by
from hashdb.wire.conversions import ChangeMirror, MappedTo, Mirror

_ANYWHERE = EgressPolicy(allows_http=True)  # Without a policy, `http://` addresses are allowed, too.
_Url = Annotated[
    str,
    StringConstraints(max_length=1000),
    checked_by(lambda context, url: url_fault(url, context.rules.webhook_egress or _ANYWHERE)),
    Field(description="An `https://` address of yours."),
]
_Topics = Annotated[
    list[Topic],
    Field(min_length=1, max_length=16, description="What it reports."),
    AfterValidator(lambda topics: [topic for topic in Topic if topic in topics]),
]


class WebhookIn(RequestModel, Mirror[WebhookDraft]):
    """A webhook to create."""

    url: _Url
    topics: _Topics
    note: Line = Field("", description="What it is for. Visible to you and to administrators.")


class WebhookChangeIn(RequestModel, ChangeMirror[WebhookChange]):
    """A change of a webhook: only the fields to change."""

    url: _Url = UNSENT
    topics: _Topics = UNSENT
    note: Annotated[Line, Field(description="What it is for. Visible to you and to administrators.")] = UNSENT
    enabled: Annotated[bool, Field(description="Whether the service sends messages.")] = UNSENT


class WebhookOut(ResponseModel, Mirror[Webhook]):
    """A webhook. It has its secret only if the secret is new."""

    id: int = Field(description="The id of the webhook.")
    member: int = Field(description="The id of the member.")
    url: str = Field(description="The address to which the service sends messages.")
    topics: list[Topic] = Field(description="What it reports.")
    note: str = Field(description="What it is for.")
    enabled: bool = Field(description="Whether the service sends messages.")
    created_at: Moment = Field(description="When it was created.")
    failing_since: Moment | None = Field(description="Since when no message arrives; null while they arrive.")
    overlap_until: Moment | None = Field(description="Until when the previous secret also signs; null if it does not.")
    secret: str = Field("", description="The secret, `whsec_…`. No other response has it.")

    @classmethod
    def from_issued(cls, issued: IssuedWebhook) -> Self:
        """The webhook with its secret."""
        return cls.build(**cls.fields_from(issued.webhook), secret=issued.secret)

    def to_issued(self) -> IssuedWebhook:
        """The inverse of `from_issued`."""
        return IssuedWebhook(self.to_domain(), self.secret)


class WebhooksOut(PageModel):
    """A page of webhooks."""

    webhooks: list[WebhookOut] = Field(description="The webhooks of this page.")
    next: Next


class MessageOut(ResponseModel):
    """The body of a message: topic, time, and ids and numbers; the id of the message is in the header."""

    type: str
    timestamp: Moment
    data: dict[str, Any]

    def to_domain(self, id: str) -> Message:
        """The message of that id."""
        return Message(id, self.type, self.timestamp, self.data)


class DeliveryOut(ResponseModel, Mirror[Delivery]):
    """A delivery: a message to a webhook, with the result of the last attempt."""

    id: int = Field(description="The id of the delivery.")
    webhook: int = Field(description="The id of the webhook.")
    message: Annotated[str, MappedTo("message.id")] = Field(description="The `webhook-id`, the same in every attempt.")
    topic: Annotated[str, MappedTo("message.topic")] = Field(description="What the message reports.")
    data: Annotated[dict[str, Any], MappedTo("message.data")] = Field(description="The data of the message.")
    made_at: Annotated[Moment, MappedTo("message.at")] = Field(description="When the message was made.")
    outcome: DeliveryOutcome = Field(description="Whether the message arrived.")
    attempts: int = Field(description="How many attempts there were.")
    next_at: Moment | None = Field(description="When the next attempt is due; null if there is none.")
    tried_at: Moment | None = Field(description="When the last attempt was.")
    status: int | None = Field(description="The HTTP status of the last attempt; null without a response.")
    ms: int | None = Field(description="How long the last attempt took, in milliseconds.")
    trouble: Trouble | None = Field(description="Why the last attempt failed; null if it did not.")

    def to_domain(self) -> Delivery:
        """The delivery."""
        return Delivery(message=Message(self.message, self.topic, self.made_at, self.data), **self.arguments())


class DeliveriesOut(PageModel):
    """A page of deliveries."""

    deliveries: list[DeliveryOut] = Field(description="The deliveries of this page.")
    next: Next
