"""What search pays: bytes of the index an item, and time of a query, measured on random values."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from math import log
from statistics import median
from typing import Final

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.index.segment import Segment, build
from hashdb.index.words import Words

MOST: Final = 2_000_000
"""Values that are measured; what more of them take follows from how the time grows up to here."""
_FEWER = 8
"""How many times fewer values are measured too, to see how the time grows."""
_QUERIES, _ROUNDS = 20, 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one algorithm, at one radius."""

    bytes_an_item: float
    microseconds_a_query: float
    """Of one picture that is asked about, all of its transforms together."""
    measured: int
    """Values in the segment that was measured."""
    scanned: bool
    """Whether every value is compared, as no table pays at this radius."""


def cost(algorithm: Algorithm, radius: int, items: int, values_an_item: float, values_a_query: float) -> Cost:
    """What an index of so many items takes, in memory and for each query, on this machine, with one thread.

    Random values are spread more evenly than those of pictures, so where tables are used the time is the least that
    can be expected. Past what is measured it is taken to grow as a power of the values: a scan's grows with them, that
    of tables ever more slowly, since a larger segment has wider chunks.
    """
    values = max(1, round(items * values_an_item))
    measured = min(values, MOST)
    octets, seconds, scanned = _measured(algorithm, radius, measured)
    if values > measured:
        growth = 1.0 if scanned else _growth(seconds, _measured(algorithm, radius, measured // _FEWER)[1])
        seconds *= (values / measured) ** growth
    return Cost(
        bytes_an_item=octets / measured * values_an_item,
        microseconds_a_query=seconds * 1e6 * values_a_query,
        measured=measured,
        scanned=scanned,
    )


def _growth(seconds: float, fewer: float) -> float:
    """The power with which time grows; at most that of a scan."""
    return min(1.0, max(0.0, log(seconds / fewer, _FEWER)))


@lru_cache(maxsize=64)
def _measured(algorithm: Algorithm, radius: int, count: int) -> tuple[int, float, bool]:
    """Bytes of a segment of so many random values, seconds of a query of one, and whether it is scanned."""
    random = np.random.default_rng(count)
    segment = build(_random(random, count, algorithm), radius)
    return _bytes(segment), _seconds(segment, _random(random, _QUERIES, algorithm), radius), not segment.cut.widths


def _seconds(segment: Segment, queries: Words, radius: int) -> float:
    segment.search(queries, radius)
    spent = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        segment.search(queries, radius)
        spent.append(time.perf_counter() - start)
    return median(spent) / _QUERIES


def _bytes(segment: Segment) -> int:
    """Of values of 64 bits, the first table is the values."""
    tables = [table for table in (segment.offsets, segment.entries) if table is not None]
    lanes = [lane for lane in segment.lanes if not any(np.may_share_memory(lane, table) for table in tables)]
    return sum(lane.nbytes for lane in lanes) + sum(table.nbytes for table in tables)


def _random(random: np.random.Generator, count: int, algorithm: Algorithm) -> Words:
    words: Words = random.integers(2**64, size=(count, algorithm.bits // 64), dtype=np.uint64)
    return words
