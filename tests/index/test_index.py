"""One contract for every index and every engine, checked against plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hashdb.domain.matching.matches import Neighbor
from hashdb.domain.signals import Algorithm
from hashdb.index import Alive, Engine, Index, OpenEngine
from hashdb.index.bktree import BKTreeEngine, BKTreeIndex
from hashdb.index.kernel import kernel
from hashdb.index.milvus import Milvus, MilvusEngine
from hashdb.index.segment_store import SegmentStore
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import Words, unpack
from tests.index.milvus import WrittenIndex
from tests.index.samples import (
    ENGINES,
    SKEWED_KINDS,
    SegmentedIndex,
    at_distance,
    clustered_values,
    find_by_scan,
    for_every_length,
    skewed_values,
)

Make = Callable[[int], Index]
MAKERS: dict[str, Make] = {
    "bktree": BKTreeIndex,
    "tiered": lambda bits: TieredIndex(bits, bits // 8),
    "segmented": SegmentedIndex,
}


KINDS = ["bktree", "tiered-numpy", "tiered-kernel", "segmented-numpy", "segmented-kernel", "milvus"]
"""The kinds of index: the name of an engine, or `segmented`; after the hyphen, the code that searches."""


@pytest.fixture(params=KINDS)
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Every kind of index; those that can use the kernel, with it and without it."""
    kind, _, engine = request.param.partition("-")
    if engine == "numpy":
        monkeypatch.setenv("HASHDB_KERNEL", "0")
    kernel.cache_clear()
    if kind == "milvus":
        yield partial(WrittenIndex, request.getfixturevalue("milvus"))
        return
    if engine == "kernel" and kernel() is None:
        pytest.skip("the index's kernel was not built: install hashdb where there is a C compiler (gcc or clang)")
    yield MAKERS[kind]
    kernel.cache_clear()


def found_by(index: Index, queries: list[int], radius: int) -> list[list[Neighbor]]:
    """The neighbors of each query; neighbors at the same distance are sorted by value."""
    return [sorted(neighbors) for neighbors in index.search(queries, radius)]


def test_every_engine_of_the_setting_has_its_kind_of_index() -> None:
    assert set(ENGINES) <= {kind.partition("-")[0] for kind in KINDS}


@for_every_length
def test_an_empty_index_finds_nothing(make: Make, bits: int) -> None:
    index = make(bits)
    assert len(index) == 0
    assert index.search([], bits) == []
    assert index.search([0, 2**bits - 1], bits) == [[], []]
    index.add([])
    assert len(index) == 0


@for_every_length
def test_a_search_with_any_radius_equals_plain_python(make: Make, bits: int) -> None:
    rng = random.Random(bits)
    stored = clustered_values(bits, rng)
    index = make(bits)
    index.add(stored[:50])
    index.add(stored[50:])
    assert len(index) == len(set(stored))
    queries = [*stored[:4], at_distance(stored[0], 3, bits, rng), rng.getrandbits(bits), 0, 2**bits - 1]
    all_neighbors = [find_by_scan(set(stored), query, bits) for query in queries]
    for radius in range(bits + 1):
        expected = [[neighbor for neighbor in neighbors if neighbor.distance <= radius] for neighbors in all_neighbors]
        assert found_by(index, queries, radius) == expected
        if radius % 16 in (0, 15):
            assert [found_by(index, [query], radius)[0] for query in queries] == expected


@pytest.mark.parametrize("kind", SKEWED_KINDS)
@for_every_length
def test_a_search_of_skewed_values_equals_plain_python(make: Make, bits: int, kind: str) -> None:
    rng = random.Random(f"{kind}{bits}")
    stored = skewed_values(kind, 400, bits, rng)
    index = make(bits)
    for start in range(0, len(stored), 40):
        index.add(stored[start : start + 40])
    queries = [
        *stored[::80],
        stored[0] ^ (2**bits - 1),
        at_distance(stored[-1], 3, bits, rng),
        0,
        rng.getrandbits(bits),
    ]
    all_neighbors = [find_by_scan(set(stored), query, bits) for query in queries]
    for radius in [*range(0, bits // 5, 3), bits // 4, bits // 2, bits - 1, bits]:
        expected = [[neighbor for neighbor in neighbors if neighbor.distance <= radius] for neighbors in all_neighbors]
        assert found_by(index, queries, radius) == expected
        assert [found_by(index, [query], radius)[0] for query in queries] == expected


@for_every_length
def test_thousands_of_hits_are_all_found(make: Make, bits: int) -> None:
    rng = random.Random(bits)
    centre = rng.getrandbits(bits)
    stored = list({at_distance(centre, rng.randrange(2, 6), bits, rng) for _ in range(5_000)})
    index = make(bits)
    for start in range(0, len(stored), 1_000):
        index.add(stored[start : start + 1_000])
    expected = find_by_scan(set(stored), centre, 5)
    assert len(expected) == len(stored) > 4_000
    assert found_by(index, [centre], 5) == [expected]
    assert found_by(index, [centre] * 6, 5) == [expected] * 6
    assert index.search([centre, centre ^ (2**bits - 1)], 1) == [[], []]


@for_every_length
def test_neighbors_are_sorted_by_distance(make: Make, bits: int) -> None:
    rng = random.Random(bits)
    index = make(bits)
    index.add(clustered_values(bits, rng))
    for neighbors in index.search([rng.getrandbits(bits) for _ in range(5)], bits):
        distances = [neighbor.distance for neighbor in neighbors]
        assert distances == sorted(distances)


@pytest.mark.parametrize(("bits", "radius"), [(64, 0), (64, 6), (64, 63), (256, 31), (256, 50), (256, 255)])
def test_a_value_exactly_at_the_radius_is_found_and_one_beyond_is_not(make: Make, bits: int, radius: int) -> None:
    rng = random.Random(radius)
    value = rng.getrandbits(bits)
    inside, outside = (at_distance(value, distance, bits, rng) for distance in (radius, radius + 1))
    index = make(bits)
    index.add([outside, inside])
    assert index.search([value], radius) == [[Neighbor(radius, inside)]]
    assert index.search([value], radius + 1) == [[Neighbor(radius, inside), Neighbor(radius + 1, outside)]]


@for_every_length
def test_a_complement_is_found_only_with_a_radius_of_all_bits(make: Make, bits: int) -> None:
    index = make(bits)
    index.add([2**bits - 1])
    assert index.search([0], bits) == [[Neighbor(bits, 2**bits - 1)]]
    assert index.search([0], bits - 1) == [[]]


@for_every_length
def test_a_value_that_is_added_many_times_is_found_once(make: Make, bits: int) -> None:
    index = make(bits)
    index.add([5] * 3_000)
    for _ in range(3):
        index.add([5, 6, 5])
    assert len(index) == 2
    assert index.search([5, 5], bits) == [[Neighbor(0, 5), Neighbor(2, 6)]] * 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.integers(0, 2**64 - 1), max_size=30), query=st.integers(0, 2**64 - 1), data=st.data())
def test_a_search_of_any_values_equals_plain_python(
    make: Make, values: list[int], query: int, data: st.DataObject
) -> None:
    radius = data.draw(st.integers(0, 64))
    index = make(64)
    index.add(values[::2])
    index.add(values)
    queries = [query, *values]
    assert found_by(index, queries, radius) == [find_by_scan(set(values), value, radius) for value in queries]


@for_every_length
def test_no_value_is_lost_when_threads_add_and_search_at_once(make: Make, bits: int, eager_threads: None) -> None:
    rng = random.Random(bits)
    index = make(bits)
    values = [rng.getrandbits(bits) for _ in range(600)]
    batches = [values[start : start + 10] for start in range(0, len(values), 10)]
    stop = Event()

    def add(batches: list[list[int]]) -> None:
        for batch in batches:
            index.add(batch)
            assert [neighbors[0] for neighbors in index.search(batch, 0)] == [Neighbor(0, value) for value in batch]

    def search() -> int:
        searches, seen = 0, 0
        while not stop.is_set():
            neighbors = index.search([values[0]], bits)[0]
            assert len(neighbors) == len({neighbor.value for neighbor in neighbors}) >= seen
            searches, seen = searches + 1, len(neighbors)
        return searches

    with ThreadPoolExecutor() as pool:
        searchers = [pool.submit(search) for _ in range(2)]
        adders = [pool.submit(add, batches[start::3]) for start in range(3)]
        try:
            for adder in adders:
                adder.result(30)
        finally:
            stop.set()
        assert all(searcher.result(30) > 0 for searcher in searchers)
    assert sorted(index.search([0], bits)[0]) == find_by_scan(set(values), 0, bits)


@pytest.fixture
def epoch(tmp_path: Path) -> str:
    """The epoch of a log that no other test uses, so that Milvus does not use values of other tests."""
    return tmp_path.name


@pytest.fixture(params=ENGINES)
def open_engine(request: pytest.FixtureRequest, folder: Path) -> Callable[[], Engine]:
    """A function that opens an engine over the stored values, as another process would."""
    radii = {Algorithm.PHASH: Algorithm.PHASH.radius}
    if request.param == "milvus":
        milvus: Milvus = request.getfixturevalue("milvus")
        return lambda: MilvusEngine(milvus, folder, radii)
    engines: dict[str, OpenEngine] = {"tiered": SegmentStore, "bktree": BKTreeEngine}
    return partial(engines[request.param], folder, radii)


def leaf(seq: int) -> str:
    return f"{seq:x}"


def flush(engine: Engine, seq: int) -> None:
    """Store all values that are in memory."""
    with engine.writing() as locked:
        assert locked
        engine.flush(seq, leaf(seq), engine.snapshot())


def sweep(engine: Engine, alive: Alive) -> None:
    """Merge until every value has been checked."""
    for _ in range(3):
        with engine.writing() as locked:
            assert locked
            while engine.merge(alive):
                pass


def stored_by(engine: Engine) -> list[int]:
    """All values that a search finds: with one query, and with several."""
    index = engine.indexes[Algorithm.PHASH]
    alone, *batch = index.search([0], 64) + index.search([0] * 5, 64)
    assert batch == [alone] * 5
    return sorted(neighbor.value for neighbor in alone)


def filled_engine(open_engine: Callable[[], Engine], values: list[int], epoch: str) -> Engine:
    """An engine that was filled with these values, as of event 1."""
    engine = open_engine()
    assert engine.start(epoch, 1, leaf) == engine.last_seq == 0
    engine.indexes[Algorithm.PHASH].fill(packed(values), 1)
    assert stored_by(engine) == sorted(values)
    return engine


def packed(values: list[int]) -> list[bytes]:
    """Values in the form in which the store returns them."""
    return [b"".join(value.to_bytes(8) for value in values)]


def random_values(count: int, seed: int = 1) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(64) for _ in range(count)]


def test_an_engine_finds_both_the_initial_and_the_added_values(open_engine: Callable[[], Engine], epoch: str) -> None:
    values = random_values(300)
    engine = filled_engine(open_engine, values[:200], epoch)
    index = engine.indexes[Algorithm.PHASH]
    index.add(values[200:], 2)
    assert stored_by(engine) == sorted(values)
    flush(engine, 2)
    assert engine.unflushed == 0
    assert stored_by(engine) == sorted(values)
    queries = [values[0] ^ 7, values[250], 0]
    for radius in (0, 6, 31):
        assert found_by(index, queries, radius) == [find_by_scan(set(values), query, radius) for query in queries]


def test_another_process_starts_at_the_seq_that_an_engine_has_stored(
    open_engine: Callable[[], Engine], epoch: str
) -> None:
    values = random_values(100)
    engine = filled_engine(open_engine, values, epoch)
    flush(engine, 1)
    engine.indexes[Algorithm.PHASH].add([5], 2)
    other = open_engine()
    assert other.start(epoch, 2, leaf) == other.last_seq == engine.last_seq
    assert (other.last_seq == 1) == engine.on_disk
    assert stored_by(other) == (sorted(values) if engine.on_disk else [])
    assert other.keep_if_sound(thoroughly=True)


def test_the_values_of_another_log_are_discarded_and_replaced(open_engine: Callable[[], Engine], epoch: str) -> None:
    engine, values = filled_engine(open_engine, random_values(100), epoch), random_values(50, 2)
    flush(engine, 1)
    assert engine.start(f"another {epoch}", 1, leaf) == engine.last_seq == 0
    assert stored_by(engine) == []
    with engine.writing():
        engine.throw_away()
        engine.indexes[Algorithm.PHASH].fill(packed(values), 1)
        engine.flush(1, leaf(1), engine.snapshot())
    assert stored_by(engine) == sorted(values)


def test_ended_values_are_removed_and_can_be_added_again(open_engine: Callable[[], Engine], epoch: str) -> None:
    values = random_values(200)
    ended = set(values[::3])
    engine = filled_engine(open_engine, values[:100], epoch)
    flush(engine, 1)
    engine.indexes[Algorithm.PHASH].add(values[100:], 2)
    flush(engine, 2)
    sweep(engine, lambda algorithm, words: np.array([value not in ended for value in unpack(words)], bool))
    assert stored_by(engine) == sorted(set(values) - ended)
    engine.indexes[Algorithm.PHASH].add(ended, 3)
    assert stored_by(engine) == sorted(values)


def test_a_value_that_is_added_again_during_a_merge_is_kept(open_engine: Callable[[], Engine], epoch: str) -> None:
    values = random_values(200)
    engine = filled_engine(open_engine, values[:100], epoch)
    flush(engine, 1)
    engine.indexes[Algorithm.PHASH].add(values[100:], 2)
    flush(engine, 2)

    def alive(algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        # The store has answered that all values have ended. Then they are contributed again.
        engine.indexes[algorithm].add(unpack(words), 3)
        return np.zeros(len(words), bool)

    with engine.writing():
        engine.merge(alive)
    assert stored_by(engine) == sorted(values)


def test_an_engine_can_be_searched_while_it_is_written(
    open_engine: Callable[[], Engine], epoch: str, eager_threads: None
) -> None:
    values = random_values(400)
    engine = filled_engine(open_engine, values[:100], epoch)
    stop = Event()

    def search() -> int:
        searches = 0
        while not stop.is_set():
            for _ in range(2):
                answers = engine.indexes[Algorithm.PHASH].search(values[:3], 0)
                assert answers == [[Neighbor(0, value)] for value in values[:3]]
            searches += 1
        return searches

    with ThreadPoolExecutor() as pool:
        searcher = pool.submit(search)
        try:
            for seq, start in enumerate(range(100, 400, 100), 2):
                engine.indexes[Algorithm.PHASH].add(values[start : start + 100], seq)
                flush(engine, seq)
                with engine.writing():
                    engine.merge(lambda algorithm, words: np.ones(len(words), bool))
        finally:
            stop.set()
        assert searcher.result(60) > 0
    assert stored_by(engine) == sorted(values)
