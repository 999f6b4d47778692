"""A second processor does half of a large search, if it is idle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from threading import get_ident, stack_size

import numpy as np
import pytest

from hashdb.domain.signals import Algorithm
from hashdb.index import parallel, tiered
from hashdb.index.parallel import has_idle_processor, in_threads
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import unpack


def test_each_part_has_its_own_thread_and_results_come_in_order() -> None:
    results = in_threads(lambda part: (part, get_ident()), [1, 2, 3])
    assert [part for part, _ in results] == [1, 2, 3]
    assert results[2][1] == get_ident() not in {results[0][1], results[1][1]}


def test_the_first_failure_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda part: 1 // part, [0, 1])
    with pytest.raises(ZeroDivisionError):
        in_threads(lambda part: 1 // part, [1, 0])


def test_the_calling_thread_does_all_parts_if_no_thread_can_start() -> None:
    previous = stack_size(1 << 46)  # More than a process can address, so that no thread starts.
    try:
        results = in_threads(lambda part: (part, get_ident()), [1, 2, 3])
    finally:
        stack_size(previous)
    assert results == [(part, get_ident()) for part in (1, 2, 3)]


@pytest.mark.parametrize(
    ("load", "idle"),
    [("0.5 0.5 0.5 1/100 7", True), ("0.5 0.5 0.5 9/100 7", False), ("", False), ("0 0 0 many 7", False)],
)
def test_a_processor_is_idle_if_fewer_threads_than_processors_run(
    load: str, idle: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "_LOAD", str(tmp_path / "load"))
    assert not has_idle_processor()
    (tmp_path / "load").write_text(load)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1}, raising=False)
    assert has_idle_processor() is idle


def test_a_search_in_two_threads_finds_what_one_thread_finds(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, algorithm = np.random.default_rng(5), Algorithm.PHASH256
    words = rng.integers(0, 2**64, (300, 4), np.uint64, endpoint=False)
    index = TieredIndex(algorithm.bits, algorithm.radius)
    index.load(words, 1)
    values = [value ^ 7 for value in unpack(words[:21])]
    alone = index.search(values, algorithm.radius)
    parts: list[Sequence[int]] = []

    def record(work: Callable[[Sequence[int]], object], halves: Sequence[Sequence[int]]) -> list[object]:
        parts.extend(halves)
        return in_threads(work, halves)

    monkeypatch.setattr(tiered, "SHARED_NANOSECONDS", 0.0)
    monkeypatch.setattr(tiered, "has_idle_processor", lambda: True)
    monkeypatch.setattr(tiered, "in_threads", record)
    assert index.search(values, algorithm.radius) == alone
    assert all(any(neighbor.distance == 3 for neighbor in neighbors) for neighbors in alone)
    assert [len(part) for part in parts] == [10, 11]
