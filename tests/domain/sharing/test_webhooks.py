"""Webhooks: signatures follow Standard Webhooks, and the URL is checked before anything is sent."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.addresses import EgressPolicy
from hashdb.domain.sharing.webhooks import Topic, secret_text, sign, url_fault


def test_the_signature_equals_that_of_the_example_of_standard_webhooks() -> None:
    """The example is from the libraries of Standard Webhooks."""
    secret, id, body = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}'
    assert sign(secret, id, 1614265330, body) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "secret", "whsec_!", "whsec_YQ"])
def test_a_malformed_secret_is_rejected(secret: str) -> None:
    with pytest.raises(ValueError, match=r"secret|base64|padding"):
        sign(secret, "msg_1", 1, b"")


def test_different_secrets_give_different_signatures() -> None:
    assert sign(secret_text(b"a" * 32), "msg_1", 1, b"x") != sign(secret_text(b"b" * 32), "msg_1", 1, b"x")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://example.org/hook?of=1", None),
        ("https://example.org:8443", None),
        ("https://[2606:4700:4700::1111]/", None),
        ("https://EXAMPLE.org", None),
        ("http://example.org/", "must be a URL that begins with https://"),
        ("ftp://example.org/", "must be a URL that begins with https://"),
        ("example.org", "is not an address"),
        ("", "is not an address"),
        ("https://", "is not an address"),
        ("https://:443/", "is not an address"),
        ("https://example.org:0/", "is not an address"),
        ("https://example.org:99999/", "is not an address"),
        ("https://[::1", "is not an address"),
        ("https://user@example.org/", "must be a URL without a user and without a fragment"),
        ("https://example.org/#part", "must be a URL without a user and without a fragment"),
        ("https://example.org/a b", "must be a URL in ASCII, without spaces"),
        ("https://example.org/\r\nX: y", "must be a URL in ASCII, without spaces"),
        ("https://ex\u00e4mple.org/", "must be a URL in ASCII, without spaces"),
        ("https://example.org/" + "x" * 1000, "must have at most 1000 characters"),
        ("https://127.0.0.1/", "this is not a public address"),
        ("https://[::ffff:10.0.0.1]/", "this is not a public address"),
        ("https://169.254.169.254/latest/", "this is not a public address"),
    ],
)
def test_the_url_of_a_webhook_must_be_https_and_public(url: str, reason: str | None) -> None:
    assert url_fault(url, EgressPolicy()) == reason


def test_each_topic_needs_the_scope_of_the_request_that_follows() -> None:
    assert {topic: topic.scope for topic in Topic} == {
        Topic.FEED_CHANGED: Scope.FEED,
        Topic.MATCH_REVERSED: Scope.MATCH,
        Topic.CASE_OPENED: None,
        Topic.CASE_DECIDED: None,
        Topic.CASE_DUE: Scope.REVIEW,
    }
