"""Webhook: an address of a member's to which the service pushes what it should know, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from hashdb.domain.addresses import Reach
from hashdb.domain.members import Scope

MOST = 10
"""Webhooks that a member may have."""
OVERLAP = timedelta(hours=24)
"""How long the secret before still signs, beside the new one."""
TESTED = "webhook.tested"
"""The topic of a delivery that was asked for to see whether it arrives."""
PREFIX = "whsec_"
_LONGEST = 1_000


class Topic(StrEnum):
    """What a webhook tells of."""

    FEED_CHANGED = "feed.changed"
    CASE_OPENED = "case.opened"
    CASE_DECIDED = "case.decided"
    MATCH_REVERSED = "match.reversed"

    @property
    def scope(self) -> Scope | None:
        """The scope that one needs to have oneself told of it: that of what one then asks for."""
        return {Topic.FEED_CHANGED: Scope.FEED, Topic.MATCH_REVERSED: Scope.MATCH}.get(self)

    @property
    def gathers(self) -> bool:
        """Whether one delivery tells of all that has happened until it is made."""
        return self in (Topic.FEED_CHANGED, Topic.MATCH_REVERSED)


@dataclass(frozen=True, slots=True)
class WebhookDraft:
    """What is sent to make a webhook."""

    url: str
    topics: tuple[Topic, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What is sent to change a webhook; None leaves a field as it is."""

    url: str | None = None
    topics: tuple[Topic, ...] | None = None
    note: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook, without its secret.

    `failing_since` is when the first delivery failed since one arrived; until `overlap_until` the secret before signs,
    too.
    """

    id: int
    member: int
    url: str
    topics: tuple[Topic, ...]
    note: str
    enabled: bool
    created_at: datetime
    failing_since: datetime | None
    overlap_until: datetime | None


@dataclass(frozen=True, slots=True)
class IssuedWebhook:
    """A webhook with its new secret, which is shown this once."""

    webhook: Webhook
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """What a webhook delivers: the same `id` however often it is sent, and ids and numbers, never a hash."""

    id: str
    topic: str
    at: datetime
    data: Mapping[str, object]


def spelled(secret: bytes) -> str:
    """A secret as its owner keeps it: `whsec_` and base64.

    >>> spelled(b"secret")
    'whsec_c2VjcmV0'
    """
    return PREFIX + base64.b64encode(secret).decode()


def sign(secret: str, id: str, seconds: int, body: bytes) -> str:
    """The signature of a message that is sent at a time, by Standard Webhooks: HMAC-SHA256 over id.time.body.

    Raises ValueError for a secret that is none.
    """
    if not secret.startswith(PREFIX):
        raise ValueError(f"takes a secret that begins with {PREFIX}")
    key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    digest = hmac.digest(key, f"{id}.{seconds}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def url_fault(url: str, reach: Reach) -> str | None:
    """Why nothing can be delivered to an address, or None."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "takes an address in ASCII, without spaces"
    if len(url) > _LONGEST:
        return f"takes at most {_LONGEST:,} characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if not host or port == 0:
        return "is not an address"
    if "@" in parts.netloc or parts.fragment:
        return "takes an address without a user and without a fragment"
    return reach.fault(parts.scheme, host)
