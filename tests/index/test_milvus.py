"""What Milvus answers and does not say; tests/index/test_index holds it to the contract of every index."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hashdb.domain.matching.matches import Neighbor
from hashdb.errors import IndexNotReady
from hashdb.index import milvus as module
from hashdb.index.milvus import LIMIT, Collection, Milvus, MilvusIndex
from hashdb.index.vectors import pack, to_octets
from tests.index.milvus import milvus_lite
from tests.index.samples import at_distance, plainly


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """One for all."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as milvus:
        yield milvus


def filled(milvus: Milvus, name: str, values: list[int]) -> Collection:
    collection = Collection(milvus, name, 64)
    collection.make()
    collection.write(to_octets(pack(values, 64)))
    return collection


def test_more_than_milvus_answers_at_once_are_all_found(milvus: Milvus) -> None:
    rng = random.Random(1)
    centre = rng.getrandbits(64)
    values = list({at_distance(centre, rng.randrange(3, 8), 64, rng) for _ in range(LIMIT + 900)})
    collection = filled(milvus, "many", values)
    assert len(collection) == len(values) > LIMIT
    [found, none] = collection.near([centre, centre ^ (2**64 - 1)], 8)
    assert sorted(found) == plainly(set(values), centre, 8)
    assert none == []


def test_values_that_begin_alike_are_told_apart_however_many(milvus: Milvus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LIMIT", 4)
    values = [0xABCDEF << 40 | low for low in range(60)]
    collection = filled(milvus, "alike", values)
    [found] = collection.near([values[0]], 6)
    assert sorted(found) == plainly(set(values), values[0], 6)


def test_a_value_is_there_once_and_goes(milvus: Milvus) -> None:
    five, six = (value.to_bytes(8) for value in (5, 6))
    collection = filled(milvus, "once", [5, 6, 5])
    for _ in range(3):
        collection.write([five])
    assert sorted(collection.with_prefix("00")) == [five, six]
    collection.remove([five])
    assert collection.near([5], 64) == [[Neighbor(2, 6)]]
    collection.remove([six])
    assert collection.near([5], 64) == [[]]


def test_what_was_written_is_found_at_once(milvus: Milvus) -> None:
    collection = filled(milvus, "at_once", [])
    for value in range(50):
        collection.write([value.to_bytes(8)])
        assert collection.near([value], 0) == [[Neighbor(0, value)]]


def test_a_collection_that_counts_wrong_is_searched_all_the_same(milvus: Milvus) -> None:
    index = MilvusIndex(64, 8)
    index.collection, index.stored = filled(milvus, "counted", [5]), 0
    assert index.search([5], 0) == [[Neighbor(0, 5)]]


def test_a_collection_that_is_gone_is_not_taken_for_an_empty_one(milvus: Milvus) -> None:
    with pytest.raises(IndexNotReady):
        Collection(milvus, "nowhere", 64).near([5], 1)
    assert milvus.failed


def test_milvus_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pymilvus")
    monkeypatch.setattr(module, "TIMEOUT", 0.5)
    with pytest.raises(IndexNotReady):
        Collection(Milvus("http://127.0.0.1:9"), "nowhere", 64).near([5], 1)
