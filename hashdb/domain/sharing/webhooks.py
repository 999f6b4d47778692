"""Webhooks: the addresses of members to which the service sends signed messages, and the deliveries."""

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

MAX_WEBHOOKS = 10
"""The most webhooks of a member."""
SECRET_OVERLAP = timedelta(hours=24)
"""How long the previous secret signs beside a new one."""
TEST_TOPIC = "webhook.tested"
"""The topic of a test delivery, which a member requests."""
SECRET_PREFIX = "whsec_"
_MAX_URL = 1_000


class Topic(StrEnum):
    """The subject of a message, to which a webhook subscribes.

    `feed.changed`: the feed has changes. `case.opened`, `case.decided`: a case on a contribution of the member, or in
    which it disputed. `match.reversed`: a match that was returned to the member is withdrawn, quarantined or retired.
    `case.due`: open cases of the queue are due soon.
    """

    FEED_CHANGED = "feed.changed"
    CASE_OPENED = "case.opened"
    CASE_DECIDED = "case.decided"
    MATCH_REVERSED = "match.reversed"
    CASE_DUE = "case.due"

    @property
    def scope(self) -> Scope | None:
        """The scope that a subscription needs: the scope of the requests that follow a message; None needs none."""
        return {
            Topic.FEED_CHANGED: Scope.FEED,
            Topic.MATCH_REVERSED: Scope.MATCH,
            Topic.CASE_DUE: Scope.REVIEW,
        }.get(self)

    @property
    def gathers(self) -> bool:
        """Whether one delivery reports all changes up to the time at which it is sent."""
        return self in (Topic.FEED_CHANGED, Topic.MATCH_REVERSED, Topic.CASE_DUE)


@dataclass(frozen=True, slots=True)
class WebhookDraft:
    """What a client sends to add a webhook."""

    url: str
    topics: tuple[Topic, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class WebhookChange:
    """What a client sends to change a webhook; None leaves a field unchanged."""

    url: str | None = None
    topics: tuple[Topic, ...] | None = None
    note: str | None = None
    enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A webhook, without its secret.

    `failing_since` is the time of the first failure since the last delivery that arrived. Until `overlap_until`, the
    previous secret signs too.
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
    """A webhook with its new secret, which is shown only once."""

    webhook: Webhook
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Message:
    """The content of a delivery. Every attempt has the same `id`; `data` has ids and numbers, never a hash."""

    id: str
    topic: str
    at: datetime
    data: Mapping[str, object]


def secret_text(secret: bytes) -> str:
    """The text of a secret for its owner: `whsec_` and base64.

    >>> secret_text(b"secret")
    'whsec_c2VjcmV0'
    """
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def sign(secret: str, id: str, seconds: int, body: bytes) -> str:
    """The signature of a message by Standard Webhooks: HMAC-SHA256 over id.time.body, the time in seconds since 1970.

    Raises ValueError for an invalid secret.
    """
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"must be a secret that begins with {SECRET_PREFIX}")
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    digest = hmac.digest(key, f"{id}.{seconds}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


def url_fault(url: str, egress: EgressPolicy) -> str | None:
    """Why the service may not connect to a URL, or None."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "must be a URL in ASCII, without spaces"
    if len(url) > _MAX_URL:
        return f"must have at most {_MAX_URL} characters"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "is not an address"
    if not host or port == 0:
        return "is not an address"
    if "@" in parts.netloc or parts.fragment:
        return "must be a URL without a user and without a fragment"
    return egress.fault(parts.scheme, host)


RETRY_PAUSES = (5, 30, 120, 600, 1_800, 3_600, 7_200, 14_400, 28_800, 28_800)
"""The seconds between attempts: almost a day in total."""
ATTEMPT_LEASE = timedelta(seconds=60)
"""How long an attempt may run until another process repeats it; an attempt takes at most 20 seconds."""
DISABLE_AFTER = timedelta(days=3)
"""How long all deliveries may fail until the next one that is given up disables the webhook."""
KEEP_DELIVERIES = timedelta(days=30)
"""How long the service keeps ended deliveries."""
MAX_KEPT_DELIVERIES = 1_000
"""The most ended deliveries that the service keeps of a webhook."""
MAX_WAITING_DELIVERIES = 100
"""The most deliveries that wait for a webhook; later changes are reported once there are fewer."""


class DeliveryOutcome(StrEnum):
    """The outcome of a delivery: `waiting` for an attempt, `delivered`, or `failed` for good."""

    WAITING = "waiting"
    DELIVERED = "delivered"
    FAILED = "failed"


class Trouble(StrEnum):
    """Why an attempt failed.

    `address_refused`: the service may not connect to the address. `name_unknown`: the host name does not resolve.
    `not_connected`: the connection failed. `certificate`: the TLS certificate is not valid. `too_slow`: it took too
    long. `no_answer`: the response was not valid HTTP. `status`: the HTTP status was not 2xx.
    """

    ADDRESS_REFUSED = "address_refused"
    NAME_UNKNOWN = "name_unknown"
    NOT_CONNECTED = "not_connected"
    CERTIFICATE = "certificate"
    TOO_SLOW = "too_slow"
    NO_ANSWER = "no_answer"
    STATUS = "status"


@dataclass(frozen=True, slots=True)
class Attempt:
    """The result of one attempt: the HTTP status (None: no answer), and its duration in milliseconds."""

    status: int | None
    ms: int
    trouble: Trouble | None = None

    @property
    def gone(self) -> bool:
        """Whether the receiver wants no more deliveries (HTTP 410)."""
        return self.status == 410


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message to a webhook; `attempts` counts them, the next one is at `next_at`, the last one was at `tried_at`.

    `status`, `ms` and `trouble` are those of the last attempt.
    """

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
class ClaimedDelivery:
    """A delivery that is being sent: its address, and the valid secrets, the newest first."""

    id: int
    webhook: int
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    message: Message
    attempts: int


def encode_message(message: Message) -> bytes:
    """The JSON body of a message, the same at every attempt."""
    data: Mapping[str, object] = {"type": message.topic, "timestamp": format_instant(message.at), "data": message.data}
    return canonical(data).encode()


def pause_after(attempts: int, topic: str) -> timedelta | None:
    """The pause after so many failed attempts, at random up to a fifth shorter or longer; None: give up.

    >>> pause_after(11, "feed.changed"), pause_after(1, "webhook.tested")
    (None, None)
    """
    if topic == TEST_TOPIC or attempts > len(RETRY_PAUSES):
        return None
    return timedelta(seconds=RETRY_PAUSES[attempts - 1] * random.uniform(0.8, 1.2))
