"""Measure the speed and the memory of `hashdb import`: `python -m scripts.bench_import [THOUSANDS OF ROWS…]`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from hashdb.domain.accounts.members import Scope
from hashdb.domain.signals import Algorithm
from scripts.benchmarks import report
from scripts.benchmarks.data import SEED, balanced_values
from scripts.benchmarks.homes import new_home
from tests.serving import serving

THOUSANDS = (10, 100, 1_000)


def main(sizes: tuple[int, ...]) -> None:
    """Print the table."""
    print(report.machine_sentence(report.machine("pydantic", "httpx")))
    print("\n| thousand rows | checked/s | imported/s, checked before | again, all known | maximum memory, MB |")
    print("|---|---|---|---|---|")
    for thousands in sizes:
        with tempfile.TemporaryDirectory() as place:
            file, home = Path(place, "list.csv"), Path(place, "service")
            write(file, thousands)
            secret = new_home(home, Scope.CONTRIBUTE)
            with serving(home) as url:
                environment = os.environ | {"HASHDB_URL": url, "HASHDB_KEY": secret}
                runs = [run(file, environment, *options) for options in (("--dry-run",), (), ())]
        rates = " | ".join(f"{thousands * 1e3 / seconds:,.0f}" for seconds, _ in runs)
        print(f"| {thousands:,} | {rates} | {max(memory for _, memory in runs) / 1024:.0f} |", flush=True)


def write(file: Path, thousands: int) -> None:
    """Write a list of random PDQ hashes with half of their bits set."""
    rng = np.random.default_rng(SEED)
    with file.open("w") as out:
        out.write("signals,labels,quality,removed_at\n")
        for _ in range(thousands):
            rows = balanced_values(rng, 1_000, Algorithm.PDQ.bits)
            out.writelines(f"pdq:{value:064x},glorification,90,2026-11-01T10:00:00Z\n" for value in rows)


def run(file: Path, environment: dict[str, str], *options: str) -> tuple[float, int]:
    """Import a list; return the seconds and the maximum memory in kilobytes."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-m", "hashdb", "import", str(file), *options], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.perf_counter() - started, used.ru_maxrss


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or THOUSANDS)
