"""Wire models of additions and lookups."""

from __future__ import annotations

import json

import pytest

from hashdb.domain.contributions import Addition
from hashdb.domain.signatures import Kind, Signature
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.additions import AdditionsIn, LookupIn, SignalsIn
from tests.builders import signal
from tests.wire.strategies import CONTEXT

FIRST, SECOND = signal(1), signal(2)


def test_additions_round_trip_unchanged() -> None:
    colour = Signature(Kind.COLOUR, bytes(range(32)))
    additions = (Addition(1, (FIRST, SECOND)), Addition(2, (SECOND,), (colour,)))
    assert read(AdditionsIn, AdditionsIn.from_domain(additions).model_dump_json(), CONTEXT).to_domain() == additions


def test_a_signal_that_is_sent_twice_is_added_once() -> None:
    request = read(SignalsIn, json.dumps({"signals": [str(FIRST), str(SECOND), str(FIRST)]}), CONTEXT)
    assert request.to_addition(7) == Addition(7, (FIRST, SECOND))


def test_every_fault_of_an_addition_is_reported_at_its_field() -> None:
    flat = f"pdq:{'0' * 64}"
    request = {"contributions": [{"id": 0, "signals": [flat, "pdq:1"]}, {"id": 2, "signals": [], "label": "x"}]}
    with pytest.raises(InvalidInput) as error:
        read(AdditionsIn, json.dumps(request), CONTEXT)
    assert {fault.at: fault.reason.partition(" (")[0] for fault in error.value.faults} == {
        "contributions[0].id": "must be at least 1",
        "contributions[0].signals[0]": "pdq has 0 of 256 bits set; an ordinary picture has 120 to 136",
        "contributions[0].signals[1]": "pdq needs 64 hex digits, got 1",
        "contributions[1].signals": "must have at least 1 entry",
        "contributions[1].label": "is not a field of this request",
    }


def test_a_lookup_has_at_most_a_thousand_signals() -> None:
    with pytest.raises(InvalidInput, match="at most 1000 entries"):
        read(LookupIn, json.dumps({"signals": [str(FIRST)] * 1_001}), CONTEXT)
