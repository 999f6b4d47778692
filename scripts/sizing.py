"""Calculate machines and costs for a number of hashes and of matches a second, from docs/benchmarks/.

`python -m scripts.sizing` prints the tables of docs/sizing.md. Options set other prices and assumptions.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import statistics
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCHMARKS = Path(__file__).resolve().parent.parent / "docs" / "benchmarks"
HASHES = (1_000_000, 10_000_000, 100_000_000, 1_000_000_000)
RATES = (1_000, 10_000, 100_000)
_CORES = 2
"""Cores of the machine on which the service was measured. PostgreSQL and the client use the rest of the time."""
_MEASURED_HASHES = 1_000_000
"""The number of stored values when the service was measured."""
_HOURS = 730
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Assumed:
    """Assumptions about prices and machines, which are not measured. Each one is an option of the script."""

    vcpu_hour: float = 0.04
    """Price of one vCPU for an hour."""
    gb_hour: float = 0.005
    """Price of one GB of memory for an hour."""
    disk_month: float = 0.10
    """Price of one GB of disk for a month; every disk is counted twice."""
    busy: float = 0.5
    """Share of the processors that may be busy in the busiest hour, so that one machine can fail."""
    machine: int = 16
    """Most vCPUs of a machine that runs hashdb."""
    beside: float = 4.0
    """GB of memory of a machine besides the index: system, workers."""
    row: float = 1_600.0
    """Bytes of the database for a contribution of one hash, log included: 1.5 times the measured size."""
    cached: float = 0.1
    """Share of the database that PostgreSQL should have in memory."""


@dataclass(frozen=True, slots=True)
class Measured:
    """The measurements: µs of processor time, bytes, and the time of a search by the number of values."""

    single: float
    """µs of the service for a single match, with PostgreSQL."""
    batched: float
    """µs of the service for a match in a batch of a thousand."""
    database: float
    """The most µs of everything else for a match: PostgreSQL and the measuring client."""
    database_batched: float
    search: tuple[tuple[int, float], ...]
    """Pairs of a number of values and the µs of a search."""
    value: float
    """Bytes of the index for a value."""
    row: float
    """Bytes of PostgreSQL for a contribution of one hash, log included."""

    def searching(self, hashes: int) -> float:
        """µs of a search. Beyond the largest measured number it assumes proportional growth, which is pessimistic."""
        most, slowest = self.search[-1]
        if hashes > most:
            return slowest * hashes / most
        return next(us for count, us in self.search if count >= hashes)


def read_measurements() -> Measured:
    """Read the figures of docs/benchmarks/."""
    names = ("http", "index", "rows")
    http, index, rows = (json.loads((BENCHMARKS / f"{name}.json").read_text("utf-8")) for name in names)
    # The second result of each kind is for PostgreSQL. A round is (requests a second, p50, p99, processor µs).
    single = _last_rounds(http, 32, batched=False)
    batched = _last_rounds(http, 4, batched=True)
    work, rate = _median(single, 3), _median(single, 0)
    return Measured(
        work,
        _median(batched, 3) / 1_000,
        max(0.0, _CORES * 1e6 / rate - work),
        http["parts"]["match 1,000"]["store"] / 1_000,
        tuple((int(count), float(us)) for count, us in index["by values"]["hashdb, kernel"]),
        float(index["hashdb alone, 10 M"]["bytes a value"]),
        float(rows["postgresql"]),
    )


def _last_rounds(http: Any, clients: int, *, batched: bool) -> Sequence[Sequence[float]]:
    loads = [load for load in http["rounds"] if load[0] == "/matches" and load[1] == clients]
    rounds: Sequence[Sequence[float]] = [load[3] for load in loads if (load[2] > 10_000) == batched][-1]
    return rounds


def _median(rounds: Sequence[Sequence[float]], column: int) -> float:
    return statistics.median(each[column] for each in rounds)


@dataclass(frozen=True, slots=True)
class Size:
    """The machines that run hashdb, and the two of PostgreSQL."""

    machines: int
    cores: int
    memory: int
    """`cores` and `memory` are the vCPUs and the GB of each machine."""
    database_cores: int
    database_memory: int
    disk: float
    month: float


def size(measurements: Measured, assumed: Assumed, hashes: int, rate: int, *, batched: bool) -> Size:
    """The machines for a load: at least two that run hashdb, and a primary and a standby of PostgreSQL."""
    grown = measurements.searching(hashes) - measurements.searching(_MEASURED_HASHES)
    work = (measurements.batched if batched else measurements.single) + max(grown, 0.0)
    cores = rate * work / 1e6 / assumed.busy
    machines = max(2, math.ceil(cores / assumed.machine))
    memory = math.ceil(hashes * measurements.value / _GB + assumed.beside)
    database_work = measurements.database_batched if batched else measurements.database
    database_cores = max(2, math.ceil(rate * database_work / 1e6 / assumed.busy))
    disk = hashes * assumed.row / _GB
    database_memory = math.ceil(max(4.0, disk * assumed.cached))
    each_cores = max(2, math.ceil(cores / machines))
    vcpus = machines * each_cores + 2 * database_cores
    gigabytes = machines * memory + 2 * database_memory
    month = _HOURS * (vcpus * assumed.vcpu_hour + gigabytes * assumed.gb_hour) + 2 * disk * assumed.disk_month
    return Size(machines, each_cores, memory, database_cores, database_memory, disk, month)


def figures() -> str:
    """The measurements that the calculation uses, as a table."""
    measurements = read_measurements()
    values, slowest = measurements.search[-1]
    rows = [
        (
            "processor time of a match, one in a request",
            f"{measurements.single:.0f} µs",
            "[the service](benchmarks/http.md)",
        ),
        ("the same, 1,000 in a request", f"{measurements.batched:.0f} µs", "the same"),
        ("PostgreSQL for a match, at most", f"{measurements.database:.0f} µs", "the same: the rest of the cores' time"),
        (
            "a search among 1,000,000 values",
            f"{measurements.searching(_MEASURED_HASHES):.0f} µs",
            "[the index](benchmarks/index.md)",
        ),
        (f"a search among {values:,} values", f"{slowest:.0f} µs", "the same"),
        ("size of the index, for each value", f"{measurements.value:.0f} bytes", "the same"),
        (
            "size in PostgreSQL, for each contribution of one hash",
            f"{measurements.row:,.0f} bytes",
            "`python -m scripts.bench_rows`",
        ),
    ]
    return _table(("measurement", "figure", "source"), rows)


def machines(assumed: Assumed | None = None) -> str:
    """The table of machines and costs."""
    measurements, assumed = read_measurements(), assumed or Assumed()
    return _table(
        ("hashes", "matches/s", "matches in a request", "machines for hashdb", "PostgreSQL", "disk", "cost a month"),
        _rows(measurements, assumed),
    )


def _rows(measurements: Measured, assumed: Assumed) -> Iterator[Sequence[str]]:
    for hashes in HASHES:
        for rate in RATES:
            for batched in (False, True):
                result = size(measurements, assumed, hashes, rate, batched=batched)
                yield (
                    f"{hashes:,}",
                    f"{rate:,}",
                    "1,000" if batched else "1",
                    f"{result.machines:,} × {result.cores} vCPUs, {result.memory:,} GB",
                    f"2 × {result.database_cores} vCPUs, {result.database_memory} GB",
                    f"2 × {result.disk:,.0f} GB",
                    f"{result.month:,.0f}",
                )


def assumptions() -> str:
    """The assumptions, as a table."""
    # Python does not keep the docstrings of fields: read them from this file.
    lines = Path(__file__).read_text("utf-8").partition("class Assumed")[2].splitlines()
    meanings = {
        line.split(":")[0].strip(): lines[number + 1].strip().strip('"')
        for number, line in enumerate(lines)
        if line.startswith("    ") and " = " in line and ": " in line
    }
    rows = (
        (f"`--{field.name.replace('_', '-')}`", f"{field.default:,}", meanings[field.name])
        for field in dataclasses.fields(Assumed)
    )
    return _table(("option", "assumed", "meaning"), rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]] | Iterator[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, ["---"] * len(heads), *rows))


def main(arguments: Sequence[str]) -> int:
    """Print the tables, with the assumptions from the command line."""
    parser = argparse.ArgumentParser(
        description="Calculate machines and costs from measurements. Example: --vcpu-hour 0.03 --gb-hour 0.004"
    )
    for field in dataclasses.fields(Assumed):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(field.default), default=field.default)
    assumed = Assumed(**vars(parser.parse_args(arguments)))
    print(figures())
    print(machines(assumed))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
