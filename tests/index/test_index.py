"""One contract for every index, held against plain Python."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hashdb.domain.matches import Neighbor
from hashdb.index import Index
from hashdb.index.bktree import BKTreeIndex
from hashdb.index.kernel import kernel
from hashdb.index.milvus import Milvus
from hashdb.index.tiered import TieredIndex
from tests.index.milvus import WrittenIndex, milvus_lite
from tests.index.samples import SKEWED, SegmentedIndex, at_distance, clusters, plainly, skewed

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
