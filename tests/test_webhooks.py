"""hashdb.webhooks: what is not signed, or too old, is not taken for the service's."""

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


def test_a_message_is_what_was_signed() -> None:
    assert verify(SECRET, headers(), BODY, now=AT) == MESSAGE
    shouted = {name.upper(): value for name, value in headers().items()}
    assert verify(SECRET, shouted, BODY, now=AT) == MESSAGE


def test_either_of_two_secrets_verifies_while_one_takes_the_others_place() -> None:
    both = " ".join(headers(secret)["webhook-signature"] for secret in (OTHER, SECRET))
    for secret in (OTHER, SECRET):
        assert verify(secret, {**headers(), "webhook-signature": f"v1a,other {both}"}, BODY, now=AT) == MESSAGE


@pytest.mark.parametrize("late", [301, -301])
def test_what_is_not_of_the_present_is_refused(late: int) -> None:
    with pytest.raises(NotSigned, match="too far from this machine"):
        verify(SECRET, headers(), BODY, now=AT + late)
    assert verify(SECRET, headers(), BODY, now=AT + late, tolerance=timedelta(minutes=6)) == MESSAGE
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
        {"webhook-signature": headers(OTHER)["webhook-signature"]},
        {"webhook-signature": headers()["webhook-signature"].removeprefix("v1,")},
    ],
)
def test_what_was_not_signed_so_is_refused(changed: dict[str, str]) -> None:
    with pytest.raises(NotSigned):
        verify(SECRET, {**headers(), **changed}, BODY, now=AT)


def test_another_body_and_a_missing_header_are_refused() -> None:
    with pytest.raises(NotSigned):
        verify(SECRET, headers(), BODY + b" ", now=AT)
    for name in headers():
        with pytest.raises(NotSigned, match="a header is missing"):
            verify(SECRET, {one: value for one, value in headers().items() if one != name}, BODY, now=AT)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type": 1}', b"\xff"])
def test_what_is_signed_and_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(NotSigned, match="not a message"):
        verify(SECRET, headers(body=body), body, now=AT)


@pytest.mark.parametrize("secret", ["", "hdb_x", "whsec_*"])
def test_a_secret_that_is_none_is_told(secret: str) -> None:
    with pytest.raises(BadSetting):
        verify(secret, headers(), BODY, now=AT)
