"""Wire models of events, keys of the log, witnesses and proofs."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hashdb.domain.ledger.checkpoints import Consistency, Inclusion, Log, LogKey, LogWitness
from hashdb.domain.ledger.events import Action, Event, canonical, leaf
from hashdb.domain.ledger.notes import Verifier
from hashdb.errors import BadNote
from hashdb.wire.ledger import ConsistencyOut, EventOut, InclusionOut, LogOut
from tests.builders import NOON
from tests.wire.strategies import ids, moments

_details = st.dictionaries(
    st.sampled_from(["member", "labels", "basis"]),
    st.none() | st.integers(0, 2**53 - 1) | st.text("abc_é", max_size=9) | st.lists(st.text("abc", max_size=3)),
)


@st.composite
def _events(draw: st.DrawFn) -> Event:
    seq, id, at, details, action = draw(ids), draw(ids), draw(moments), draw(_details), draw(st.sampled_from(Action))
    leaf_hash = leaf(seq, at, "key:9", action, f"contribution:{id}", canonical(details))
    return Event(seq, at, "key:9", action, "contribution", id, details, leaf_hash)


@given(_events())
def test_the_leaf_is_the_hash_of_the_other_fields_of_an_event(event: Event) -> None:
    fields = json.loads(EventOut.from_domain(event).json_text())
    leaf_hash = fields.pop("leaf")
    assert hashlib.sha256(b"\x00" + rfc8785.dumps(fields)).hexdigest() == leaf_hash


@given(_events())
def test_an_event_round_trips_with_its_leaf(event: Event) -> None:
    read = EventOut.model_validate_json(EventOut.from_domain(event).json_text()).to_domain()
    assert read == event
    assert read.computed_leaf == read.leaf


hashes = st.binary(min_size=32, max_size=32)
proofs = st.lists(hashes, max_size=4).map(tuple)
verifiers = st.builds(Verifier, st.sampled_from(["log.example/1", "ü"]), hashes)
keys = st.lists(st.builds(LogKey, verifiers, moments, st.none() | moments), max_size=3).map(tuple)


@given(st.builds(Inclusion, ids, ids, hashes, proofs))
def test_an_inclusion_proof_round_trips_unchanged(proof: Inclusion) -> None:
    assert InclusionOut.model_validate_json(InclusionOut.from_domain(proof).json_text()).to_domain() == proof


@given(st.builds(Consistency, ids, ids, proofs))
def test_a_consistency_proof_round_trips_unchanged(proof: Consistency) -> None:
    assert ConsistencyOut.model_validate_json(ConsistencyOut.from_domain(proof).json_text()).to_domain() == proof


@given(st.builds(Log, st.just("log.example/1"), keys))
def test_the_keys_of_the_log_round_trip_unchanged(log: Log) -> None:
    assert LogOut.model_validate_json(LogOut.from_domain(log).json_text()).to_domain() == log


def test_witnesses_round_trip_and_an_empty_list_is_omitted() -> None:
    key = LogKey(Verifier("log.example/1", bytes(range(32))), NOON, None)
    witnesses = (LogWitness("w1", "w1.example+1+A", 7, NOON), LogWitness("w2", "w2.example+2+B", 0, None))
    log = Log("log.example/1", (key,), witnesses)
    text = LogOut.from_domain(log).json_text()
    assert LogOut.model_validate_json(text).to_domain() == log
    assert json.loads(text)["witnesses"][1] == {"name": "w2", "vkey": "w2.example+2+B", "size": 0, "at": None}
    # A service of version 0.1.0 sends no witnesses.
    text = LogOut.from_domain(replace(log, witnesses=())).json_text()
    assert "witnesses" not in json.loads(text)
    assert LogOut.model_validate_json(text).to_domain().witnesses == ()


def test_hashes_are_base64_leaves_are_hex_and_keys_are_vkeys() -> None:
    octets = bytes(range(32))
    body = json.loads(InclusionOut.from_domain(Inclusion(7, 9, octets, (octets,))).json_text())
    assert body == {"seq": 7, "size": 9, "leaf": octets.hex(), "hashes": [base64.b64encode(octets).decode()]}
    verifier = Verifier("log.example/1", octets)
    body = json.loads(LogOut.from_domain(Log("log.example/1", (LogKey(verifier, NOON, None),))).json_text())
    assert body["keys"] == [{"vkey": str(verifier), "since": "2026-11-20T12:00:00.000000Z", "until": None}]


@pytest.mark.parametrize("hash", ["", "AAAA", "*", "é", 7])
def test_an_invalid_hash_in_a_proof_is_rejected(hash: object) -> None:
    with pytest.raises(ValidationError):
        ConsistencyOut.model_validate_json(json.dumps({"first": 1, "second": 2, "hashes": [hash]}))
    with pytest.raises(ValidationError):
        InclusionOut.model_validate_json(json.dumps({"seq": 1, "size": 2, "leaf": hash, "hashes": []}))


def test_an_invalid_vkey_is_rejected() -> None:
    body = {"origin": "x", "keys": [{"vkey": "x", "since": "2026-11-20T12:00:00Z", "until": None}]}
    with pytest.raises(BadNote):
        LogOut.model_validate_json(json.dumps(body)).to_domain()
