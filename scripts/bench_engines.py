"""Measure the engines of the index in turn, and write docs/benchmarks/engines.md and engines.json."""

from __future__ import annotations

import argparse
import importlib.util
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.index import Engine, Index
from hashdb.index.bktree import BKTreeEngine
from hashdb.index.kernel import implementation_name
from hashdb.index.milvus import Milvus, MilvusEngine
from hashdb.index.segment_store import SegmentStore
from hashdb.index.vectors import Words, unpack
from scripts.benchmarks import report

ENGINES = ("tiered", "bktree", "milvus")
COUNTS = (1_000, 10_000, 100_000, 1_000_000)
RADII = {Algorithm.PDQ: (4, 10, 31), Algorithm.PHASH: (4, 10)}
_READERS = "For operators: which engine to choose with `HASHDB_INDEX`, and what each costs."
_ADVICE = (
    ("`tiered` (default)", "for every service whose values one machine holds", "past one machine's memory"),
    (
        "`bktree`",
        "to try hashdb, to test, to compare answers; it needs no file and no compiler",
        "above 10,000 values: a query takes over 10 ms at the default radius and delays the other queries of its "
        "worker, and each worker must fill its own trees at its start",
    ),
    (
        "`milvus`",
        "where the values no longer fit one machine",
        "in all other cases: each query is compared with every value and crosses the network",
    ),
)
_SEED = 15
_QUERIES = 200
_SECONDS = 10.0
"""A cell ends after these seconds, but not before it has run `_FEWEST` queries."""
_FEWEST = 5


def main() -> None:
    """Measure every cell in a separate process."""
    parser = argparse.ArgumentParser(prog="scripts/bench engines", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="Measure at most 10,000 values; write no page.")
    parser.add_argument("--engine", choices=ENGINES, action="append", help="Measure only this engine; may be repeated.")
    parser.add_argument("--cell", nargs=3, metavar=("ENGINE", "ALGORITHM", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        engine, algorithm, count = options.cell
        print(json.dumps(_measure(engine, Algorithm(algorithm), int(count))))
        return
    counts = COUNTS[:2] if options.quick else COUNTS
    path = report.FOLDER / "engines.json"
    cells: list[dict[str, Any]] = []
    for engine in options.engine or ENGINES:
        if engine == "milvus" and importlib.util.find_spec("milvus_lite") is None:
            print("milvus is skipped: install it with scripts/setup milvus-lite", file=sys.stderr)
            continue
        for algorithm in RADII:
            for count in counts:
                cells.append(_measure_in_process(engine, algorithm, count))
                print(_line(cells[-1]), flush=True)
    if options.quick:
        return
    if options.engine and path.exists():
        earlier = json.loads(path.read_text("utf-8"))["cells"]
        cells = [cell for cell in earlier if cell["engine"] not in options.engine] + cells
        cells.sort(key=lambda cell: ENGINES.index(cell["engine"]))
    machine = report.machine("numpy", "pybktree", "milvus-lite")
    report.write("engines", list(_page(machine, cells)), {"machine": machine, "cells": cells})


def _measure_in_process(engine: str, algorithm: Algorithm, count: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "scripts.bench_engines", "--cell", engine, algorithm, str(count)]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True, cwd=report.ROOT)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(name: str, algorithm: Algorithm, count: int) -> dict[str, Any]:
    rng, size = np.random.default_rng(_SEED), algorithm.bits // 64
    words = rng.integers(0, 2**64, (count, size), np.uint64)
    octets = words.astype(">u8").tobytes()
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as folder:
        engine = _open(name, Path(folder), algorithm)
        clock = _clock(name)
        before, started = _memory(), clock()
        engine.start("bench", 1, lambda seq: "")
        index = engine.indexes[algorithm]
        index.fill([octets], 1)
        with engine.writing():
            engine.flush(1, "", engine.snapshot())
        built = clock() - started
        queries = list(_queries(words, algorithm))
        figures: dict[str, Any] = {"engine": name, "algorithm": algorithm, "count": count, "build_s": built}
        figures["searches"] = {
            radius: _search_figures(engine.indexes[algorithm], queries, radius, clock) for radius in RADII[algorithm]
        }
        figures["memory_mb"] = (_memory() - before) / 2**20
        files = [path for path in Path(folder).rglob("*") if path.is_file()]
        figures["files_mb"] = sum(path.stat().st_size for path in files) / 2**20
        figures["kernel"] = implementation_name() if name == "tiered" else ""
    return figures


def _open(name: str, folder: Path, algorithm: Algorithm) -> Engine:
    radii = {algorithm: algorithm.radius}
    if name == "tiered":
        return SegmentStore(folder / "index", radii)
    if name == "bktree":
        return BKTreeEngine(None, radii)
    return MilvusEngine(Milvus(str(folder / "milvus.db")), folder / "index", radii)


def _queries(words: Words, algorithm: Algorithm) -> Iterator[int]:
    """Queries of which half are near a stored value and half are near none."""
    rng = random.Random(_SEED)
    for number in range(_QUERIES):
        [value] = unpack(words[[rng.randrange(len(words))]])
        flips = sum(1 << bit for bit in rng.sample(range(algorithm.bits), 3))
        yield value ^ flips if number % 2 else rng.getrandbits(algorithm.bits)


def _clock(name: str) -> Callable[[], float]:
    """Processor time, which other work on the machine affects least; elapsed time for Milvus, a separate process."""
    return time.perf_counter if name == "milvus" else time.process_time


def _search_figures(index: Index, queries: Sequence[int], radius: int, clock: Callable[[], float]) -> dict[str, Any]:
    times, started = list[float](), time.perf_counter()
    index.search(queries[:1], radius)
    for query in queries:
        if len(times) >= _FEWEST and time.perf_counter() - started > _SECONDS:
            break
        at = clock()
        index.search([query], radius)
        times.append(clock() - at)
    return {"ms": statistics.median(times) * 1000, "queries": len(times)}


def _memory() -> int:
    """Memory in bytes of this process and of the processes that it started, such as milvus-lite."""
    parents: dict[int, int] = {}
    sizes: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/status"):
        try:
            fields = dict(line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        except OSError:
            continue
        pid = int(path.parent.name)
        parents[pid] = int(fields["PPid"])
        sizes[pid] = int(fields.get("VmRSS", "0 kB").split()[0]) * 1024
    own = {int(Path("/proc/self").resolve().name)}
    while children := {pid for pid, parent in parents.items() if parent in own} - own:
        own |= children
    return sum(sizes.get(pid, 0) for pid in own)


def _line(cell: Mapping[str, Any]) -> str:
    searches = ", ".join(
        f"radius {radius}: {search['ms']:.3f} ms ({search['queries']} queries)"
        for radius, search in cell["searches"].items()
    )
    return (
        f"{cell['engine']} {cell['algorithm']} {cell['count']:,}: {searches}; built in {cell['build_s']:.2f} s,"
        f" {cell['memory_mb']:.0f} MB of memory, {cell['files_mb']:.0f} MB of files"
    )


def _page(machine: Mapping[str, Any], cells: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from report.opening("Engines of the index", _READERS, "bench engines", machine)
    kernels = {cell["kernel"] for cell in cells if cell["kernel"]}
    yield f"*tiered* runs on: {', '.join(sorted(kernels))}. *milvus* is milvus-lite, in one process on this machine."
    yield f"Other work ran on the machine; its load was {machine['load']:.1f} at the end."
    yield ""
    yield "## Which engine to choose"
    yield ""
    yield "All three engines are exact: the same tests compare each of them with plain Python."
    yield "`HASHDB_INDEX` chooses the engine ([settings](../settings.md))."
    yield ""
    yield from report.table(("engine", "take it", "do not take it"), _ADVICE)
    yield (
        "A query for a text has many windows, each within 72 of 256 bits: with 20,000 random windows, `bktree` takes"
        " 14 ms of a processor for each, which is 1.7 s for a text of 3,000 words (115 windows)."
    )
    for algorithm, radii in RADII.items():
        yield ""
        yield f"## {algorithm}, {algorithm.bits} bits"
        yield ""
        yield (
            "The radius columns are the median time of a single query in milliseconds; *build* is the time to fill and "
            "store the index."
        )
        yield "Times are processor time; for *milvus* they are elapsed time."
        yield "*memory* is the growth of the process and its children; for *tiered* it includes the pages of its files."
        of_algorithm = [cell for cell in cells if cell["algorithm"] == algorithm]
        rows = [
            (
                f"{cell['count']:,}",
                cell["engine"],
                *(_milliseconds(cell["searches"], radius) for radius in radii),
                f"{cell['build_s']:.2f} s",
                f"{cell['memory_mb']:,.1f} MB",
                f"{cell['files_mb']:,.1f} MB",
            )
            for cell in sorted(of_algorithm, key=lambda cell: (cell["count"], ENGINES.index(cell["engine"])))
        ]
        heads = ("values", "engine", *(f"radius {radius}" for radius in radii), "build", "memory", "files")
        yield from report.table(heads, rows)
    yield "A number in brackets is the number of queries, if it was not 200."


def _milliseconds(searches: Mapping[Any, Any], radius: int) -> str:
    search = searches.get(radius) or searches[str(radius)]
    queries = f" ({search['queries']})" if search["queries"] < _QUERIES else ""
    return (f"{search['ms']:,.0f}" if search["ms"] >= 100 else f"{search['ms']:.3g}") + queries


if __name__ == "__main__":
    main()
