"""Deliveries on the wire come back as they were answered."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.deliveries import Delivery, Outcome, Trouble
from hashdb.domain.webhooks import Message
from hashdb.wire.deliveries import DeliveryOut
from tests.wire.strategies import ids, moments

_messages = st.builds(
    Message, st.just("msg_1"), st.just("feed.changed"), moments, st.dictionaries(st.text("abc"), st.integers(0, 99))
)
_maybe = st.none() | moments
_counts = st.none() | st.integers(0, 9_999)
_deliveries = st.builds(
    Delivery,
    ids,
    ids,
    _messages,
    st.sampled_from(Outcome),
    st.integers(0, 99),
    _maybe,
    _maybe,
    _counts,
    _counts,
    st.none() | st.sampled_from(Trouble),
)


@given(_deliveries)
def test_a_delivery_comes_back(answered: Delivery) -> None:
    assert DeliveryOut.model_validate_json(DeliveryOut.of(answered).json_text()).value() == answered
