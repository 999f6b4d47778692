"""Webhooks, their messages and deliveries on the wire."""

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
_topics = st.sets(st.sampled_from(Topic), min_size=1).map(lambda some: tuple(one for one in Topic if one in some))
_drafts = st.builds(WebhookDraft, st.just(URL), _topics, texts)
_changes = st.builds(
    WebhookChange, st.none() | st.just(URL), st.none() | _topics, st.none() | texts, st.none() | st.booleans()
)
_maybe = st.none() | moments
_webhooks = st.builds(Webhook, ids, ids, st.just(URL), _topics, texts, st.booleans(), moments, _maybe, _maybe)


@given(_drafts)
def test_a_draft_comes_back_as_it_was_sent(sent: WebhookDraft) -> None:
    assert read(WebhookIn, WebhookIn.from_domain(sent).model_dump_json(), CONTEXT).to_domain() == sent


@given(_changes)
def test_a_change_comes_back_as_it_was_sent(sent: WebhookChange) -> None:
    text = WebhookChangeIn.from_domain(sent).model_dump_json(exclude_unset=True)
    assert read(WebhookChangeIn, text, CONTEXT).to_domain() == sent


@given(_webhooks, st.text("abc", min_size=1))
def test_a_webhook_comes_back_and_its_secret_only_when_it_is_issued(answered: Webhook, secret: str) -> None:
    text = WebhookOut.from_domain(answered).json_text()
    assert WebhookOut.model_validate_json(text).to_domain() == answered
    assert "secret" not in json.loads(text)
    issued = IssuedWebhook(answered, secret)
    assert WebhookOut.model_validate_json(WebhookOut.from_issued(issued).json_text()).to_issued() == issued


@pytest.mark.parametrize(
    ("sent", "at"),
    [
        ({}, ["url", "topics"]),
        ({"url": "http://example.org", "topics": []}, ["url", "topics"]),
        ({"url": "https://10.0.0.1", "topics": ["feed.read"]}, ["url", "topics[0]"]),
        ({"url": URL, "topics": ["webhook.tested"], "note": "a\x00", "secret": "x"}, ["topics[0]", "note", "secret"]),
    ],
)
def test_every_fault_is_told_at_its_field(sent: dict[str, object], at: list[str]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(WebhookIn, json.dumps(sent), CONTEXT)
    assert [fault.at for fault in refusal.value.faults] == at


@pytest.mark.parametrize("field", ["url", "topics", "note", "enabled"])
def test_a_change_refuses_null(field: str) -> None:
    with pytest.raises(InvalidInput):
        read(WebhookChangeIn, json.dumps({field: None}), CONTEXT)


def test_a_message_is_read_with_what_is_new_in_it() -> None:
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
    _maybe,
    _maybe,
    _counts,
    _counts,
    st.none() | st.sampled_from(Trouble),
)


@given(_deliveries)
def test_a_delivery_comes_back(answered: Delivery) -> None:
    assert DeliveryOut.model_validate_json(DeliveryOut.from_domain(answered).json_text()).to_domain() == answered
