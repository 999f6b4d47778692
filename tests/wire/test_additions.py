"""Additions on the wire."""

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

ONE, TWO = signal(1), signal(2)


def test_additions_are_read_as_they_were_written() -> None:
    colour = Signature(Kind.COLOUR, bytes(range(32)))
    written = (Addition(1, (ONE, TWO)), Addition(2, (TWO,), (colour,)))
    assert read(AdditionsIn, AdditionsIn.from_domain(written).model_dump_json(), CONTEXT).to_domain() == written


def test_a_signal_that_is_sent_twice_is_one() -> None:
    request = read(SignalsIn, json.dumps({"signals": [str(ONE), str(TWO), str(ONE)]}), CONTEXT)
    assert request.to_addition(7) == Addition(7, (ONE, TWO))


def test_every_fault_is_told_at_its_place() -> None:
    flat = f"pdq:{'0' * 64}"
    request = {"contributions": [{"id": 0, "signals": [flat, "pdq:1"]}, {"id": 2, "signals": [], "label": "x"}]}
    with pytest.raises(InvalidInput) as error:
        read(AdditionsIn, json.dumps(request), CONTEXT)
    assert {fault.at: fault.reason.partition(" (")[0] for fault in error.value.faults} == {
        "contributions[0].id": "must be at least 1",
        "contributions[0].signals[0]": "pdq with 0 of 256 bits set is not of an ordinary picture",
        "contributions[0].signals[1]": "pdq needs 64 hex digits, got 1",
        "contributions[1].signals": "must have at least 1 entries",
        "contributions[1].label": "is not a field of this request",
    }


def test_a_lookup_takes_a_thousand_signals() -> None:
    with pytest.raises(InvalidInput, match="at most 1000 entries"):
        read(LookupIn, json.dumps({"signals": [str(ONE)] * 1_001}), CONTEXT)
