"""Opinions: the two directions are each other's inverse, and every fault is told at once."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from hashdb.domain.opinions import Opinion, OpinionDraft
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.opinions import OpinionIn, OpinionOut
from tests.wire.strategies import TERMS, opinion_drafts, opinions


def _faults(said: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        read(OpinionIn, json.dumps(said), TERMS)
    return {fault.at: fault.reason for fault in refusal.value.faults}


@given(opinion_drafts)
def test_a_draft_comes_back_as_it_was_sent(sent: OpinionDraft) -> None:
    assert read(OpinionIn, OpinionIn.of(sent).model_dump_json(), TERMS).value() == sent


@given(opinions())
def test_an_opinion_comes_back_with_what_is_hidden(answered: Opinion) -> None:
    assert OpinionOut.model_validate_json(OpinionOut.of(answered).json_text()).value() == answered


def test_a_reason_goes_with_a_dispute_and_only_with_one() -> None:
    needed = {"reason": "is required to dispute: a reason of the vocabulary"}
    assert _faults({"opinion": "disputes"}) == _faults({"opinion": "disputes", "reason": None}) == needed
    assert _faults({"opinion": "confirms", "reason": "other"}) == {"reason": "is for disputes: to confirm takes none"}
    assert read(OpinionIn, '{"opinion": "confirms", "reason": null}', TERMS).reason is None


def test_every_fault_is_told() -> None:
    faults = _faults({"opinion": "likes", "reason": "boredom", "note": "x" * 2001, "member": 3})
    assert set(faults) == {"opinion", "reason", "note", "member"}
    assert faults["note"] == "takes at most 2,000 characters"
    assert list(_faults({})) == ["opinion"]


@pytest.mark.parametrize("note", ["a\x00b", "\x1b[1m", "\x7f", 7])
def test_a_note_is_text_in_lines(note: object) -> None:
    assert list(_faults({"opinion": "confirms", "note": note})) == ["note"]
    assert read(OpinionIn, '{"opinion": "confirms", "note": "one\\n\\ttwo\\r\\n"}', TERMS).note == "one\n\ttwo\r\n"
