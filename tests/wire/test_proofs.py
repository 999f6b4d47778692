"""The log's keys and proofs: the two directions are each other's inverse."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hashdb.domain.checkpoints import Consistency, Inclusion, Log, LogKey
from hashdb.domain.notes import Verifier
from hashdb.errors import BadNote
from hashdb.wire.proofs import ConsistencyOut, InclusionOut, LogOut
from tests.builders import NOON
from tests.wire.strategies import ids, moments

hashes = st.binary(min_size=32, max_size=32)
proofs = st.lists(hashes, max_size=4).map(tuple)
verifiers = st.builds(Verifier, st.sampled_from(["log.example/1", "ü"]), hashes)
keys = st.lists(st.builds(LogKey, verifiers, moments, st.none() | moments), max_size=3).map(tuple)


@given(st.builds(Inclusion, ids, ids, hashes, proofs))
def test_an_inclusion_proof_comes_back(proof: Inclusion) -> None:
    assert InclusionOut.model_validate_json(InclusionOut.of(proof).json_text()).value() == proof


@given(st.builds(Consistency, ids, ids, proofs))
def test_a_consistency_proof_comes_back(proof: Consistency) -> None:
    assert ConsistencyOut.model_validate_json(ConsistencyOut.of(proof).json_text()).value() == proof


@given(st.builds(Log, st.just("log.example/1"), keys))
def test_the_keys_come_back(log: Log) -> None:
    assert LogOut.model_validate_json(LogOut.of(log).json_text()).value() == log


def test_hashes_are_base64_a_leaf_is_hex_and_a_key_is_a_vkey() -> None:
    octets = bytes(range(32))
    said = json.loads(InclusionOut.of(Inclusion(7, 9, octets, (octets,))).json_text())
    assert said == {"seq": 7, "size": 9, "leaf": octets.hex(), "hashes": [base64.b64encode(octets).decode()]}
    verifier = Verifier("log.example/1", octets)
    said = json.loads(LogOut.of(Log("log.example/1", (LogKey(verifier, NOON, None),))).json_text())
    assert said["keys"] == [{"vkey": str(verifier), "since": "2026-11-20T12:00:00.000000Z", "until": None}]


@pytest.mark.parametrize("hash", ["", "AAAA", "*", "é", 7])
def test_what_is_no_hash_is_refused(hash: object) -> None:
    with pytest.raises(ValidationError):
        ConsistencyOut.model_validate_json(json.dumps({"first": 1, "second": 2, "hashes": [hash]}))
    with pytest.raises(ValidationError):
        InclusionOut.model_validate_json(json.dumps({"seq": 1, "size": 2, "leaf": hash, "hashes": []}))


def test_what_is_no_vkey_is_refused() -> None:
    said = {"origin": "x", "keys": [{"vkey": "x", "since": "2026-11-20T12:00:00Z", "until": None}]}
    with pytest.raises(BadNote):
        LogOut.model_validate_json(json.dumps(said)).value()
