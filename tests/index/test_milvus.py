"""The Milvus engine beyond the common contract of all indexes, which tests/index/test_index.py checks."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from hashdb.domain.matching.matches import Neighbor
from hashdb.errors import IndexNotReady
from hashdb.index import milvus as module
from hashdb.index.milvus import LIMIT, Collection, Milvus, MilvusIndex
from hashdb.index.vectors import pack, to_octets
from tests.index.samples import at_distance, find_by_scan


def new_collection(milvus: Milvus, name: str, values: list[int]) -> Collection:
    collection = Collection(milvus, name, 64)
    collection.make()
    collection.write(to_octets(pack(values, 64)))
    return collection


def test_more_values_than_milvus_returns_at_once_are_all_found(milvus: Milvus) -> None:
    rng = random.Random(1)
    centre = rng.getrandbits(64)
    values = list({at_distance(centre, rng.randrange(3, 8), 64, rng) for _ in range(LIMIT + 900)})
    collection = new_collection(milvus, "many", values)
    assert len(collection) == len(values) > LIMIT
    [neighbors, of_complement] = collection.near([centre, centre ^ (2**64 - 1)], 8)
    assert sorted(neighbors) == find_by_scan(set(values), centre, 8)
    assert of_complement == []


def test_many_values_with_the_same_first_bits_are_all_found(milvus: Milvus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 4)
    values = [0xABCDEF << 40 | low for low in range(60)]
    collection = new_collection(milvus, "alike", values)
    [neighbors] = collection.near([values[0]], 6)
    assert sorted(neighbors) == find_by_scan(set(values), values[0], 6)


def test_a_value_is_stored_once_and_can_be_removed(milvus: Milvus) -> None:
    five, six = (value.to_bytes(8) for value in (5, 6))
    collection = new_collection(milvus, "once", [5, 6, 5])
    for _ in range(3):
        collection.write([five])
    assert sorted(collection.with_prefix("00")) == [five, six]
    collection.remove([five])
    assert collection.near([5], 64) == [[Neighbor(2, 6)]]
    collection.remove([six])
    assert collection.near([5], 64) == [[]]


def test_a_written_value_is_found_immediately(milvus: Milvus) -> None:
    collection = new_collection(milvus, "at_once", [])
    for value in range(50):
        collection.write([value.to_bytes(8)])
        assert collection.near([value], 0) == [[Neighbor(0, value)]]


def test_a_collection_with_a_wrong_count_is_searched_anyway(milvus: Milvus) -> None:
    index = MilvusIndex(64, 8)
    index.collection, index.stored = new_collection(milvus, "counted", [5]), 0
    assert index.search([5], 0) == [[Neighbor(0, 5)]]


def test_a_missing_collection_raises_index_not_ready(milvus: Milvus) -> None:
    with pytest.raises(IndexNotReady):
        Collection(milvus, "nowhere", 64).near([5], 1)
    assert milvus.failed


def test_an_unreachable_server_raises_index_not_ready(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymilvus")
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    with pytest.raises(IndexNotReady):
        Collection(Milvus("http://127.0.0.1:9"), "nowhere", 64).near([5], 1)
