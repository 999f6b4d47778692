"""Wire models of webhooks, their messages and deliveries."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.sharing.webhooks import (
    Delivery,
    DeliveryOutcome,
    IssuedWebhook,
    Message,
    Topic,
    Trouble,
    Webhook,
    WebhookChange,
    WebhookDraft,
)
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.sharing.webhooks import DeliveryOut, MessageOut, WebhookChangeIn, WebhookIn, WebhookOut
from tests.wire.strategies import CONTEXT, ids, moments, texts

URL = "https://example.org/hook"
_topics = st.sets(st.sampled_from(Topic), min_size=1).map(
    lambda topics: tuple(topic for topic in Topic if topic in topics)
)
_drafts = st.builds(WebhookDraft, st.just(URL), _topics, texts)
_changes = st.builds(
    WebhookChange, st.none() | st.just(URL), st.none() | _topics, st.none() | texts, st.none() | st.booleans()
)
_optional_moments = st.none() | moments
_webhooks = st.builds(
    Webhook, ids, ids, st.just(URL), _topics, texts, st.booleans(), moments, _optional_moments, _optional_moments
)


@given(_drafts)
def test_a_draft_of_a_webhook_round_trips_unchanged(sent: WebhookDraft) -> None:
    assert read(WebhookIn, WebhookIn.from_domain(sent).model_dump_json(), CONTEXT).to_domain() == sent


@given(_changes)
def test_a_change_of_a_webhook_round_trips_unchanged(sent: WebhookChange) -> None:
    text = WebhookChangeIn.from_domain(sent).model_dump_json(exclude_unset=True)
    assert read(WebhookChangeIn, text, CONTEXT).to_domain() == sent


@given(_webhooks, st.text("abc", min_size=1))
def test_a_webhook_round_trips_and_only_a_new_one_has_its_secret(webhook: Webhook, secret: str) -> None:
    text = WebhookOut.from_domain(webhook).json_text()
    assert WebhookOut.model_validate_json(text).to_domain() == webhook
    assert "secret" not in json.loads(text)
    issued = IssuedWebhook(webhook, secret)
    assert WebhookOut.model_validate_json(WebhookOut.from_issued(issued).json_text()).to_issued() == issued


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({}, ["url", "topics"]),
        ({"url": "http://example.org", "topics": []}, ["url", "topics"]),
        ({"url": "https://10.0.0.1", "topics": ["feed.read"]}, ["url", "topics[0]"]),
        ({"url": URL, "topics": ["webhook.tested"], "note": "a\x00", "secret": "x"}, ["topics[0]", "note", "secret"]),
    ],
)
def test_every_fault_of_a_webhook_is_reported_at_its_field(fields: dict[str, object], at: list[str]) -> None:
    with pytest.raises(InvalidInput) as error:
        read(WebhookIn, json.dumps(fields), CONTEXT)
    assert [fault.at for fault in error.value.faults] == at


@pytest.mark.parametrize("field", ["url", "topics", "note", "enabled"])
def test_a_change_of_a_webhook_rejects_null(field: str) -> None:
    with pytest.raises(InvalidInput):
        read(WebhookChangeIn, json.dumps({field: None}), CONTEXT)


def test_a_message_with_unknown_fields_is_read() -> None:
    text = '{"type": "feed.changed", "timestamp": "2026-11-20T12:00:00Z", "data": {"count": 1}, "more": 1}'
    message = MessageOut.model_validate_json(text).to_domain("msg_1")
    assert (message.id, message.topic, message.data) == ("msg_1", "feed.changed", {"count": 1})


_messages = st.builds(
    Message, st.just("msg_1"), st.just("feed.changed"), moments, st.dictionaries(st.text("abc"), st.integers(0, 99))
)
_counts = st.none() | st.integers(0, 9_999)
_deliveries = st.builds(
    Delivery,
    ids,
    ids,
    _messages,
    st.sampled_from(DeliveryOutcome),
    st.integers(0, 99),
    _optional_moments,
    _optional_moments,
    _counts,
    _counts,
    st.none() | st.sampled_from(Trouble),
)


@given(_deliveries)
def test_a_delivery_round_trips_unchanged(delivery: Delivery) -> None:
    assert DeliveryOut.model_validate_json(DeliveryOut.from_domain(delivery).json_text()).to_domain() == delivery
