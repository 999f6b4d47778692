"""The index beside its peers: prints a table, and writes docs/benchmarks/index.md, index.json and plots."""

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

from hashdb.index.kernel import kernel
from hashdb.index.tiered import FLUSH_SIZE
from hashdb.index.vectors import Words
from scripts.benchmarks import data, index_alone, report
from scripts.benchmarks.engines import Process, installed, make
from scripts.benchmarks.report import Line, Target, at_least, at_most, number

MILLION = 1_000_000
RADII_64 = (4, 6, 8, 10)
WIDE = (8, 16, 24, 31, 40, 44, 50, 60)
_READERS = "For contributors and operators: how fast the index is beside comparable software, and what it needs."
_PICTURES = ("index-by-values", "index-by-radius", "index-memory")


class Contender(NamedTuple):
    """An engine, with or without the kernel where it is ours, and how many queries a round takes."""

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
KERNEL, PLAIN, PDQINDEX, MULTIHASH, _, PYBKTREE = (one.name for one in (*OURS, *PEERS))


def main() -> None:
    """Measure it all, in one run."""
    parser = argparse.ArgumentParser(prog="scripts/bench index", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1 M values only, fewer queries: under two minutes")
    quick = parser.parse_args().quick
    if kernel() is None:
        _say("the kernel was not built here: only NumPy is measured")
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as folder:
        _Run(Path(folder), quick).report()


class _Run:
    """One run, whose values stand in a folder of its own."""

    def __init__(self, folder: Path, quick: bool) -> None:
        self.folder, self.quick, self.rounds = folder, quick, 3 if quick else 7
        self.results: dict[str, Any] = {"seed": data.SEED, "quick": quick, "rounds": self.rounds}
        self.targets: list[Target] = []
        _say(f"seed {data.SEED}, {self.rounds} rounds, values in {folder}")

    def report(self) -> None:
        """Measure and write."""
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
            "Every engine's answers were compared with those of a scan.",
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
        self.results["targets"] = [one._asdict() for one in self.targets]
        lines += ["## Targets", *report.targets(self.targets), *body]
        report.write("index", lines, self.results)

    def wide_values(self) -> list[str]:
        """256 bits, 1 M values, radius 31."""
        found = self.compare("256", MILLION, 256, (31,), (*OURS, *SCANS, *PEERS))[31]
        for name, least, most in ((KERNEL, 11, 15), (PLAIN, 4, 5)):
            self.ratio(f"single, {name}, against PDQIndex", found, PDQINDEX, name, "p50", least)
            self.ratio(f"batch of 1,000, {name}, against PDQIndex", found, name, PDQINDEX, "rate", most)
        self.ratio(f"single, {PLAIN}, against pybktree", found, PYBKTREE, PLAIN, "p50", 5_000)
        rows = [
            (
                name,
                number(one["p50"]),
                number(one["p99"]),
                number(one["wall_p50"]),
                f"{one['rate']:,.0f}" if "rate" in one else "",
                *(f"{found[PDQINDEX]['p50'] / one['p50']:.2f}" if PDQINDEX in found else "",),
            )
            for name, one in found.items()
        ]
        heads = ("engine", "p50 µs", "p99 µs", "p50 µs elapsed", "queries/s in a batch", "PDQIndex ÷ this")
        return ["## 1 M values of 256 bits, radius 31", *report.table(heads, rows)]

    def narrow_values(self) -> list[str]:
        """64 bits, 1 M values."""
        chosen = (*OURS, *(one for one in PEERS if one.name in (MULTIHASH, PYBKTREE)))
        found = self.compare("64", MILLION, 64, RADII_64, chosen)
        for radius in RADII_64:
            for name, least in ((KERNEL, 15), (PLAIN, 5)):
                what = f"64 bits, radius {radius}, {name}, against MultiHash"
                self.ratio(what, found[radius], MULTIHASH, name, "p50", least)
            what = f"64 bits, radius {radius}, {PLAIN}, against pybktree"
            self.ratio(what, found[radius], PYBKTREE, PLAIN, "p50", 1_000)
        rows = [(name, *(number(found[radius][name]["p50"]) for radius in RADII_64)) for name in found[RADII_64[0]]]
        return [
            "## 1 M values of 64 bits",
            *report.table(("p50 µs", *(f"radius {radius}" for radius in RADII_64)), rows),
        ]

    def compare(
        self, name: str, count: int, bits: int, radii: Sequence[int], chosen: Sequence[Contender]
    ) -> dict[int, dict[str, dict[str, float]]]:
        """Each engine's figures, by radius, all in turns."""
        folder = self.values(name, count, bits, radii)
        words = np.load(folder / "values.npy", mmap_mode="r")
        made: dict[str, float] = {}
        rounds: dict[int, dict[str, dict[str, list[float]]]] = {
            radius: defaultdict(lambda: defaultdict(list)) for radius in radii
        }
        with ExitStack() as stack:
            processes: dict[Contender, Process] = {}
            for one in chosen:
                if not installed(one.engine) or (one.kernel and one in (*OURS, *SCANS) and kernel() is None):
                    _say(f"{one.name} is left out: it is not installed")
                    continue
                if one.engine not in made:
                    made[one.engine] = make(one.engine, folder, max(radii))
                processes[one] = stack.enter_context(Process(one.engine, folder, max(radii), kernel=one.kernel))
                _say(f"{one.name}: made in {made[one.engine]:.1f} s, loaded in {processes[one].loaded:.2f} s")
            for radius in radii:
                for one, process in processes.items():
                    self.check(one, process, folder, words, radius)
            for _ in range(self.rounds):
                for radius in radii:
                    for one, process in processes.items():
                        if one.queries < 10 and rounds[radius][one.name]["p50"]:
                            continue
                        took = process.call("single", radius=radius, count=one.queries)
                        if one.batch:
                            took |= process.call("batch", radius=radius, count=one.batch)
                        for key, value in took.items():
                            rounds[radius][one.name][key].append(value)
        self.results[f"{name} bits, {count:,} values"] = rounds
        return {
            radius: {who: {key: statistics.median(each) for key, each in one.items()} for who, one in found.items()}
            for radius, found in rounds.items()
        }

    def check(self, one: Contender, process: Process, folder: Path, words: Words, radius: int) -> None:
        """Compare an engine's answers with a scan's."""
        count = 2 if one.queries < 10 else 10
        asked = np.load(folder / f"queries-{radius}.npy")[:count]
        right = [[f"{value:x}" for value in data.matching_values(words, query, radius)] for query in asked]
        if process.call("check", radius=radius, count=count) != right:
            raise SystemExit(f"{one.name} answers wrongly at radius {radius}")

    def values(self, name: str, count: int, bits: int, radii: Sequence[int]) -> Path:
        """A folder with values and queries."""
        folder = self.folder / name
        if not folder.exists():
            folder.mkdir()
            words = data.stored_values(count, bits)
            np.save(folder / "values.npy", words)
            for radius in radii:
                np.save(folder / f"queries-{radius}.npy", data.queries(words, 1_000, radius))
        return folder

    def ratio(
        self, what: str, found: Mapping[str, Mapping[str, float]], above: str, below: str, key: str, least: float
    ) -> None:
        """Whether one figure is at least so many times another."""
        if above in found and below in found:
            self.targets.append(at_least(what, least, found[above][key] / found[below][key], "×"))

    def sizes(self) -> list[str]:
        """What hashdb alone shows at 1 M values."""
        return self.alone(self.folder / "256", "1 M", {"bytes": 110, "kernel": 0.3, "plain": 0.5})

    def ten_million(self) -> list[str]:
        """10 M values of 256 bits."""
        if self.quick:
            return []
        found = self.compare("10M", 10 * MILLION, 256, (31,), OURS)[31]
        for name, most in ((KERNEL, 200.0), (PLAIN, 1_200.0)):
            if name in found:
                self.targets.append(at_most(f"10 M, single, {name}", most / 1000, found[name]["p50"] / 1000, "ms"))
        rows = [
            (name, number(one["p50"]), number(one["p99"]), number(one["wall_p50"]), f"{one['rate']:,.0f}")
            for name, one in found.items()
        ]
        heads = ("engine", "p50 µs", "p99 µs", "p50 µs elapsed", "queries/s in a batch")
        return [
            "## 10 M values of 256 bits, radius 31",
            *report.table(heads, rows),
            *self.alone(self.folder / "10M", "10 M", {"bytes": 125}),
        ]

    def alone(self, folder: Path, name: str, most: Mapping[str, float]) -> list[str]:
        """Building, opening, memory, threads, and queries while segments are written."""
        kernels = [True, False] if kernel() is not None else [False]
        built = {on: index_alone.measure("build", folder, 31, kernel=on)["seconds"] for on in kernels}
        for on, limit in ((True, "kernel"), (False, "plain")):
            if on in built and limit in most:
                self.targets.append(at_most(f"build {name}, {_engine(on)}", most[limit], built[on], "s"))
        kept = index_alone.measure("keep", folder, 31)
        size = (folder / "hashdb.segment").stat().st_size / len(np.load(folder / "values.npy", mmap_mode="r"))
        self.targets.append(at_most(f"a value at {name}", most["bytes"], size, "bytes"))
        opened = [index_alone.measure("open", folder, 31) for _ in range(5)]
        assert all(one["right"] for one in opened)
        took = statistics.median(one["milliseconds"] for one in opened)
        self.targets.append(at_most(f"open {name} to the first right answer", 50, took, "ms"))
        shares, threads = self.shared(folder), {on: self.threads(folder, on) for on in kernels}
        pauses = {on: own_pauses(folder, on) for on in kernels[: 1 if self.quick else 2]}
        for on, phases in pauses.items():
            what = f"queries while {name} are written and merged, {_engine(on)}, p99 at a random moment"
            self.targets.append(at_most(what, 20, phases["all of these"]["wait"], "ms"))
        by_kernel = {"build": built, "threads": threads, "pauses": pauses}
        self.results[f"hashdb alone, {name}"] = {
            "keep": kept,
            "open": opened,
            "bytes a value": size,
            "pss": shares,
            **{what: {_engine(on): one for on, one in each.items()} for what, each in by_kernel.items()},
        }
        seconds = " and ".join(f"{one:.2f} s ({_engine(on)})" for on, one in built.items())
        twice = " and ".join(
            f"{two / one:.2f} times as many queries as one ({_engine(on)})" for on, (one, two) in threads.items()
        )
        memory = [
            (many, number(one["pss"] / 1e6), number(one["files"] / 1e6), number(one["own"] / many / 1e6))
            for many, one in shares.items()
        ]
        rows = [
            (
                _engine(on),
                phase,
                number(one["seconds"]),
                f"{one['queries']:,}",
                *(number(one[key]) if key in one else "" for key in ("p50", "p99", "wait", "max")),
            )
            for on, phases in pauses.items()
            for phase, one in phases.items()
        ]
        return [
            f"### {name}: build, open, share memory",
            "",
            f"Building takes {seconds} of processor time; the files hold {size:.1f} bytes a value.",
            f"From opening the files to the first right answer it takes {took:.1f} ms.",
            f"Two threads answer {twice}.",
            *report.table(("processes", "MB in total (PSS)", "MB of files", "MB private to each"), memory),
            f"### {name}: queries while another thread writes segments, elapsed milliseconds",
            *report.table(
                ("engine", "meanwhile", "s", "queries", "p50", "p99", "p99 at a random moment", "longest"), rows
            ),
        ]

    def shared(self, folder: Path) -> dict[int, dict[str, float]]:
        """Memory of 1, 2 and 4 processes over the same files, each after many queries."""
        shares = {}
        for many in (1, 2, 4):
            with ExitStack() as stack:
                processes = [stack.enter_context(Process("hashdb", folder, 31)) for _ in range(many)]
                for process in processes:
                    process.call("batch", radius=31, count=1_000)
                each = [process.call("memory") for process in processes]
            shares[many] = {key: float(sum(one[key] for one in each)) for key in each[0]}
        return shares

    def threads(self, folder: Path, on: bool) -> tuple[float, float]:
        """Single queries a second by one thread and by two."""
        with Process("hashdb", folder, 31, kernel=on) as process:
            pairs = [
                [process.call("threads", radius=31, count=many, seconds=0.5)["rate"] for many in (1, 2)]
                for _ in range(self.rounds)
            ]
        return statistics.median(one for one, _ in pairs), statistics.median(two for _, two in pairs)

    def curves(self) -> list[str]:
        """Time against the number of values and against the radius."""
        sizes = [10_000, 100_000, MILLION] + ([] if self.quick else [30_000, 300_000, 3 * MILLION, 10 * MILLION])
        chosen = [one for one in (*OURS, SCANS[0]) if not one.kernel or kernel() is not None]
        by_values: dict[str, list[tuple[float, float]]] = defaultdict(list)
        memory: list[tuple[float, float]] = []
        for count in sorted(sizes):
            folder = self.values({MILLION: "256", 10 * MILLION: "10M"}.get(count, str(count)), count, 256, (31,))
            self.measured(folder, 31, chosen, by_values, count)
            memory.append((count, (folder / "hashdb.segment").stat().st_size / count))
        by_radius: dict[str, list[tuple[float, float]]] = defaultdict(list)
        words = np.load(self.folder / "256" / "values.npy")
        for radius in WIDE[:: 2 if self.quick else 1]:
            folder = self.folder / f"radius-{radius}"
            folder.mkdir()
            (folder / "values.npy").hardlink_to(self.folder / "256" / "values.npy")
            np.save(folder / f"queries-{radius}.npy", data.queries(words, 300, radius))
            self.measured(folder, radius, chosen, by_radius, radius)
        self.results["by values"], self.results["by radius"], self.results["memory"] = by_values, by_radius, memory
        for name, title, across, found, log in (
            (_PICTURES[0], "One query, 256 bits, radius 31", "values", by_values, True),
            (_PICTURES[1], "One query, 1 M values of 256 bits", "radius, bits", by_radius, False),
        ):
            lines = [Line(who, points) for who, points in found.items()]
            report.plot(name, title, across, "p50, µs", lines, log_across=log)
        report.plot(_PICTURES[2], "Files of the index", "values", "bytes a value", [Line("hashdb", memory)])
        return ["## Curves", "", *(f"![{name.replace('-', ' ')}]({name}.svg)" for name in _PICTURES)]

    def measured(
        self,
        folder: Path,
        radius: int,
        chosen: Sequence[Contender],
        into: dict[str, list[tuple[float, float]]],
        at: int,
    ) -> None:
        """Each engine's median at one point of a curve, over files made for this radius."""
        for name in {one.engine for one in chosen}:
            make(name, folder, radius)
        words = np.load(folder / "values.npy", mmap_mode="r")
        for one in chosen:
            with Process(one.engine, folder, radius, kernel=one.kernel) as process:
                self.check(one, process, folder, words, radius)
                rounds = [process.call("single", radius=radius, count=min(100, one.queries)) for _ in range(3)]
            into[one.name].append((at, statistics.median(took["p50"] for took in rounds)))


def own_pauses(folder: Path, on: bool) -> dict[str, Any]:
    """Queries while segments are written, over a copy of the segment store: merging removes what it merged."""
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
