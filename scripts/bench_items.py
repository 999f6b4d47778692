"""Measure a query among the values of a million items: `python -m scripts.bench_items [MILLIONS OF VALUES]`.

The balanced profile stores about 36 values of phash256 for an item, with secret views. The values come from a seed and
are in one segment in memory. A query searches some values within 46 bits, and those of its parts within 31 bits. The
last row has all searches for a picture, one after the other.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from hashdb.domain.matching.matches import transform_radius
from hashdb.domain.signals import Algorithm
from hashdb.index.kernel import implementation_name
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import unpack
from scripts.benchmarks import report
from scripts.benchmarks.data import SEED

MILLIONS = 36.0
WIDE, NARROW = Algorithm.PHASH256.radius, transform_radius("panel", Algorithm.PHASH256)
SEARCHES = (((1, WIDE),), ((12, WIDE),), ((1, NARROW),), ((60, NARROW),), ((12, WIDE), (60, NARROW)))
_QUERIES = 240


def main(millions: float) -> None:
    """Print the table."""
    algorithm, rng = Algorithm.PHASH256, np.random.default_rng(SEED)
    index = TieredIndex(algorithm.bits, algorithm.radius)
    started = time.perf_counter()
    index.load(rng.integers(0, 2**64, (int(millions * 1e6), 4), np.uint64, endpoint=False), 1)
    print(report.machine_sentence(report.machine("numpy")))
    seconds = time.perf_counter() - started
    print(f"{millions:g} M values, seed {SEED}, built in {seconds:.0f} s; engine: {implementation_name()}\n")
    queries = unpack(rng.integers(0, 2**64, (_QUERIES, 4), np.uint64, endpoint=False))
    index.search(queries[:1], algorithm.radius)
    print("| queried values | p50 ms | p99 ms |\n|---|---|---|")
    for searches in SEARCHES:
        times = []
        largest = max(count for count, _ in searches)
        for start in range(0, _QUERIES - largest + 1, largest):
            started = time.perf_counter()
            for count, radius in searches:
                index.search(queries[start : start + count], radius)
            times.append(time.perf_counter() - started)
        p50, p99 = np.percentile(times, (50, 99)) * 1e3
        cell = " and ".join(f"{count} within {radius}" for count, radius in searches)
        print(f"| {cell} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else MILLIONS)
