"""Deliveries: the text of a message, and the pauses between attempts."""

from __future__ import annotations

from datetime import timedelta

from hashdb.domain.sharing.webhooks import (
    RETRY_PAUSES,
    TEST_TOPIC,
    Attempt,
    Message,
    Trouble,
    encode_message,
    pause_after,
)
from tests.builders import NOON


def test_a_message_is_encoded_to_the_same_text_each_time() -> None:
    encoded = b'{"data":{"after":1,"count":2},"timestamp":"2026-11-20T12:00:00.000000Z","type":"feed.changed"}'
    # The database may return the keys of the details in any order.
    for data in ({"count": 2, "after": 1}, {"after": 1, "count": 2}):
        assert encode_message(Message("msg_1", "feed.changed", NOON, data)) == encoded


def test_a_delivery_is_retried_for_about_a_day_with_growing_pauses() -> None:
    assert list(RETRY_PAUSES) == sorted(RETRY_PAUSES)
    assert timedelta(hours=23) < timedelta(seconds=sum(RETRY_PAUSES)) < timedelta(hours=25)
    for attempts, seconds in enumerate(RETRY_PAUSES, 1):
        pauses = {pause_after(attempts, "feed.changed") for _ in range(20)}
        assert len(pauses) > 1, "not all deliveries are repeated at the same time"
        assert all(pause and abs(pause / timedelta(seconds=seconds) - 1) < 0.201 for pause in pauses)
    assert pause_after(len(RETRY_PAUSES) + 1, "feed.changed") is None


def test_a_test_message_is_not_retried() -> None:
    assert pause_after(1, TEST_TOPIC) is None


def test_only_status_410_marks_the_receiver_as_gone() -> None:
    assert Attempt(410, 5, Trouble.STATUS).gone
    assert not Attempt(404, 5, Trouble.STATUS).gone
