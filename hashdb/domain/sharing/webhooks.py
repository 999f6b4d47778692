"""Webhook: an address of a member's to which the service pushes what it should know, signed."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from urllib.parse import urlsplit

from hashdb.domain.accounts.members import Scope
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.ledger.events import canonical
from hashdb.domain.times import format_instant

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


def secret_text(secret: bytes) -> str:
    """A secret as its owner keeps it: `whsec_` and base64.

    >>> secret_text(b"secret")
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


def url_fault(url: str, reach: EgressPolicy) -> str | None:
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


PAUSES = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
"""Seconds between the attempts: almost a day in all."""
LEASE = timedelta(seconds=60)
"""How long an attempt may be under way before another process takes it for lost; one takes 20 seconds at most."""
PATIENCE = timedelta(days=3)
"""How long nothing may arrive before a webhook is switched off with the next delivery that is given up."""
KEPT = timedelta(days=30)
KEPT_EACH = 1_000
"""Deliveries that are kept of a webhook."""
WAITING_EACH = 100
"""Deliveries that may wait for a webhook; what happens meanwhile is told of once there are fewer."""


class DeliveryOutcome(StrEnum):
    """What became of a delivery."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Trouble(StrEnum):
    """Why an attempt did not deliver."""

    ADDRESS_REFUSED = "address_refused"
    NAME_UNKNOWN = "name_unknown"
    NOT_CONNECTED = "not_connected"
    CERTIFICATE = "certificate"
    TOO_SLOW = "too_slow"
    NO_ANSWER = "no_answer"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt went: the status that was answered, if one was, after how many milliseconds."""

    status: int | None
    ms: int
    trouble: Trouble | None = None

    @property
    def gone(self) -> bool:
        """Whether the receiver said that it wants nothing more."""
        return self.status == 410


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to a webhook; the status, the milliseconds and the trouble are those of the last attempt."""

    id: int
    webhook: int
    message: Message
    outcome: DeliveryOutcome
    attempts: int
    next_at: datetime | None
    tried_at: datetime | None
    status: int | None
    ms: int | None
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is being sent: where to, and the secrets in force, the newest first."""

    id: int
    webhook: int
    url: str
    secrets: tuple[str, ...]
    message: Message
    attempts: int


def body_of(message: Message) -> bytes:
    """The JSON that is delivered, the same at every attempt."""
    data: Mapping[str, object] = {"type": message.topic, "timestamp": format_instant(message.at), "data": message.data}
    return canonical(data).encode()


def pause_after(attempts: int, topic: str, chance: float | None = None) -> timedelta | None:
    """How long to wait after so many attempts that failed; None: no more. `chance` is a number from 0 to 1.

    >>> pause_after(1, "feed.changed", 0.5), pause_after(11, "feed.changed"), pause_after(1, "webhook.tested")
    (datetime.timedelta(seconds=5), None, None)
    """
    if topic == TESTED or attempts > len(PAUSES):
        return None
    spread = random.random() if chance is None else chance
    return timedelta(seconds=PAUSES[attempts - 1] * (0.8 + 0.4 * spread))
