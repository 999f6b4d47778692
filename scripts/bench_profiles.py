"""Measure the profiles and the transforms against plain hashing: `python scripts/bench_profiles.py FOLDER`.

Each picture is read and hashed with the default algorithms in every mode, in turn; the fastest of several runs counts.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from hashdb.domain.signals import Algorithm
from hashdb.hashing import Limits, Mode, hash_as, warm

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
PICTURES, ROUNDS = 12, 9


def main(folder: Path) -> None:
    """Print the table."""
    pictures = [path.read_bytes() for path in sorted(folder.iterdir())[:PICTURES]]
    warm(ALGORITHMS)
    least = {mode: [float("inf")] * len(pictures) for mode in Mode}
    values = dict.fromkeys(Mode, 0)
    for _ in range(ROUNDS):
        for place, octets in enumerate(pictures):
            for mode in Mode:
                start = time.perf_counter()
                hashed = hash_as(octets, ALGORITHMS, Limits(), mode)
                least[mode][place] = min(least[mode][place], time.perf_counter() - start)
                count = len(hashed.signals) + sum(map(len, hashed.transforms.values()))
                values[mode] += count
    print("| mode | ms a picture | multiple of plain | signals |\n|---|---|---|---|")
    for mode, times in least.items():
        mean, plain = sum(times) / len(times), sum(least[Mode.PLAIN]) / len(times)
        print(f"| {mode} | {mean * 1e3:.1f} | {mean / plain:.2f} | {values[mode] / ROUNDS / len(pictures):.1f} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
