"""For the receiver of a webhook: verifies that a request is from the service, and reads its message."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import Protocol

from pydantic import ValidationError

from hashdb.domain.sharing.webhooks import Message, Topic, sign
from hashdb.errors import BadSetting, NotSigned
from hashdb.wire.sharing.webhooks import MessageOut

__all__ = ["Message", "Topic", "verify"]

_TOLERANCE = timedelta(minutes=5)
_TIMESTAMP_DIGITS = 12
"""The most digits of a timestamp: a longer one is no time."""


class Headers(Protocol):
    """The headers of a request in any framework: a dict, or another object with `items()`."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Pairs of name and value."""


def verify(
    secret: str, headers: Headers, body: bytes, *, tolerance: timedelta = _TOLERANCE, now: float | None = None
) -> Message:
    """Verify the signature of a request to a webhook (Standard Webhooks, HMAC-SHA256), and return its message.

    `secret` is the text `whsec_…` that hashdb showed. `headers` are those of the request, in upper or lower case, and
    `body` its raw bytes. A message may arrive more than once, with the same `id`. Against replay, its timestamp may
    differ from `now` (seconds since 1970; by default the clock's) by at most `tolerance`.
    Raises NotSigned; BadSetting if `secret` is malformed.
    """
    values = {name.lower(): value for name, value in headers.items()}
    id, timestamp, signatures = (values.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (id and timestamp and signatures):
        raise NotSigned("a header is missing: webhook-id, webhook-timestamp or webhook-signature")
    if not (id.isascii() and signatures.isascii()):
        raise NotSigned("webhook-id or webhook-signature is not ASCII")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= _TIMESTAMP_DIGITS):
        raise NotSigned("webhook-timestamp is not a time in seconds")
    if abs((time.time() if now is None else now) - int(timestamp)) > tolerance.total_seconds():
        raise NotSigned("webhook-timestamp is too far from this machine's clock")
    try:
        expected = sign(secret, id, int(timestamp), body)
    except ValueError:
        raise BadSetting("the webhook's secret", "must be the text that hashdb showed: whsec_ and base64") from None
    # For 24 hours after a renewal, the service signs with the old and the new secret.
    if not any(hmac.compare_digest(expected, signature) for signature in signatures.split()):
        raise NotSigned("the signature does not match this webhook's secret")
    try:
        return MessageOut.model_validate_json(body).to_domain(id)
    except ValidationError:
        raise NotSigned("the body is not a message of hashdb") from None
