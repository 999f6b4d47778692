"""The benign list: the two directions are each other's inverse, and every fault is told."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.benign import Benign, BenignDraft
from hashdb.domain.signals import Algorithm
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.benign import BenignIn, BenignOut
from tests.builders import signal
from tests.wire.strategies import TERMS, ids, moments, signals, texts, usual_signals

drafts = st.builds(
    lambda signals, bits, note: BenignDraft(signals, {signals[0].algorithm: bits}, note),
    st.lists(usual_signals(), min_size=1, max_size=4, unique=True).map(tuple),
    st.integers(0, 6),
    texts,
)
entries = st.builds(
    Benign,
    ids,
    st.lists(signals, max_size=3).map(tuple),
    st.dictionaries(st.sampled_from(Algorithm), st.integers(0, 46)),
    texts,
    st.none() | texts,
    moments,
    st.integers(0, 2**31),
)


@given(drafts)
def test_an_entry_to_add_comes_back_as_it_was_sent(sent: BenignDraft) -> None:
    assert read(BenignIn, BenignIn.of(sent).model_dump_json(), TERMS).value() == sent


@given(entries)
def test_an_entry_comes_back(answered: Benign) -> None:
    assert BenignOut.model_validate_json(BenignOut.of(answered).json_text()).value() == answered


@pytest.mark.parametrize(
    ("fields", "at"),
    [
        ({"signals": []}, ["signals"]),
        ({"signals": [str(signal(seed)) for seed in range(65)]}, ["signals"]),
        ({"signals": ["pdq:00"], "note": "a\nb"}, ["signals[0]", "note"]),
        ({"signals": [str(signal(1, Algorithm.DHASH))]}, ["signals[0]"]),
        ({"radius": {"pdq": 32}}, ["radius"]),
        ({"radius": {"pdq": -1}}, ["radius.pdq"]),
        ({"radius": {"phash": 3}}, ["radius"]),
        ({"radius": {"md5": 3}}, ["radius.md5"]),
        ({"name": "x"}, ["name"]),
    ],
)
def test_every_fault_is_told_at_its_field(fields: dict[str, Any], at: list[str]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(BenignIn, json.dumps({"signals": [str(signal(1))], **fields}), TERMS)
    assert [fault.at for fault in refusal.value.faults] == at


def test_a_signal_that_may_not_be_contributed_may_be_benign() -> None:
    assert read(BenignIn, '{"signals": ["phash:0000000000000000"]}', TERMS).value().signals[0].value == 0
