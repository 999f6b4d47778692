"""Delivery: one message to one webhook, and what became of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.audit import canonical
from hashdb.domain.instants import format_instant
from hashdb.domain.webhooks import TESTED, Message

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


class Outcome(StrEnum):
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
    outcome: Outcome
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
