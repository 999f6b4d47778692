"""hashdb.webhooks: it accepts only messages with a valid signature and a recent time."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hashdb.domain.sharing.webhooks import Message, encode_message, sign
from hashdb.errors import BadSetting, NotSigned
from hashdb.webhooks import verify
from tests.builders import NOON

SECRET, OTHER = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_AAAA9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
MESSAGE = Message("msg_1", "feed.changed", NOON, {"after": 1, "checkpoint": 3, "count": 2})
BODY = encode_message(MESSAGE)
AT = 1_800_000_000


def headers(secret: str = SECRET, id: str = "msg_1", at: int = AT, body: bytes = BODY) -> dict[str, str]:
    return {"webhook-id": id, "webhook-timestamp": str(at), "webhook-signature": sign(secret, id, at, body)}


def test_a_signed_message_is_returned() -> None:
    assert verify(SECRET, headers(), BODY, now=AT) == MESSAGE
    in_capitals = {name.upper(): value for name, value in headers().items()}
    assert verify(SECRET, in_capitals, BODY, now=AT) == MESSAGE


def test_either_secret_verifies_while_a_new_one_replaces_the_old_one() -> None:
    both = " ".join(headers(secret)["webhook-signature"] for secret in (OTHER, SECRET))
    for secret in (OTHER, SECRET):
        assert verify(secret, {**headers(), "webhook-signature": f"v1a,other {both}"}, BODY, now=AT) == MESSAGE


@pytest.mark.parametrize("seconds", [301, -301])
def test_a_message_that_is_too_old_or_too_new_is_rejected(seconds: int) -> None:
    with pytest.raises(NotSigned, match="too far from this machine"):
        verify(SECRET, headers(), BODY, now=AT + seconds)
    assert verify(SECRET, headers(), BODY, now=AT + seconds, tolerance=timedelta(minutes=6)) == MESSAGE
    with pytest.raises(NotSigned):
        verify(SECRET, headers(), BODY)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_2"},
        {"webhook-timestamp": str(AT + 1)},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "\u0661"},
        {"webhook-timestamp": "-1"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "\u00e4"},
        # What frameworks that decode headers with surrogateescape make of the byte 0xe4.
        {"webhook-signature": "\udce4"},
        {"webhook-id": "\udce4"},
        {"webhook-signature": headers(OTHER)["webhook-signature"]},
        {"webhook-signature": headers()["webhook-signature"].removeprefix("v1,")},
    ],
)
def test_headers_that_do_not_fit_the_signature_are_rejected(changed: dict[str, str]) -> None:
    with pytest.raises(NotSigned):
        verify(SECRET, {**headers(), **changed}, BODY, now=AT)


def test_another_body_and_a_missing_header_are_rejected() -> None:
    with pytest.raises(NotSigned):
        verify(SECRET, headers(), BODY + b" ", now=AT)
    for name in headers():
        with pytest.raises(NotSigned, match="a header is missing"):
            verify(SECRET, {other: value for other, value in headers().items() if other != name}, BODY, now=AT)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type": 1}', b"\xff"])
def test_a_signed_body_that_is_not_a_message_is_rejected(body: bytes) -> None:
    with pytest.raises(NotSigned, match="not a message"):
        verify(SECRET, headers(body=body), body, now=AT)


@pytest.mark.parametrize("secret", ["", "hdb_x", "whsec_*"])
def test_an_invalid_secret_is_rejected(secret: str) -> None:
    with pytest.raises(BadSetting):
        verify(secret, headers(), BODY, now=AT)
