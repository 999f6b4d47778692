"""What a query costs among the values of a million items: `python -m scripts.bench_items [MILLIONS OF VALUES]`.

The balanced profile stores 23.4 values of phash256 an item. They are drawn from a seed and stand in one segment in
memory; a query asks one value, or as many as a picture with transforms does: 12 on average, up to 19 in a frame.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.index.kernel import engine
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import unpack
from scripts.benchmarks import report
from scripts.benchmarks.data import SEED

MILLIONS = 23.4
ASKED = (1, 12, 19)
_QUERIES = 240


def main(millions: float) -> None:
    """Print the table."""
    algorithm, rng = Algorithm.PHASH256, np.random.default_rng(SEED)
    index = TieredIndex(algorithm.bits, algorithm.radius)
    begun = time.perf_counter()
    index.load(rng.integers(0, 2**64, (int(millions * 1e6), 4), np.uint64, endpoint=False), 1)
    print(report.told(report.machine("numpy")))
    print(f"{millions:g} M values, seed {SEED}, built in {time.perf_counter() - begun:.0f} s; engine: {engine()}\n")
    asked = unpack(rng.integers(0, 2**64, (_QUERIES, 4), np.uint64, endpoint=False))
    index.search(asked[:1], algorithm.radius)
    print("| values asked | p50 ms | p99 ms |\n|---|---|---|")
    for many in ASKED:
        taken = []
        for start in range(0, _QUERIES - many + 1, many):
            begun = time.perf_counter()
            index.search(asked[start : start + many], algorithm.radius)
            taken.append(time.perf_counter() - begun)
        p50, p99 = np.percentile(taken, (50, 99)) * 1e3
        print(f"| {many} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else MILLIONS)
