"""Measure the index and comparable software; write docs/benchmarks/index.md, index.json and plots."""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hashdb.index import FLUSH_SIZE
from hashdb.index.kernel import kernel
from hashdb.index.vectors import Words
from scripts.benchmarks import data, index_alone, report
from scripts.benchmarks.engines import Process, installed, make
from scripts.benchmarks.report import Line, Target, at_least, at_most, number

MILLION = 1_000_000
RADII_64 = (4, 6, 8, 10)
WIDE = (8, 16, 24, 31, 40, 44, 50, 60)
_READERS = "For contributors and operators: how fast the index is compared with similar software, and what it needs."
_PICTURES = ("index-by-values", "index-by-radius", "index-memory")


class Contender(NamedTuple):
    """An engine, with or without the kernel of hashdb, and the number of queries in a round."""

    name: str
    engine: str
    kernel: bool
    queries: int
    batch: int


OURS = (
    Contender("hashdb, kernel", "hashdb", True, 300, 1_000),
    Contender("hashdb, NumPy", "hashdb", False, 300, 1_000),
)
SCANS = (Contender("our scan, kernel", "scan", True, 50, 100), Contender("our scan, NumPy", "scan", False, 20, 20))
PEERS = (
    Contender("PDQIndex, unpickled", "PDQIndex", True, 200, 1_000),
    Contender("faiss MultiHash, loaded", "MultiHash", True, 200, 1_000),
    Contender("faiss flat", "flat", True, 30, 100),
    Contender("pybktree", "pybktree", True, 2, 0),
)
KERNEL, PLAIN, PDQINDEX, MULTIHASH, _, PYBKTREE = (contender.name for contender in (*OURS, *PEERS))


def main() -> None:
    """Measure everything in one run."""
    parser = argparse.ArgumentParser(prog="scripts/bench index", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 M values and fewer queries: under two minutes")
    quick = parser.parse_args().quick
    if kernel() is None:
        _say("the kernel is not installed: only NumPy is measured")
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as folder:
        _Run(Path(folder), quick).report()


class _Run:
    """One run, with its values in a folder."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder, self.quick, self.rounds = folder, quick, 3 if quick else 7
        self.results: dict[str, Any] = {"seed": data.SEED, "quick": quick, "rounds": self.rounds}
        self.targets: list[Target] = []
        _say(f"seed {data.SEED}, {self.rounds} rounds, values in {folder}")

    def report(self) -> None:
        """Measure, and write the page."""
        started = time.monotonic()
        machine = report.machine("numpy", "faiss-cpu", "threatexchange", "pybktree")
        self.results["machine"] = machine
        lines = [
            *report.opening("The index", _READERS, f"bench index{' --quick' if self.quick else ''}", machine),
            f"The seed is {data.SEED}.",
            f"Each figure is the median of {self.rounds} rounds, which all engines ran in turn.",
            "Each engine ran in a separate process that loaded an index made by another process.",
            "Unless noted, times are processor time, which other work on the machine affects least, without the time "
            "of reading the clock.",
            "The results of every engine were compared with those of a scan.",
            f"The array of hashdb in memory was full ({FLUSH_SIZE:,} values); the rest was in files.",
            "",
        ]
        body = [
            *self.wide_values(),
            *self.narrow_values(),
            *self.sizes(),
            *self.ten_million(),
            *self.curves(),
        ]
        self.results["seconds"] = round(time.monotonic() - started)
        self.results["targets"] = [target._asdict() for target in self.targets]
        lines += ["## Targets", *report.targets(self.targets), *body]
        report.write("index", lines, self.results)

    def wide_values(self) -> list[str]:
        """Measure 1 M values of 256 bits at radius 31."""
        figures = self.compare("256", MILLION, 256, (31,), (*OURS, *SCANS, *PEERS))[31]
        for name, least, most in ((KERNEL, 11, 15), (PLAIN, 4, 5)):
            self.ratio(f"single, {name}, against PDQIndex", figures, PDQINDEX, name, "p50", least)
            self.ratio(f"batch of 1,000, {name}, against PDQIndex", figures, name, PDQINDEX, "rate", most)
        self.ratio(f"single, {PLAIN}, against pybktree", figures, PYBKTREE, PLAIN, "p50", 5_000)
        rows = [
            (
                name,
                number(each["p50"]),
                number(each["p99"]),
                number(each["wall_p50"]),
                f"{each['rate']:,.0f}" if "rate" in each else "",
                *(f"{figures[PDQINDEX]['p50'] / each['p50']:.2f}" if PDQINDEX in figures else "",),
            )
            for name, each in figures.items()
        ]
        heads = ("engine", "p50 µs", "p99 µs", "p50 µs elapsed", "queries/s in a batch", "PDQIndex ÷ this")
        return ["## 1 M values of 256 bits, radius 31", *report.table(heads, rows)]

    def narrow_values(self) -> list[str]:
        """Measure 1 M values of 64 bits."""
        chosen = (*OURS, *(peer for peer in PEERS if peer.name in (MULTIHASH, PYBKTREE)))
        figures = self.compare("64", MILLION, 64, RADII_64, chosen)
        for radius in RADII_64:
            for name, least in ((KERNEL, 15), (PLAIN, 5)):
                title = f"64 bits, radius {radius}, {name}, against MultiHash"
                self.ratio(title, figures[radius], MULTIHASH, name, "p50", least)
            title = f"64 bits, radius {radius}, {PLAIN}, against pybktree"
            self.ratio(title, figures[radius], PYBKTREE, PLAIN, "p50", 1_000)
        rows = [(name, *(number(figures[radius][name]["p50"]) for radius in RADII_64)) for name in figures[RADII_64[0]]]
        return [
            "## 1 M values of 64 bits",
            *report.table(("p50 µs", *(f"radius {radius}" for radius in RADII_64)), rows),
        ]

    def compare(
        self, name: str, count: int, bits: int, radii: Sequence[int], chosen: Sequence[Contender]
    ) -> dict[int, dict[str, dict[str, float]]]:
        """Measure engines in turns; return the figures of each engine by radius."""
        folder = self.values(name, count, bits, radii)
        words = np.load(folder / "values.npy", mmap_mode="r")
        build_seconds: dict[str, float] = {}
        rounds: dict[int, dict[str, dict[str, list[float]]]] = {
            radius: defaultdict(lambda: defaultdict(list)) for radius in radii
        }
        with ExitStack() as stack:
            processes: dict[Contender, Process] = {}
            for contender in chosen:
                if not installed(contender.engine) or (
                    contender.kernel and contender in (*OURS, *SCANS) and kernel() is None
                ):
                    _say(f"{contender.name} is skipped: it is not installed")
                    continue
                if contender.engine not in build_seconds:
                    build_seconds[contender.engine] = make(contender.engine, folder, max(radii))
                processes[contender] = stack.enter_context(
                    Process(contender.engine, folder, max(radii), kernel=contender.kernel)
                )
                build, load = build_seconds[contender.engine], processes[contender].loaded
                _say(f"{contender.name}: built in {build:.1f} s, loaded in {load:.2f} s")
            for radius in radii:
                for contender, process in processes.items():
                    self.check(contender, process, folder, words, radius)
            for _ in range(self.rounds):
                for radius in radii:
                    for contender, process in processes.items():
                        if contender.queries < 10 and rounds[radius][contender.name]["p50"]:
                            continue
                        figures = process.call("single", radius=radius, count=contender.queries)
                        if contender.batch:
                            figures |= process.call("batch", radius=radius, count=contender.batch)
                        for key, value in figures.items():
                            rounds[radius][contender.name][key].append(value)
        self.results[f"{name} bits, {count:,} values"] = rounds
        return {
            radius: {
                name: {key: statistics.median(values) for key, values in figures.items()}
                for name, figures in by_name.items()
            }
            for radius, by_name in rounds.items()
        }

    def check(self, contender: Contender, process: Process, folder: Path, words: Words, radius: int) -> None:
        """Compare the results of an engine with those of a scan. Raises SystemExit if they differ."""
        count = 2 if contender.queries < 10 else 10
        queries = np.load(folder / f"queries-{radius}.npy")[:count]
        expected = [[f"{value:x}" for value in data.matching_values(words, query, radius)] for query in queries]
        if process.call("check", radius=radius, count=count) != expected:
            raise SystemExit(f"{contender.name} returns wrong results at radius {radius}")

    def values(self, name: str, count: int, bits: int, radii: Sequence[int]) -> Path:
        """Write values and queries to a folder; return the folder."""
        folder = self.folder / name
        if not folder.exists():
            folder.mkdir()
            words = data.stored_values(count, bits)
            np.save(folder / "values.npy", words)
            for radius in radii:
                np.save(folder / f"queries-{radius}.npy", data.queries(words, 1_000, radius))
        return folder

    def ratio(
        self,
        title: str,
        figures: Mapping[str, Mapping[str, float]],
        numerator: str,
        denominator: str,
        key: str,
        least: float,
    ) -> None:
        """Add the target that a figure is at least `least` times another one."""
        if numerator in figures and denominator in figures:
            self.targets.append(at_least(title, least, figures[numerator][key] / figures[denominator][key], "×"))

    def sizes(self) -> list[str]:
        """Measure hashdb alone with 1 M values."""
        return self.alone(self.folder / "256", "1 M", {"bytes": 110, "kernel": 0.3, "plain": 0.5})

    def ten_million(self) -> list[str]:
        """Measure 10 M values of 256 bits."""
        if self.quick:
            return []
        figures = self.compare("10M", 10 * MILLION, 256, (31,), OURS)[31]
        for name, most in ((KERNEL, 200.0), (PLAIN, 1_200.0)):
            if name in figures:
                self.targets.append(at_most(f"10 M, single, {name}", most / 1000, figures[name]["p50"] / 1000, "ms"))
        rows = [
            (name, number(each["p50"]), number(each["p99"]), number(each["wall_p50"]), f"{each['rate']:,.0f}")
            for name, each in figures.items()
        ]
        heads = ("engine", "p50 µs", "p99 µs", "p50 µs elapsed", "queries/s in a batch")
        return [
            "## 10 M values of 256 bits, radius 31",
            *report.table(heads, rows),
            *self.alone(self.folder / "10M", "10 M", {"bytes": 125}),
        ]

    def alone(self, folder: Path, name: str, most: Mapping[str, float]) -> list[str]:
        """Measure building, opening, memory, threads, and queries while segments are written."""
        kernels = [True, False] if kernel() is not None else [False]
        built = {on: index_alone.measure("build", folder, 31, kernel=on)["seconds"] for on in kernels}
        for on, limit in ((True, "kernel"), (False, "plain")):
            if on in built and limit in most:
                self.targets.append(at_most(f"build {name}, {_engine(on)}", most[limit], built[on], "s"))
        kept = index_alone.measure("keep", folder, 31)
        size = (folder / "hashdb.segment").stat().st_size / len(np.load(folder / "values.npy", mmap_mode="r"))
        self.targets.append(at_most(f"a value at {name}", most["bytes"], size, "bytes"))
        opened = [index_alone.measure("open", folder, 31) for _ in range(5)]
        assert all(run["right"] for run in opened)
        took = statistics.median(run["milliseconds"] for run in opened)
        self.targets.append(at_most(f"open {name} to the first right answer", 50, took, "ms"))
        shares, threads = self.shared(folder), {on: self.threads(folder, on) for on in kernels}
        pauses = {on: measure_pauses(folder, on) for on in kernels[: 1 if self.quick else 2]}
        for on, phases in pauses.items():
            what = f"queries while {name} are written and merged, {_engine(on)}, p99 at a random moment"
            self.targets.append(at_most(what, 20, phases["all of these"]["wait"], "ms"))
        by_kernel = {"build": built, "threads": threads, "pauses": pauses}
        self.results[f"hashdb alone, {name}"] = {
            "keep": kept,
            "open": opened,
            "bytes a value": size,
            "pss": shares,
            **{step: {_engine(on): value for on, value in values.items()} for step, values in by_kernel.items()},
        }
        seconds = " and ".join(f"{value:.2f} s ({_engine(on)})" for on, value in built.items())
        twice = " and ".join(
            f"{two / one:.2f} times as many queries as one ({_engine(on)})" for on, (one, two) in threads.items()
        )
        memory = [
            (count, number(share["pss"] / 1e6), number(share["files"] / 1e6), number(share["own"] / count / 1e6))
            for count, share in shares.items()
        ]
        rows = [
            (
                _engine(on),
                phase,
                number(figures["seconds"]),
                f"{figures['queries']:,}",
                *(number(figures[key]) if key in figures else "" for key in ("p50", "p99", "wait", "max")),
            )
            for on, phases in pauses.items()
            for phase, figures in phases.items()
        ]
        return [
            f"### {name}: build, open, share memory",
            "",
            f"Building takes {seconds} of processor time; the files hold {size:.1f} bytes a value.",
            f"From opening the files to the first correct result it takes {took:.1f} ms.",
            f"Two threads answer {twice}.",
            *report.table(("processes", "MB in total (PSS)", "MB of files", "MB private to each"), memory),
            f"### {name}: queries while another thread writes segments, elapsed milliseconds",
            *report.table(
                ("engine", "meanwhile", "s", "queries", "p50", "p99", "p99 at a random moment", "longest"), rows
            ),
        ]

    def shared(self, folder: Path) -> dict[int, dict[str, float]]:
        """The memory of 1, 2 and 4 processes with the same files, each after many queries."""
        shares = {}
        for count in (1, 2, 4):
            with ExitStack() as stack:
                processes = [stack.enter_context(Process("hashdb", folder, 31)) for _ in range(count)]
                for process in processes:
                    process.call("batch", radius=31, count=1_000)
                memory = [process.call("memory") for process in processes]
            shares[count] = {key: float(sum(each[key] for each in memory)) for key in memory[0]}
        return shares

    def threads(self, folder: Path, on: bool) -> tuple[float, float]:
        """Single queries a second with one thread and with two."""
        with Process("hashdb", folder, 31, kernel=on) as process:
            pairs = [
                [process.call("threads", radius=31, count=count, seconds=0.5)["rate"] for count in (1, 2)]
                for _ in range(self.rounds)
            ]
        return statistics.median(one for one, _ in pairs), statistics.median(two for _, two in pairs)

    def curves(self) -> list[str]:
        """Measure the time by the number of values and by the radius, and plot it."""
        sizes = [10_000, 100_000, MILLION] + ([] if self.quick else [30_000, 300_000, 3 * MILLION, 10 * MILLION])
        chosen = [contender for contender in (*OURS, SCANS[0]) if not contender.kernel or kernel() is not None]
        by_values: dict[str, list[tuple[float, float]]] = defaultdict(list)
        memory: list[tuple[float, float]] = []
        for count in sorted(sizes):
            folder = self.values({MILLION: "256", 10 * MILLION: "10M"}.get(count, str(count)), count, 256, (31,))
            self.measure_point(folder, 31, chosen, by_values, count)
            memory.append((count, (folder / "hashdb.segment").stat().st_size / count))
        by_radius: dict[str, list[tuple[float, float]]] = defaultdict(list)
        words = np.load(self.folder / "256" / "values.npy")
        for radius in WIDE[:: 2 if self.quick else 1]:
            folder = self.folder / f"radius-{radius}"
            folder.mkdir()
            (folder / "values.npy").hardlink_to(self.folder / "256" / "values.npy")
            np.save(folder / f"queries-{radius}.npy", data.queries(words, 300, radius))
            self.measure_point(folder, radius, chosen, by_radius, radius)
        self.results["by values"], self.results["by radius"], self.results["memory"] = by_values, by_radius, memory
        for name, title, across, curves, log in (
            (_PICTURES[0], "One query, 256 bits, radius 31", "values", by_values, True),
            (_PICTURES[1], "One query, 1 M values of 256 bits", "radius, bits", by_radius, False),
        ):
            lines = [Line(contender, points) for contender, points in curves.items()]
            report.plot(name, title, across, "p50, µs", lines, log_across=log)
        report.plot(_PICTURES[2], "Files of the index", "values", "bytes a value", [Line("hashdb", memory)])
        return ["## Curves", "", *(f"![{name.replace('-', ' ')}]({name}.svg)" for name in _PICTURES)]

    def measure_point(
        self,
        folder: Path,
        radius: int,
        chosen: Sequence[Contender],
        points_by_name: dict[str, list[tuple[float, float]]],
        x: int,
    ) -> None:
        """Add the median of each engine at a point of a curve, with files that are built for this radius."""
        for name in {contender.engine for contender in chosen}:
            make(name, folder, radius)
        words = np.load(folder / "values.npy", mmap_mode="r")
        for contender in chosen:
            with Process(contender.engine, folder, radius, kernel=contender.kernel) as process:
                self.check(contender, process, folder, words, radius)
                rounds = [process.call("single", radius=radius, count=min(100, contender.queries)) for _ in range(3)]
            points_by_name[contender.name].append((x, statistics.median(figures["p50"] for figures in rounds)))


def measure_pauses(folder: Path, on: bool) -> dict[str, Any]:
    """Measure queries while segments are written, on a copy of the segment store, because merging removes files."""
    copy = folder / f"pauses-{on}"
    (copy / "segments").mkdir(parents=True)
    for path in [*(folder / "segments").iterdir(), *folder.glob("*.npy")]:
        (copy / path.relative_to(folder)).hardlink_to(path)
    return index_alone.measure("pauses", copy, 31, kernel=on)


def _engine(kernel: bool) -> str:
    return "kernel" if kernel else "NumPy"


def _say(text: str) -> None:
    print(f"hashdb: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
