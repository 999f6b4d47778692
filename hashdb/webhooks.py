"""Webhooks at the receiver's side: whether what came is the service's, and what it says."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

from pydantic import ValidationError

from hashdb.domain.sharing.webhooks import Message, Topic, sign
from hashdb.errors import BadSetting, NotSigned
from hashdb.wire.sharing.feed import MessageOut

__all__ = ["Message", "Topic", "verify"]

_TOLERANCE = timedelta(minutes=5)


class Headers(Protocol):
    """The headers of a request, as any framework has them: a dict, or what gives pairs as one does."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Names and values."""


def verify(
    secret: str,
    headers: Headers,
    body: bytes,
    *,
    tolerance: timedelta = _TOLERANCE,
    now: float | None = None,
) -> Message:
    """What a request to a webhook says, once its signature is verified (Standard Webhooks, HMAC-SHA256).

    `headers` are those of the request, in any case, and `body` its bytes as they came. A message may come more than
    once: its `id` tells. One that is older than `tolerance`, or as much ahead of `now` (seconds since 1970), is
    refused, so that nobody sends again what they overheard. Raises NotSigned; BadSetting for a secret that is none.
    """
    values = {name.lower(): value for name, value in headers.items()}
    id, timestamp, signatures = (values.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (id and timestamp and signatures):
        raise NotSigned("the headers webhook-id, webhook-timestamp and webhook-signature are needed")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 12):
        raise NotSigned("the webhook-timestamp is no time")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance.total_seconds():
        raise NotSigned("the webhook-timestamp is too far from the present")
    try:
        expected = sign(secret, id, int(timestamp), body)
    except ValueError:
        raise BadSetting("the webhook's secret", "takes whsec_ and base64, as it was shown") from None
    # The service signs with two secrets while one takes the other's place.
    if not any(hmac.compare_digest(expected.encode(), signature.encode()) for signature in signatures.split()):
        raise NotSigned("the signature is not of this webhook's secret")
    try:
        return MessageOut.model_validate_json(body).to_domain(id)
    except ValidationError:
        raise NotSigned("the body is not a message of hashdb") from None
