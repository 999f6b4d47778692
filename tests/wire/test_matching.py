"""Queries, matches, the benign list and pasted signals on the wire."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.matching.benign import BenignDraft, BenignEntry
from hashdb.domain.matching.matches import Answer, Query, Result
from hashdb.domain.signals import SIGNALS_OF_TRANSFORMS, Algorithm
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.matching import (
    AnswerOut,
    BenignIn,
    BenignOut,
    QueriesIn,
    answer_text,
    queries_in_requests,
    read_queries,
)
from tests.builders import signal, signature
from tests.wire.strategies import CONTEXT, answers, ids, moments, queries, signals, texts, usual_signals

_PDQ = str(signal(1))


def _faults(*asked: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as refusal:
        read_queries(json.dumps({"queries": list(asked)}).encode(), CONTEXT)
    return {fault.at: fault.reason for fault in refusal.value.faults}


@given(st.lists(queries, min_size=1, max_size=3))
def test_queries_come_back_as_they_were_sent(sent: list[Query]) -> None:
    assert read_queries(QueriesIn.from_domain(sent).model_dump_json().encode(), CONTEXT) == tuple(sent)


@given(answers)
def test_an_answer_is_written_as_its_model_writes_it_and_comes_back(answered: Answer) -> None:
    written = AnswerOut.from_domain(answered).json_text()
    assert answer_text(answered) == written
    assert AnswerOut.model_validate_json(written).to_domain() == answered


def test_a_result_without_matches_asks_for_nothing() -> None:
    said = json.loads(AnswerOut.from_domain(Answer((Result("u", (), 0),), 7)).json_text())
    none = {"id": "u", "members": 0, "severity": None, "action": "none", "truncated": False, "matches": []}
    assert said == {"results": [none], "checkpoint": 7}


def test_every_fault_of_a_query_is_told_where_it_is() -> None:
    faults = _faults(
        {"signals": [_PDQ, "ahash:0123456789abcdef", "pdq:1"], "id": 3},
        {"signals": [_PDQ], "radius": {"pdq": 32, "phash": 7, "md5": 1}, "limit": 4},
        {"signals": [_PDQ], "radius": {"pdq": 32, "phash": 7}},
        {"signals": [_PDQ], "radius": {"pdq": -1}},
        {"signals": [_PDQ], "radius": {"pdq": 1.5}},
        {},
    )
    assert set(faults) == {
        "queries[0].signals[1]",
        "queries[0].signals[2]",
        "queries[0].id",
        "queries[1].radius.md5",
        "queries[1].radius.pdq",
        "queries[1].radius.phash",
        "queries[1].limit",
        "queries[2].radius.pdq",
        "queries[2].radius.phash",
        "queries[3].radius.pdq",
        "queries[4].radius.pdq",
        "queries[5].signals",
    }
    assert faults["queries[2].radius.pdq"] == "the radius of pdq must be 0 to 31 bits on this service"


def test_64_signals_a_query_4000_in_all_and_1000_queries_are_taken() -> None:
    assert _faults({"signals": [_PDQ] * 65}) == {"queries[0].signals": "must have at most 64 entries"}
    assert _faults(*[{"signals": [_PDQ] * 5}] * 801) == {
        "queries": "must be at most 4000 signals in all, without those of frames"
    }
    assert _faults(*[{"signals": [_PDQ]}] * 1001) == {"queries": "must have at most 1000 entries"}
    assert _faults() == {"queries": "must have at least 1 entries"}
    assert len(read_queries(json.dumps({"queries": [{"signals": [_PDQ] * 4}] * 1000}).encode(), CONTEXT)) == 1000


def test_an_id_is_any_string_of_200_characters() -> None:
    odd = "a\u0000\n\U0001f468\u200d\u3000" + "x" * 194
    (asked,) = read_queries(json.dumps({"queries": [{"signals": [_PDQ], "id": odd}]}).encode(), CONTEXT)
    assert asked.id == odd
    assert list(_faults({"signals": [_PDQ], "id": odd + "yy"})) == ["queries[0].id"]


def test_a_radius_narrows() -> None:
    asked = {"signals": [_PDQ], "radius": {"pdq": 0}}
    (read_one,) = read_queries(json.dumps({"queries": [asked]}).encode(), CONTEXT)
    assert read_one.radius_of(Algorithm.PDQ) == 0
    assert read_one.radius_of(Algorithm.PHASH) == 6


def test_transforms_of_a_query_come_back() -> None:
    sent = Query((signal(1),), transforms={"mirror": (signal(2), signal(3))})
    assert read_queries(QueriesIn.from_domain([sent]).model_dump_json(exclude_unset=True).encode(), CONTEXT) == (sent,)


def test_a_query_speaks_of_what_a_service_of_0_1_0_knows_unless_it_asks_for_more() -> None:
    sent = json.loads(QueriesIn.from_domain([Query((signal(1),))]).model_dump_json(exclude_unset=True))
    assert sent == {"queries": [{"id": None, "signals": [_PDQ], "radius": {}}]}


def test_queries_with_many_signatures_are_sent_in_several_requests() -> None:
    many = tuple(signature(seed) for seed in range(8))
    views = {f"view-{number}": (signal(number),) for number in range(7)}
    asked = Query((signal(9),), transforms=views, signatures=dict.fromkeys(("whole", *views), many))
    assert [len(part) for part in queries_in_requests([asked] * 100)] == [62, 38]


def test_faults_of_transforms_are_told() -> None:
    many = [str(signal(seed)) for seed in range(SIGNALS_OF_TRANSFORMS + 1)]
    assert list(_faults({"signals": [_PDQ], "transforms": {"mirror": ["ahash:0123456789abcdef"]}})) == [
        "queries[0].transforms.mirror[0]"
    ]
    assert list(_faults({"signals": [_PDQ], "transforms": {"mirror": many}})) == ["queries[0].transforms"]
    assert list(_faults({"signals": [_PDQ], "transforms": {"Mirror!": [_PDQ]}})) == ["queries[0].transforms.Mirror!"]


drafts = st.builds(
    lambda signals, bits, note: BenignDraft(signals, {signals[0].algorithm: bits}, note),
    st.lists(usual_signals(), min_size=1, max_size=4, unique=True).map(tuple),
    st.integers(0, 6),
    texts,
)
entries = st.builds(
    BenignEntry,
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
    assert read(BenignIn, BenignIn.from_domain(sent).model_dump_json(), CONTEXT).to_domain() == sent


@given(entries)
def test_an_entry_comes_back(answered: BenignEntry) -> None:
    assert BenignOut.model_validate_json(BenignOut.from_domain(answered).json_text()).to_domain() == answered


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
        ({"radius": {"md5": 3}}, ["radius"]),
        ({"name": "x"}, ["name"]),
    ],
)
def test_every_fault_is_told_at_its_field(fields: dict[str, Any], at: list[str]) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(BenignIn, json.dumps({"signals": [str(signal(1))], **fields}), CONTEXT)
    assert [fault.at for fault in refusal.value.faults] == at


def test_a_signal_that_may_not_be_contributed_may_be_benign() -> None:
    assert read(BenignIn, '{"signals": ["phash:0000000000000000"]}', CONTEXT).to_domain().signals[0].value == 0
