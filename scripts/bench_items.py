"""What a query costs among the values of a million items: `python -m scripts.bench_items [MILLIONS OF VALUES]`.

The balanced profile stores about 36 values of phash256 an item, with secret views. They are drawn from a seed and stand
in one segment in memory. A query asks some values within 46 bits, and the parts within 31 bits: the
last row is what a picture asks in all, one search after the other.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from hashdb.domain.matching.matches import transform_radius
from hashdb.domain.signals import Algorithm
from hashdb.index.kernel import implementation
from hashdb.index.tiered import TieredIndex
from hashdb.index.vectors import unpack
from scripts.benchmarks import report
from scripts.benchmarks.data import SEED

MILLIONS = 36.0
WIDE, NARROW = Algorithm.PHASH256.radius, transform_radius("panel", Algorithm.PHASH256)
ASKED = (((1, WIDE),), ((12, WIDE),), ((1, NARROW),), ((60, NARROW),), ((12, WIDE), (60, NARROW)))
_QUERIES = 240


def main(millions: float) -> None:
    """Print the table."""
    algorithm, rng = Algorithm.PHASH256, np.random.default_rng(SEED)
    index = TieredIndex(algorithm.bits, algorithm.radius)
    started = time.perf_counter()
    index.load(rng.integers(0, 2**64, (int(millions * 1e6), 4), np.uint64, endpoint=False), 1)
    print(report.machine_sentence(report.machine("numpy")))
    seconds = time.perf_counter() - started
    print(f"{millions:g} M values, seed {SEED}, built in {seconds:.0f} s; engine: {implementation()}\n")
    asked = unpack(rng.integers(0, 2**64, (_QUERIES, 4), np.uint64, endpoint=False))
    index.search(asked[:1], algorithm.radius)
    print("| values asked | p50 ms | p99 ms |\n|---|---|---|")
    for query in ASKED:
        taken = []
        most = max(many for many, _ in query)
        for start in range(0, _QUERIES - most + 1, most):
            started = time.perf_counter()
            for many, radius in query:
                index.search(asked[start : start + many], radius)
            taken.append(time.perf_counter() - started)
        p50, p99 = np.percentile(taken, (50, 99)) * 1e3
        told = " and ".join(f"{many} within {radius}" for many, radius in query)
        print(f"| {told} | {p50:.2f} | {p99:.2f} |")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else MILLIONS)
