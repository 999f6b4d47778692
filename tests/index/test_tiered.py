"""The tiered index: values move from one tier to the next and are found at all times."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import numpy as np
import pytest

from hashdb.domain.matching.matches import Neighbor
from hashdb.index import FLUSH_SIZE
from hashdb.index.segment import build_segment
from hashdb.index.tiered import MAX_PLAIN, TieredIndex
from hashdb.index.vectors import Words, pack, unpack
from tests.index.samples import probing_segment


def are_found(index: TieredIndex, *values: int) -> list[bool]:
    """Whether each value is found, with one query and with several: these take different code paths."""
    alone = [index.search([value], 0)[0] == [Neighbor(0, value)] for value in values]
    batch = index.search([*values, *[0] * 5], 0)[: len(values)]
    assert [neighbors == [Neighbor(0, value)] for neighbors, value in zip(batch, values, strict=True)] == alone
    return alone


def packed(*values: int) -> Words:
    return pack(values, 64)


def test_few_values_and_growing_numbers_of_values_are_found() -> None:
    index = TieredIndex(64, 6)
    rng = random.Random(1)
    values = [rng.getrandbits(64) for _ in range(3_000)]
    for count, value in enumerate(values[: 3 * MAX_PLAIN], 1):
        index.add([value], count)
        assert all(are_found(index, *values[:count]))
    for start in range(3 * MAX_PLAIN, len(values), 500):
        index.add(values[start : start + 500], start)
        assert all(are_found(index, *values[: start + 500 : 50], values[start]))
    assert len(index) == index.in_memory == len(set(values))
    assert sorted(unpack(index.snapshot())) == sorted(values)


def test_a_value_in_several_tiers_is_returned_once() -> None:
    index = TieredIndex(64, 6)
    index.adopt([probing_segment(packed(*range(100)), 4), build_segment(packed(*range(50, 150)), 4)], 0)
    index.load(packed(*range(25, 75)), 1)
    index.add(range(60, 60 + MAX_PLAIN // 2), 2)
    for radius in (0, 3, 64):
        for neighbors in (index.search([60], radius)[0], index.search([60] * 9, radius)[8]):
            assert sorted(neighbors) == sorted(
                Neighbor(d, v) for v in range(150) if (d := (60 ^ v).bit_count()) <= radius
            )


def test_adopting_segments_removes_older_values_from_memory() -> None:
    index = TieredIndex(64, 6)
    index.add([1, 2], 10)
    index.load(packed(3, 4), 11)
    index.add([5], 12)
    index.load(packed(6), 12)
    index.adopt([build_segment(packed(1, 2, 3, 4), 4)], 11)
    assert (index.in_memory, len(index), len(index.segments)) == (2, 6, 1)
    assert sorted(unpack(index.snapshot())) == [5, 6]
    assert all(are_found(index, 1, 2, 3, 4, 5, 6))
    index.adopt([], 12)
    assert (index.in_memory, len(index)) == (0, 0)
    assert not any(are_found(index, 1, 5, 6))


def test_values_stay_when_there_is_no_memory_to_adopt_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    index = TieredIndex(64, 6)
    index.add([1], 1)
    index.add([2], 2)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch, pytest.raises(MemoryError):
        patch.setattr("hashdb.index.tiered.pack", fail)
        index.adopt([build_segment(packed(1), 4)], 1)
    index.add([3], 3)
    assert all(are_found(index, 1, 2, 3))


def test_a_value_that_is_added_again_is_kept_in_memory() -> None:
    """It may have ended in between and left the segments, so files up to event 10 need not have it."""
    index = TieredIndex(64, 6)
    index.add([1, 2], 5)
    index.add([1], 12)
    index.adopt([], 10)
    assert are_found(index, 1, 2) == [True, False]


def test_a_snapshot_does_not_change_when_the_index_grows() -> None:
    index = TieredIndex(256, 31)
    index.add(range(2_000), 1)
    before = index.snapshot()
    index.adopt([], 1)
    index.add(range(5_000, 9_000), 2)
    assert unpack(before) == list(range(2_000))


@pytest.mark.parametrize("bits", [64, 256])
def test_every_value_is_found_while_it_moves_between_tiers(bits: int, eager_threads: None) -> None:
    rng = random.Random(bits)
    values = [rng.getrandbits(bits) for _ in range(4_000)]
    index, lock, stop = TieredIndex(bits, bits // 8), Lock(), Event()
    added = flushed = 0

    def add() -> None:
        nonlocal added
        while added < len(values):
            while flushed < added // 400 and not stop.is_set():
                time.sleep(0)
            with lock:
                batch = values[added : added + rng.choice([1, 1, 1, 5, 40])]
                if len(batch) == 40:
                    index.load(pack(batch, bits), added + 40)
                else:
                    index.add(batch, added + len(batch))
                added += len(batch)

    def flush() -> None:
        nonlocal flushed
        while not stop.is_set():
            with lock:
                in_memory, seq = index.snapshot(), added
            parts = [*index.segments, probing_segment(in_memory, 4)]
            if len(parts) > 3:
                parts = [probing_segment(np.concatenate([part.words(slice(None)) for part in parts]), 4)]
            index.adopt(parts, seq)
            flushed += 1

    def search(seed: int) -> int:
        rng, misses, times = random.Random(seed), 0, 0
        while not times or not stop.is_set():
            if not (known := values[:added]):
                continue
            queries = [*rng.choices(known, k=rng.choice([1, 7])), known[-1]]
            answers = index.search(queries, rng.choice([0, 2]))
            misses += [neighbors[:1] for neighbors in answers] != [[Neighbor(0, value)] for value in queries]
            times += 1
        return misses

    with ThreadPoolExecutor() as pool:
        adder, flusher = pool.submit(add), pool.submit(flush)
        searchers = [pool.submit(search, seed) for seed in range(2)]
        try:
            adder.result(60)
        finally:
            stop.set()
        flusher.result(60)
        assert [searcher.result(60) for searcher in searchers] == [0, 0]
    assert {neighbor.value for neighbor in index.search([0], bits)[0]} == set(values)


def test_very_many_loaded_values_are_kept_in_memory_and_found() -> None:
    index = TieredIndex(64, 6)
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**64, (2 * FLUSH_SIZE, 1), np.uint64)
    index.load(words, 1)
    index.load(words[:100], 2)
    assert index.in_memory == 2 * FLUSH_SIZE + 100
    assert all(are_found(index, *unpack(words[::900])))
