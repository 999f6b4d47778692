"""Measure the index with many values; write docs/benchmarks/scale.md and scale.json.

    scripts/bench scale [--values N ...] [--folder FOLDER] [--quick]

The default is 10 M and then 40 M values of 256 bits. 40 M values need 8 GB of memory, 25 GB in the folder, and up to an
hour. The files of one number of values are deleted before those of the next number are written.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from hashdb.index.kernel import implementation_name
from scripts.bench_index import measure_pauses
from scripts.benchmarks import data, index_alone, report
from scripts.benchmarks.engines import Process, make
from scripts.benchmarks.report import number

RADIUS = 31
VALUES = (10_000_000, 40_000_000)
QUICK = (200_000,)
_ROUNDS, _QUERIES = 5, 1_000


def main() -> None:
    """Measure each number of values, and write the page; with --quick, only print it."""
    parser = argparse.ArgumentParser(prog="scripts/bench scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--values", type=int, action="append", help="number of values, 10 M and 40 M by default")
    parser.add_argument(
        "--folder", type=Path, help="folder on a disk with free space; default: the system's temporary folder"
    )
    parser.add_argument("--quick", action="store_true", help="measure 200,000 values; write no page")
    arguments = parser.parse_args()
    sizes = QUICK if arguments.quick else tuple(arguments.values or VALUES)
    results: dict[str, Any] = {
        "machine": report.machine("numpy"),
        "seed": data.SEED,
        "engine": implementation_name(),
        "sizes": [],
    }
    for count in sizes:
        with tempfile.TemporaryDirectory(prefix="hashdb-bench-", dir=arguments.folder) as name:
            results["sizes"].append(measure(Path(name), count))
    lines = page(results)
    if arguments.quick:
        print("\n".join(lines))
    else:
        report.write("scale", lines, results)


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Measure the index with `count` values, in separate processes."""
    words = data.stored_values(count, 256)
    np.save(folder / "values.npy", words)
    np.save(folder / f"queries-{RADIUS}.npy", data.queries(words, _QUERIES, RADIUS))
    del words
    figures: dict[str, Any] = {"values": count, "build": make("hashdb", folder, RADIUS)}
    figures["bytes"] = (folder / "hashdb.segment").stat().st_size
    with Process("hashdb", folder, RADIUS) as process:
        runs = [
            process.call("single", radius=RADIUS, count=_QUERIES) | process.call("batch", radius=RADIUS, count=_QUERIES)
            for _ in range(_ROUNDS)
        ]
        figures |= {key: float(np.median([run[key] for run in runs])) for key in runs[0]}
        figures["memory"] = process.call("memory")
    (folder / "hashdb.segment").unlink()
    figures["keep"] = index_alone.measure("keep", folder, RADIUS)
    figures["open"] = index_alone.measure("open", folder, RADIUS)["milliseconds"]
    figures["pauses"] = measure_pauses(folder, True)
    return figures


def page(results: dict[str, Any]) -> list[str]:
    """The lines of the page."""
    return [
        "# The index with many values, measured",
        "",
        "For operators of a large service: what an index of tens of millions of values needs, and how fast it answers.",
        "",
        "Written by `./scripts/bench scale`; do not edit.",
        report.machine_sentence(results["machine"]),
        f"The index uses: {results['engine']}. The seed is {results['seed']}.",
        f"The load of the machine was {results['machine']['load']:.0f} at the start: above the number of cores, "
        "all elapsed times are longer.",
        f"Values of 256 bits, radius {RADIUS}, from memory-mapped files in the system's cache.",
        "",
        "## Queries",
        "",
        "Times of queries are processor time.",
        *report.table(
            ("values", "build s", "open ms", "p50 µs", "p99 µs", "queries/s in batches of 1,000", "GB of files",
             "bytes a value", "MB resident", "MB private"),
            [_queries(size) for size in results["sizes"]],
        ),
        "`open` is the time to the first correct result.",
        "Resident memory is nearly all of mapped files, which processes share.",
        "",
        "## Growth while queries run",
        "",
        "One thread adds a quarter of the values in three parts, writes them and merges them, "
        "while another one sends queries without a pause.",
        *report.table(
            ("values", "added", "values/s", "queries", "p50 ms", "p99 ms", "p99 at a random moment, ms"),
            [_growth(size) for size in results["sizes"]],
        ),
    ]  # fmt: skip


def _queries(size: dict[str, Any]) -> tuple[str, ...]:
    return (
        f"{size['values']:,}",
        number(size["build"]),
        number(size["open"]),
        number(size["p50"]),
        number(size["p99"]),
        f"{size['rate']:,.0f}",
        number(size["bytes"] / 1e9),
        number(size["bytes"] / size["values"]),
        number(size["memory"]["pss"] / 1e6),
        number(size["memory"]["own"] / 1e6),
    )


def _growth(size: dict[str, Any]) -> tuple[str, ...]:
    added, queries = size["values"] - size["keep"]["values"], size["pauses"]["all of these"]
    return (
        f"{size['values']:,}",
        f"{added:,}",
        f"{added / queries['seconds']:,.0f}",
        f"{queries['queries']:,}",
        *(number(queries[key]) for key in ("p50", "p99", "wait")),
    )


if __name__ == "__main__":
    main()
