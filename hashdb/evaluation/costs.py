"""The cost of search: the memory of an index and the time of a query, measured with random values."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from math import log
from statistics import median
from typing import Final

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import Words

MOST_MEASURED: Final = 2_000_000
"""The most values that are measured; the cost of more values is extrapolated."""
_FEWER = 8
"""The factor by which a second measurement has fewer values, to see how the time grows."""
_QUERIES, _ROUNDS = 20, 3  # queries that are timed together, and how often


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of search with one algorithm at one radius."""

    bytes_an_item: float
    microseconds_a_query: float
    """For one picture with all of its transforms."""
    measured_values: int
    """Values in the segment that was measured."""
    scanned: bool
    """Whether every value is compared, because tables do not help at this radius."""


def cost(algorithm: Algorithm, radius: int, items: int, values_an_item: float, values_a_query: float) -> Cost:
    """The memory of an index of `items` items and the time of a query, on this machine, with one thread.

    Random values are spread more evenly than those of pictures, so with tables the time is a lower bound. Above
    `MOST_MEASURED` values, the time is assumed to grow as a power of their number: linearly for a scan, more slowly
    with tables, as a larger segment has wider chunks.
    """
    values = max(1, round(items * values_an_item))
    measured = min(values, MOST_MEASURED)
    octets, seconds, scanned = _measured(algorithm, radius, measured)
    if values > measured:
        growth = 1.0
        if not scanned:
            _, seconds_with_fewer, _ = _measured(algorithm, radius, measured // _FEWER)
            growth = _growth(seconds, seconds_with_fewer)
        seconds *= (values / measured) ** growth
    return Cost(
        bytes_an_item=octets / measured * values_an_item,
        microseconds_a_query=seconds * 1e6 * values_a_query,
        measured_values=measured,
        scanned=scanned,
    )


def _growth(seconds: float, seconds_with_fewer: float) -> float:
    """The exponent with which the time grows from that with fewer values; at most 1, that of a scan."""
    return min(1.0, max(0.0, log(seconds / seconds_with_fewer, _FEWER)))


@lru_cache(maxsize=64)
def _measured(algorithm: Algorithm, radius: int, count: int) -> tuple[int, float, bool]:
    """The bytes of a segment of `count` random values, the seconds of a query, and whether it is scanned."""
    random = np.random.default_rng(count)
    segment = build_segment(_random(random, count, algorithm), radius)
    return _bytes(segment), _seconds(segment, _random(random, _QUERIES, algorithm), radius), not segment.chunks.widths


def _seconds(segment: Segment, queries: Words, radius: int) -> float:
    segment.search(queries, radius)
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        segment.search(queries, radius)
        times.append(time.perf_counter() - start)
    return median(times) / _QUERIES


def _bytes(segment: Segment) -> int:
    """The bytes of a segment; for values of 64 bits, the first table holds the values."""
    tables = [table for table in (segment.offsets, segment.entries) if table is not None]
    lanes = [lane for lane in segment.lanes if not any(np.may_share_memory(lane, table) for table in tables)]
    return sum(lane.nbytes for lane in lanes) + sum(table.nbytes for table in tables)


def _random(random: np.random.Generator, count: int, algorithm: Algorithm) -> Words:
    words: Words = random.integers(2**64, size=(count, algorithm.bits // 64), dtype=np.uint64)
    return words
