"""One contract for every index and every engine, held against plain Python."""

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
from tests.index.milvus import WrittenIndex, milvus_lite
from tests.index.samples import ENGINES, SKEWED, SegmentedIndex, at_distance, clusters, plainly, skewed

Make = Callable[[int], Index]
MAKE: dict[str, Make] = {
    "bktree": BKTreeIndex,
    "tiered": lambda bits: TieredIndex(bits, bits // 8),
    "segmented": SegmentedIndex,
}
of_every_length = pytest.mark.parametrize("bits", [64, 256])


@pytest.fixture(scope="module")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """One for all."""
    with milvus_lite(tmp_path_factory.mktemp("milvus")) as milvus:
        yield milvus


@pytest.fixture(params=["bktree", "tiered-numpy", "tiered-kernel", "segmented-numpy", "segmented-kernel", "milvus"])
def make(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Every kind of index, those that have a kernel with it and without."""
    kind, _, engine = request.param.partition("-")
    if engine == "numpy":
        monkeypatch.setenv("HASHDB_KERNEL", "0")
    kernel.cache_clear()
    if kind == "milvus":
        yield partial(WrittenIndex, request.getfixturevalue("milvus"))
        return
    if engine == "kernel" and kernel() is None:
        pytest.skip("the index's kernel was not built: install hashdb where there is a C compiler (gcc or clang)")
    yield MAKE[kind]
    kernel.cache_clear()


def found_by(index: Index, queries: list[int], radius: int) -> list[list[Neighbor]]:
    """What a search finds, in one order where several are equally near."""
    return [sorted(found) for found in index.search(queries, radius)]


@of_every_length
def test_an_empty_index_finds_nothing(make: Make, bits: int) -> None:
    index = make(bits)
    assert len(index) == 0
    assert index.search([], bits) == []
    assert index.search([0, 2**bits - 1], bits) == [[], []]
    index.add([])
    assert len(index) == 0


@of_every_length
def test_every_radius_finds_what_plain_python_finds(make: Make, bits: int) -> None:
    rng = random.Random(bits)
    stored = clusters(bits, rng)
    index = make(bits)
    index.add(stored[:50])
    index.add(stored[50:])
    assert len(index) == len(set(stored))
    queries = [*stored[:4], at_distance(stored[0], 3, bits, rng), rng.getrandbits(bits), 0, 2**bits - 1]
    every = [plainly(set(stored), query, bits) for query in queries]
    for radius in range(bits + 1):
        expected = [[one for one in found if one.distance <= radius] for found in every]
        assert found_by(index, queries, radius) == expected
        if radius % 16 in (0, 15):
            assert [found_by(index, [query], radius)[0] for query in queries] == expected


@pytest.mark.parametrize("kind", SKEWED)
@of_every_length
def test_skewed_values_are_found_exactly(make: Make, bits: int, kind: str) -> None:
    rng = random.Random(f"{kind}{bits}")
    stored = skewed(kind, 400, bits, rng)
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
    every = [plainly(set(stored), query, bits) for query in queries]
    for radius in [*range(0, bits // 5, 3), bits // 4, bits // 2, bits - 1, bits]:
        expected = [[one for one in found if one.distance <= radius] for found in every]
        assert found_by(index, queries, radius) == expected
        assert [found_by(index, [query], radius)[0] for query in queries] == expected


@of_every_length
def test_thousands_of_hits_are_all_found(make: Make, bits: int) -> None:
    rng = random.Random(bits)
    centre = rng.getrandbits(bits)
    stored = list({at_distance(centre, rng.randrange(2, 6), bits, rng) for _ in range(5_000)})
    index = make(bits)
    for start in range(0, len(stored), 1_000):
        index.add(stored[start : start + 1_000])
    expected = plainly(set(stored), centre, 5)
    assert len(expected) == len(stored) > 4_000
    assert found_by(index, [centre], 5) == [expected]
    assert found_by(index, [centre] * 6, 5) == [expected] * 6
    assert index.search([centre, centre ^ (2**bits - 1)], 1) == [[], []]


@of_every_length
def test_the_nearest_come_first(make: Make, bits: int) -> None:
    rng = random.Random(bits)
    index = make(bits)
    index.add(clusters(bits, rng))
    for found in index.search([rng.getrandbits(bits) for _ in range(5)], bits):
        assert [one.distance for one in found] == sorted(one.distance for one in found)


@pytest.mark.parametrize(("bits", "radius"), [(64, 0), (64, 6), (64, 63), (256, 31), (256, 50), (256, 255)])
def test_the_radius_is_inside_and_one_more_is_not(make: Make, bits: int, radius: int) -> None:
    rng = random.Random(radius)
    value = rng.getrandbits(bits)
    inside, outside = (at_distance(value, distance, bits, rng) for distance in (radius, radius + 1))
    index = make(bits)
    index.add([outside, inside])
    assert index.search([value], radius) == [[Neighbor(radius, inside)]]
    assert index.search([value], radius + 1) == [[Neighbor(radius, inside), Neighbor(radius + 1, outside)]]


@of_every_length
def test_a_complement_is_found_at_the_full_length_only(make: Make, bits: int) -> None:
    index = make(bits)
    index.add([2**bits - 1])
    assert index.search([0], bits) == [[Neighbor(bits, 2**bits - 1)]]
    assert index.search([0], bits - 1) == [[]]


@of_every_length
def test_a_value_is_found_once_however_often_it_was_added(make: Make, bits: int) -> None:
    index = make(bits)
    index.add([5] * 3_000)
    for _ in range(3):
        index.add([5, 6, 5])
    assert len(index) == 2
    assert index.search([5, 5], bits) == [[Neighbor(0, 5), Neighbor(2, 6)]] * 2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.lists(st.integers(0, 2**64 - 1), max_size=30), query=st.integers(0, 2**64 - 1), data=st.data())
def test_any_values_are_found_exactly(make: Make, values: list[int], query: int, data: st.DataObject) -> None:
    radius = data.draw(st.integers(0, 64))
    index = make(64)
    index.add(values[::2])
    index.add(values)
    assert found_by(index, [query, *values], radius) == [plainly(set(values), one, radius) for one in [query, *values]]


@of_every_length
def test_adding_while_searching_loses_nothing(make: Make, bits: int, eager_threads: None) -> None:
    rng = random.Random(bits)
    index = make(bits)
    values = [rng.getrandbits(bits) for _ in range(600)]
    batches = [values[start : start + 10] for start in range(0, len(values), 10)]
    done = Event()

    def add(some: list[list[int]]) -> None:
        for batch in some:
            index.add(batch)
            assert [found[0] for found in index.search(batch, 0)] == [Neighbor(0, value) for value in batch]

    def search() -> int:
        searches, seen = 0, 0
        while not done.is_set():
            found = index.search([values[0]], bits)[0]
            assert len(found) == len({one.value for one in found}) >= seen
            searches, seen = searches + 1, len(found)
        return searches

    with ThreadPoolExecutor() as pool:
        searchers = [pool.submit(search) for _ in range(2)]
        adders = [pool.submit(add, batches[start::3]) for start in range(3)]
        try:
            for adder in adders:
                adder.result(30)
        finally:
            done.set()
        assert all(searcher.result(30) > 0 for searcher in searchers)
    assert sorted(index.search([0], bits)[0]) == plainly(set(values), 0, bits)


@pytest.fixture
def epoch(tmp_path: Path) -> str:
    """Of a log that no other test has: what Milvus holds of another one is not used."""
    return tmp_path.name


@pytest.fixture(params=ENGINES)
def open_engine(request: pytest.FixtureRequest, folder: Path) -> Callable[[], Engine]:
    """Opens an engine as another process would, over what is stored already."""
    radii = {Algorithm.PHASH: Algorithm.PHASH.radius}
    if request.param == "milvus":
        milvus: Milvus = request.getfixturevalue("milvus")
        return lambda: MilvusEngine(milvus, folder, radii)
    engines: dict[str, OpenEngine] = {"tiered": SegmentStore, "bktree": BKTreeEngine}
    return partial(engines[request.param], folder, radii)


def leaf(seq: int) -> str:
    return f"{seq:x}"


def flush(engine: Engine, seq: int) -> None:
    """Store all that is in memory."""
    with engine.writing() as may:
        assert may
        engine.flush(seq, leaf(seq), engine.snapshot())


def sweep(engine: Engine, alive: Alive) -> None:
    """Merge until every value has been looked up."""
    for _ in range(3):
        with engine.writing() as may:
            assert may
            while engine.merge(alive):
                pass


def stored_by(engine: Engine) -> list[int]:
    """Every value that a search finds: alone, and in a batch."""
    index = engine.indexes[Algorithm.PHASH]
    alone, *batch = index.search([0], 64) + index.search([0] * 5, 64)
    assert batch == [alone] * 5
    return sorted(one.value for one in alone)


def begun(open_engine: Callable[[], Engine], values: list[int], epoch: str) -> Engine:
    """An engine that was filled from a store of these values, as of event 1."""
    engine = open_engine()
    assert engine.start(epoch, 1, leaf) == engine.last_seq == 0
    engine.indexes[Algorithm.PHASH].fill(octets(values), 1)
    assert stored_by(engine) == sorted(values)
    return engine


def octets(values: list[int]) -> list[bytes]:
    """Values as the store hands them out."""
    return [b"".join(value.to_bytes(8) for value in values)]


def numbers(count: int, seed: int = 1) -> list[int]:
    rng = random.Random(seed)
    return [rng.getrandbits(64) for _ in range(count)]


def test_an_engine_finds_what_it_was_filled_with_and_what_was_added(
    open_engine: Callable[[], Engine], epoch: str
) -> None:
    values = numbers(300)
    engine = begun(open_engine, values[:200], epoch)
    index = engine.indexes[Algorithm.PHASH]
    index.add(values[200:], 2)
    assert stored_by(engine) == sorted(values)
    flush(engine, 2)
    assert engine.unflushed == 0
    assert stored_by(engine) == sorted(values)
    queries = [values[0] ^ 7, values[250], 0]
    for radius in (0, 6, 31):
        assert found_by(index, queries, radius) == [plainly(set(values), query, radius) for query in queries]


def test_an_engine_says_up_to_where_another_process_finds_everything(
    open_engine: Callable[[], Engine], epoch: str
) -> None:
    values = numbers(100)
    engine = begun(open_engine, values, epoch)
    flush(engine, 1)
    engine.indexes[Algorithm.PHASH].add([5], 2)
    other = open_engine()
    assert other.start(epoch, 2, leaf) == other.last_seq == engine.last_seq
    assert (other.last_seq == 1) == engine.on_disk
    assert stored_by(other) == (sorted(values) if engine.on_disk else [])
    assert other.keep_if_sound(thoroughly=True)


def test_what_is_of_another_log_is_thrown_away_and_stored_anew(open_engine: Callable[[], Engine], epoch: str) -> None:
    engine, values = begun(open_engine, numbers(100), epoch), numbers(50, 2)
    flush(engine, 1)
    assert engine.start(f"another {epoch}", 1, leaf) == engine.last_seq == 0
    assert stored_by(engine) == []
    with engine.writing():
        engine.throw_away()
        engine.indexes[Algorithm.PHASH].fill(octets(values), 1)
        engine.flush(1, leaf(1), engine.snapshot())
    assert stored_by(engine) == sorted(values)


def test_values_that_ended_leave_and_come_back_when_they_are_added_again(
    open_engine: Callable[[], Engine], epoch: str
) -> None:
    values = numbers(200)
    ended = set(values[::3])
    engine = begun(open_engine, values[:100], epoch)
    flush(engine, 1)
    engine.indexes[Algorithm.PHASH].add(values[100:], 2)
    flush(engine, 2)
    sweep(engine, lambda algorithm, words: np.array([one not in ended for one in unpack(words)], bool))
    assert stored_by(engine) == sorted(set(values) - ended)
    engine.indexes[Algorithm.PHASH].add(ended, 3)
    assert stored_by(engine) == sorted(values)


def test_a_value_that_is_added_while_its_end_is_looked_up_stays(open_engine: Callable[[], Engine], epoch: str) -> None:
    values = numbers(200)
    engine = begun(open_engine, values[:100], epoch)
    flush(engine, 1)
    engine.indexes[Algorithm.PHASH].add(values[100:], 2)
    flush(engine, 2)

    def alive(algorithm: Algorithm, words: Words) -> NDArray[np.bool_]:
        # The store has answered that none lasts; then they are contributed again.
        engine.indexes[algorithm].add(unpack(words), 3)
        return np.zeros(len(words), bool)

    with engine.writing():
        engine.merge(alive)
    assert stored_by(engine) == sorted(values)


def test_an_engine_is_searched_while_it_is_written(
    open_engine: Callable[[], Engine], epoch: str, eager_threads: None
) -> None:
    values = numbers(400)
    engine = begun(open_engine, values[:100], epoch)
    done = Event()

    def search() -> int:
        searches = 0
        while not done.is_set():
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
            done.set()
        assert searcher.result(60) > 0
    assert stored_by(engine) == sorted(values)
