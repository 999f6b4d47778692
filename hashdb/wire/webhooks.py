"""Webhooks on the wire, and the messages that they deliver."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from hashdb.domain.addresses import Reach
from hashdb.domain.webhooks import (
    IssuedWebhook,
    Message,
    Topic,
    Webhook,
    WebhookChange,
    WebhookDraft,
    url_fault,
)
from hashdb.wire import Answered, Line, Moment, Sent, Terms, ruled

_ANYWHERE = Reach(plain=True)


def _url_fault(terms: Terms, url: str) -> str | None:
    return url_fault(url, terms.rules.reach or _ANYWHERE)


def _once(topics: list[Topic]) -> list[Topic]:
    return [topic for topic in Topic if topic in topics]


_Url = Annotated[
    str, StringConstraints(max_length=1000), ruled(_url_fault), Field(description="An `https://` address of yours.")
]
_Topics = Annotated[
    list[Topic], Field(min_length=1, max_length=16, description="What it tells of."), AfterValidator(_once)
]
_UNSENT: Any = Field(default_factory=lambda: None)
"""The default of a field of a change: it may be left out, and null is refused."""


class WebhookIn(Sent):
    """A webhook to make."""

    url: _Url
    topics: _Topics
    note: Line = Field("", description="What it is for; shown to you and to administrators.")

    @classmethod
    def of(cls, draft: WebhookDraft) -> WebhookIn:
        """The wire form of a draft; `value` is the inverse."""
        return cls.model_construct(url=draft.url, topics=list(draft.topics), note=draft.note)

    def value(self) -> WebhookDraft:
        """The draft that this spells."""
        return WebhookDraft(self.url, tuple(self.topics), self.note)


class WebhookChangeIn(Sent):
    """A change to a webhook: the fields to change."""

    url: _Url = _UNSENT
    topics: _Topics = _UNSENT
    note: Line = _UNSENT
    enabled: bool = _UNSENT

    @classmethod
    def of(cls, change: WebhookChange) -> WebhookChangeIn:
        """The wire form of a change; `value` is the inverse."""
        asked = {f.name: getattr(change, f.name) for f in fields(change)}
        said: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        return cls.model_construct(**said | ({"topics": list(said["topics"])} if "topics" in said else {}))

    def value(self) -> WebhookChange:
        """The change that this spells; what was not sent stays as it is."""
        said = {name: getattr(self, name) for name in self.model_fields_set}
        return WebhookChange(**said | ({"topics": tuple(said["topics"])} if "topics" in said else {}))


class WebhookOut(Answered):
    """A webhook; with its secret where that is new."""

    id: int
    member: int
    url: str
    topics: list[Topic]
    note: str
    enabled: bool = Field(description="False: nothing is sent, until it is enabled again.")
    created_at: Moment
    failing_since: Moment | None = Field(description="Nothing has arrived since; null while all does.")
    overlap_until: Moment | None = Field(description="Until then the secret before signs beside the new one.")
    secret: str = Field("", description="`whsec_…`, in the answer to the request that made it and nowhere else.")

    @classmethod
    def of(cls, webhook: Webhook) -> WebhookOut:
        """The wire form of a webhook; `value` is the inverse."""
        return cls.model_construct(**_spelled(webhook))

    @classmethod
    def issued(cls, issued: IssuedWebhook) -> WebhookOut:
        """The same with the secret; `issue` is the inverse."""
        return cls.model_construct(**_spelled(issued.webhook), secret=issued.secret)

    def value(self) -> Webhook:
        """The webhook that this spells."""
        given = {f.name: getattr(self, f.name) for f in fields(Webhook)}
        return Webhook(**given | {"topics": tuple(self.topics)})

    def issue(self) -> IssuedWebhook:
        """The webhook with its secret."""
        return IssuedWebhook(self.value(), self.secret)


class WebhooksOut(Answered):
    """A page of webhooks."""

    webhooks: list[WebhookOut]
    next: int | None


class MessageOut(Answered):
    """What is delivered: its topic, when it was made, and ids and numbers; its id stands in the header."""

    type: str
    timestamp: Moment
    data: dict[str, Any]

    def value(self, id: str) -> Message:
        """The message of that id."""
        return Message(id, self.type, self.timestamp, self.data)


def _spelled(webhook: Webhook) -> dict[str, Any]:
    return {f.name: getattr(webhook, f.name) for f in fields(webhook)} | {"topics": list(webhook.topics)}
