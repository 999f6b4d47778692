"""One contract for every index, held against plain Python."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.matches import Neighbor
from hashdb.index import Index
from hashdb.index.bktree import BKTreeIndex
from hashdb.index.scan import ScanIndex

BITS = [64, 256]
INDEXES: list[Callable[[int], Index]] = [lambda bits: BKTreeIndex(), ScanIndex]
of_every_index = pytest.mark.parametrize("make", INDEXES, ids=["bktree", "scan"])
of_every_length = pytest.mark.parametrize("bits", BITS)


def plainly(stored: set[int], value: int, radius: int) -> list[Neighbor]:
    found = (Neighbor((one ^ value).bit_count(), one) for one in stored)
    return sorted(neighbor for neighbor in found if neighbor.distance <= radius)


def at_distance(value: int, distance: int, bits: int, rng: random.Random) -> int:
    return value ^ sum(1 << bit for bit in rng.sample(range(bits), distance))


def clusters(bits: int, rng: random.Random) -> list[int]:
    """Values around a few centres, at every distance from them, and the centres' complements."""
    centres = [rng.getrandbits(bits) for _ in range(4)]
    around = [at_distance(one, distance, bits, rng) for one in centres for distance in range(0, bits + 1, 5)]
    return centres + around + [one ^ (2**bits - 1) for one in centres]


@of_every_index
@of_every_length
def test_an_empty_index_finds_nothing(make: Callable[[int], Index], bits: int) -> None:
    index = make(bits)
    assert len(index) == 0
    assert index.search([], bits) == []
    assert index.search([0, 2**bits - 1], bits) == [[], []]
    index.add([])
    assert len(index) == 0


@of_every_index
@of_every_length
def test_every_radius_finds_what_plain_python_finds(make: Callable[[int], Index], bits: int) -> None:
    rng = random.Random(bits)
    stored = clusters(bits, rng)
    index = make(bits)
    index.add(stored[:50])
    index.add(stored[50:])
    assert len(index) == len(set(stored))
    queries = [*stored[:4], at_distance(stored[0], 3, bits, rng), rng.getrandbits(bits), 0, 2**bits - 1]
    for radius in range(bits + 1):
        expected = [plainly(set(stored), query, radius) for query in queries]
        assert [sorted(found) for found in index.search(queries, radius)] == expected


@of_every_index
@of_every_length
def test_the_nearest_come_first(make: Callable[[int], Index], bits: int) -> None:
    rng = random.Random(bits)
    index = make(bits)
    index.add(clusters(bits, rng))
    for found in index.search([rng.getrandbits(bits) for _ in range(5)], bits):
        assert [one.distance for one in found] == sorted(one.distance for one in found)


@of_every_index
@pytest.mark.parametrize(("bits", "radius"), [(64, 0), (64, 6), (64, 63), (256, 31), (256, 50), (256, 255)])
def test_the_radius_is_inside_and_one_more_is_not(make: Callable[[int], Index], bits: int, radius: int) -> None:
    rng = random.Random(radius)
    value = rng.getrandbits(bits)
    inside, outside = (at_distance(value, distance, bits, rng) for distance in (radius, radius + 1))
    index = make(bits)
    index.add([outside, inside])
    assert index.search([value], radius) == [[Neighbor(radius, inside)]]
    assert index.search([value], radius + 1) == [[Neighbor(radius, inside), Neighbor(radius + 1, outside)]]


@of_every_index
@of_every_length
def test_a_complement_is_found_at_the_full_length_only(make: Callable[[int], Index], bits: int) -> None:
    index = make(bits)
    index.add([2**bits - 1])
    assert index.search([0], bits) == [[Neighbor(bits, 2**bits - 1)]]
    assert index.search([0], bits - 1) == [[]]


@of_every_index
@of_every_length
def test_a_value_is_found_once_however_often_it_was_added(make: Callable[[int], Index], bits: int) -> None:
    index = make(bits)
    index.add([5] * 3_000)
    for _ in range(3):
        index.add([5, 6, 5])
    assert len(index) == 2
    assert index.search([5, 5], bits) == [[Neighbor(0, 5), Neighbor(2, 6)]] * 2


@of_every_index
@given(values=st.lists(st.integers(0, 2**64 - 1), max_size=30), query=st.integers(0, 2**64 - 1), data=st.data())
def test_any_values_are_found_exactly(
    make: Callable[[int], Index], values: list[int], query: int, data: st.DataObject
) -> None:
    radius = data.draw(st.integers(0, 64))
    index = make(64)
    index.add(values)
    assert [sorted(found) for found in index.search([query, *values], radius)] == [
        plainly(set(values), one, radius) for one in [query, *values]
    ]


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@of_every_index
@of_every_length
def test_adding_while_searching_loses_nothing(make: Callable[[int], Index], bits: int, eager_threads: None) -> None:
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
