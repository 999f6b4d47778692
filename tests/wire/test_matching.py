"""Wire models of queries, matches and benign entries."""

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


def _faults(*query_fields: Any) -> dict[str, str]:
    with pytest.raises(InvalidInput) as error:
        read_queries(json.dumps({"queries": list(query_fields)}).encode(), CONTEXT)
    return {fault.at: fault.reason for fault in error.value.faults}


@given(st.lists(queries, min_size=1, max_size=3))
def test_queries_round_trip_unchanged(sent: list[Query]) -> None:
    assert read_queries(QueriesIn.from_domain(sent).model_dump_json().encode(), CONTEXT) == tuple(sent)


@given(answers)
def test_the_fast_writer_equals_the_model_and_an_answer_round_trips(answer: Answer) -> None:
    written = AnswerOut.from_domain(answer).json_text()
    assert answer_text(answer) == written
    assert AnswerOut.model_validate_json(written).to_domain() == answer


def test_a_result_without_matches_has_the_action_none() -> None:
    body = json.loads(AnswerOut.from_domain(Answer((Result("u", (), 0),), 7)).json_text())
    empty_result = {"id": "u", "members": 0, "severity": None, "action": "none", "truncated": False, "matches": []}
    assert body == {"results": [empty_result], "checkpoint": 7}


def test_every_fault_of_a_query_is_reported_at_its_field() -> None:
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


def test_a_query_has_64_signals_and_a_request_1000_queries_at_most() -> None:
    assert _faults({"signals": [_PDQ] * 65}) == {"queries[0].signals": "must have at most 64 entries"}
    assert _faults(*[{"signals": [_PDQ] * 5}] * 801) == {
        "queries": "must be at most 4000 signals in all, without those of frames"
    }
    assert _faults(*[{"signals": [_PDQ]}] * 1001) == {"queries": "must have at most 1000 entries"}
    assert _faults() == {"queries": "must have at least 1 entry"}
    assert len(read_queries(json.dumps({"queries": [{"signals": [_PDQ] * 4}] * 1000}).encode(), CONTEXT)) == 1000


def test_an_id_is_any_string_of_at_most_200_characters() -> None:
    unusual = "a\u0000\n\U0001f468\u200d\u3000" + "x" * 194
    (query,) = read_queries(json.dumps({"queries": [{"signals": [_PDQ], "id": unusual}]}).encode(), CONTEXT)
    assert query.id == unusual
    assert list(_faults({"signals": [_PDQ], "id": unusual + "yy"})) == ["queries[0].id"]


def test_a_query_can_reduce_the_radius_of_an_algorithm() -> None:
    fields = {"signals": [_PDQ], "radius": {"pdq": 0}}
    (query,) = read_queries(json.dumps({"queries": [fields]}).encode(), CONTEXT)
    assert query.radius_of(Algorithm.PDQ) == 0
    assert query.radius_of(Algorithm.PHASH) == 6


def test_transforms_of_a_query_round_trip_unchanged() -> None:
    sent = Query((signal(1),), transforms={"mirror": (signal(2), signal(3))})
    assert read_queries(QueriesIn.from_domain([sent]).model_dump_json(exclude_unset=True).encode(), CONTEXT) == (sent,)


def test_a_simple_query_has_only_fields_that_version_0_1_0_knows() -> None:
    sent = json.loads(QueriesIn.from_domain([Query((signal(1),))]).model_dump_json(exclude_unset=True))
    assert sent == {"queries": [{"id": None, "signals": [_PDQ], "radius": {}}]}


def test_queries_with_many_signatures_are_sent_in_several_requests() -> None:
    many = tuple(signature(seed) for seed in range(8))
    views = {f"view-{number}": (signal(number),) for number in range(7)}
    query = Query((signal(9),), transforms=views, signatures=dict.fromkeys(("whole", *views), many))
    assert [len(part) for part in queries_in_requests([query] * 100)] == [62, 38]


def test_faults_of_transforms_are_reported_at_their_fields() -> None:
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
def test_a_draft_of_a_benign_entry_round_trips_unchanged(sent: BenignDraft) -> None:
    assert read(BenignIn, BenignIn.from_domain(sent).model_dump_json(), CONTEXT).to_domain() == sent


@given(entries)
def test_a_benign_entry_round_trips_unchanged(entry: BenignEntry) -> None:
    assert BenignOut.model_validate_json(BenignOut.from_domain(entry).json_text()).to_domain() == entry


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
def test_every_fault_of_a_benign_entry_is_reported_at_its_field(fields: dict[str, Any], at: list[str]) -> None:
    with pytest.raises(InvalidInput) as error:
        read(BenignIn, json.dumps({"signals": [str(signal(1))], **fields}), CONTEXT)
    assert [fault.at for fault in error.value.faults] == at


def test_a_signal_that_cannot_be_contributed_can_be_a_benign_entry() -> None:
    assert read(BenignIn, '{"signals": ["phash:0000000000000000"]}', CONTEXT).to_domain().signals[0].value == 0
