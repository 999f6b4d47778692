"""Cases: the two directions are each other's inverse, and every fault is told at once."""

from __future__ import annotations

import pytest
from hypothesis import given

from hashdb.domain.cases import Case, Decision
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.cases import CaseOut, DecisionIn
from tests.wire.strategies import cases


@given(cases())
def test_a_case_comes_back_with_what_is_hidden(answered: Case) -> None:
    assert CaseOut.model_validate_json(CaseOut.of(answered).json_text()).value() == answered


def test_a_decision_is_read_and_every_fault_told() -> None:
    asked = read(DecisionIn, '{"decision": "retire", "note": "a news report"}')
    assert (asked.decision, asked.note) == (Decision.RETIRE, "a news report")
    with pytest.raises(InvalidInput) as refusal:
        read(DecisionIn, '{"decision": "burn", "note": 7, "case": 1}')
    assert {fault.at for fault in refusal.value.faults} == {"decision", "note", "case"}
