"""The tiers: values go from one to the next, and are found all the while."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock

import numpy as np
import pytest

from hashdb.domain.matching.matches import Neighbor
from hashdb.index.segment import build_segment
from hashdb.index.tiered import FLUSH_SIZE, PLAIN, TieredIndex
from hashdb.index.vectors import Words, pack, unpack
from tests.index.samples import probing


def found(index: TieredIndex, *values: int) -> list[bool]:
    """Whether each value is found: asked alone, and as a batch, which have ways of their own."""
    alone = [index.search([value], 0)[0] == [Neighbor(0, value)] for value in values]
    batch = index.search([*values, *[0] * 5], 0)[: len(values)]
    assert [one == [Neighbor(0, value)] for one, value in zip(batch, values, strict=True)] == alone
    return alone


def segment(*values: int) -> Words:
    return pack(values, 64)


def test_values_are_found_when_they_are_few_and_when_memory_grows() -> None:
    index = TieredIndex(64, 6)
    rng = random.Random(1)
    values = [rng.getrandbits(64) for _ in range(3_000)]
    for count, value in enumerate(values[: 3 * PLAIN], 1):
        index.add([value], count)
        assert all(found(index, *values[:count]))
    for start in range(3 * PLAIN, len(values), 500):
        index.add(values[start : start + 500], start)
        assert all(found(index, *values[: start + 500 : 50], values[start]))
    assert len(index) == index.in_memory == len(set(values))
    assert sorted(unpack(index.snapshot())) == sorted(values)


def test_a_value_in_every_tier_is_answered_once() -> None:
    index = TieredIndex(64, 6)
    index.adopt([probing(segment(*range(100)), 4), build_segment(segment(*range(50, 150)), 4)], 0)
    index.load(segment(*range(25, 75)), 1)
    index.add(range(60, 60 + PLAIN // 2), 2)
    for radius in (0, 3, 64):
        for found in (index.search([60], radius)[0], index.search([60] * 9, radius)[8]):
            assert sorted(found) == sorted(Neighbor(d, v) for v in range(150) if (d := (60 ^ v).bit_count()) <= radius)


def test_only_what_came_after_is_kept_when_segments_are_adopted() -> None:
    index = TieredIndex(64, 6)
    index.add([1, 2], 10)
    index.load(segment(3, 4), 11)
    index.add([5], 12)
    index.load(segment(6), 12)
    index.adopt([build_segment(segment(1, 2, 3, 4), 4)], 11)
    assert (index.in_memory, len(index), len(index.segments)) == (2, 6, 1)
    assert sorted(unpack(index.snapshot())) == [5, 6]
    assert all(found(index, 1, 2, 3, 4, 5, 6))
    index.adopt([], 12)
    assert (index.in_memory, len(index)) == (0, 0)
    assert not any(found(index, 1, 5, 6))


def test_a_value_that_comes_again_is_noted_anew() -> None:
    """It may have ended in between and left the segments: files up to number 10 need not have it."""
    index = TieredIndex(64, 6)
    index.add([1, 2], 5)
    index.add([1], 12)
    index.adopt([], 10)
    assert found(index, 1, 2) == [True, False]


def test_growing_does_not_disturb_who_holds_an_older_state() -> None:
    index = TieredIndex(256, 31)
    index.add(range(2_000), 1)
    before = index.snapshot()
    index.adopt([], 1)
    index.add(range(5_000, 9_000), 2)
    assert unpack(before) == list(range(2_000))


@pytest.mark.parametrize("bits", [64, 256])
def test_no_value_is_ever_in_none_of_the_tiers(bits: int, eager_threads: None) -> None:
    rng = random.Random(bits)
    values = [rng.getrandbits(bits) for _ in range(4_000)]
    index, lock, done = TieredIndex(bits, bits // 8), Lock(), Event()
    added = frozen = 0

    def add() -> None:
        nonlocal added
        while added < len(values):
            while frozen < added // 400 and not done.is_set():
                time.sleep(0)
            with lock:
                some = values[added : added + rng.choice([1, 1, 1, 5, 40])]
                if len(some) == 40:
                    index.load(pack(some, bits), added + 40)
                else:
                    index.add(some, added + len(some))
                added += len(some)

    def freeze() -> None:
        nonlocal frozen
        while not done.is_set():
            with lock:
                held, covers = index.snapshot(), added
            parts = [*index.segments, probing(held, 4)]
            if len(parts) > 3:
                parts = [probing(np.concatenate([one.words(slice(None)) for one in parts]), 4)]
            index.adopt(parts, covers)
            frozen += 1

    def search(seed: int) -> int:
        rng, misses, times = random.Random(seed), 0, 0
        while not times or not done.is_set():
            if not (known := values[:added]):
                continue
            asked = [*rng.choices(known, k=rng.choice([1, 7])), known[-1]]
            answers = index.search(asked, rng.choice([0, 2]))
            misses += [one[:1] for one in answers] != [[Neighbor(0, value)] for value in asked]
            times += 1
        return misses

    with ThreadPoolExecutor() as pool:
        adder, freezer = pool.submit(add), pool.submit(freeze)
        searchers = [pool.submit(search, seed) for seed in range(2)]
        try:
            adder.result(60)
        finally:
            done.set()
        freezer.result(60)
        assert [searcher.result(60) for searcher in searchers] == [0, 0]
    assert {one.value for one in index.search([0], bits)[0]} == set(values)


def test_memory_holds_a_catch_up_of_many() -> None:
    index = TieredIndex(64, 6)
    rng = np.random.default_rng(1)
    words = rng.integers(0, 2**64, (2 * FLUSH_SIZE, 1), np.uint64)
    index.load(words, 1)
    index.load(words[:100], 2)
    assert index.in_memory == 2 * FLUSH_SIZE + 100
    assert all(found(index, *unpack(words[::900])))
