"""The whole service under load: prints tables, and writes docs/benchmarks/http.md and http.json."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hashdb.index.kernel import kernel
from hashdb.index.vectors import Words
from hashdb.settings import Settings
from scripts import bench_against
from scripts.benchmarks import data, report, service
from scripts.benchmarks.engines import ROOT
from scripts.benchmarks.load import Load, LoadResult, Sending, client, send
from scripts.benchmarks.report import Target, number
from tests.postgres import PostgresMissing, postgres_server
from tests.serving import serving

WORKERS = 2
CLIENTS = (1, 8, 32)
_SINGLE, _BATCH = 2_000.0, 20_000.0
_CONTRIBUTED = 5_000.0
_HEADS = ("what", "clients", "requests/s", "items/s", "p50 ms", "p99 ms", "processor µs an item")
_PHOTO = ROOT / "hashdb" / "photos" / "casa-mila.jpg"


def main() -> None:
    """Measure it all, in one run."""
    parser = argparse.ArgumentParser(prog="scripts/bench http", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter rounds: under two minutes")
    parser.add_argument("--values", type=int, default=1_000_000, help="how many are stored (default: 1 M)")
    parser.add_argument("--against", metavar="REV", help="a revision to measure beside, in turns: writes against.md")
    arguments = parser.parse_args()
    if arguments.against:
        return bench_against.compare(arguments.against, arguments.quick, arguments.values)
    folder = Path(tempfile.mkdtemp(prefix="hashdb-bench-"))
    try:
        _Run(folder, arguments.quick, arguments.values).report()
    finally:
        shutil.rmtree(folder)


class _Run:
    """One run, over homes in a folder of its own."""

    def __init__(self, folder: Path, quick: bool, values: int) -> None:
        self.folder, self.quick, self.count = folder, quick, values
        self.seconds, self.rounds = (2.0, 1) if quick else (4.0, 3)
        self.rng = np.random.default_rng(data.SEED)
        self.results: dict[str, Any] = {"seed": data.SEED, "quick": quick, "workers": WORKERS, "client": client()}
        self.targets: list[Target] = []
        self.work: dict[str, float] = {}
        """Processor time (µs) of the service for one request of one client, HTTP included; SQLite."""

    def report(self) -> None:
        """Measure and write."""
        self.results["machine"] = machine = report.machine("flask", "gunicorn", "sqlalchemy", "pydantic", "numpy")
        words = data.stored_values(self.count, 256)
        body = self.sqlite(words) + self.postgres(words[: self.count // 10] if self.quick else words)
        self.results["targets"] = [one._asdict() for one in self.targets]
        lines = [
            "# The service, measured",
            "",
            "For operators and contributors: how many requests a second the service answers, and where the time goes.",
            "",
            f"Written by `./scripts/bench http{' --quick' if self.quick else ''}`; do not edit.",
            report.machine_sentence(machine),
            f"The service is `hashdb serve --workers {WORKERS}` on loopback with {self.count:,} PDQ values; the index "
            f"uses {'the kernel' if kernel() else 'NumPy'}.",
            f"The client is {client()}, on the same cores.",
            "One query in ten has a match.",
            f"Each figure is the median of {self.rounds} rounds of {self.seconds:.0f} s.",
            "",
            "## Targets",
            *report.targets(self.targets),
            *body,
        ]
        report.write("http", lines, self.results)

    def sqlite(self, words: Words) -> list[str]:
        """Everything, on SQLite."""
        home = self.folder / "home"
        home.mkdir(mode=0o700)
        started = time.monotonic()
        key = service.fill(f"sqlite:///{home / 'hashdb.sqlite'}", Settings().rules(), words)
        _say(f"{self.count:,} contributions stored in {time.monotonic() - started:.0f} s")
        started = time.monotonic()
        with serving(home, workers=WORKERS) as url:
            _say(f"the service is ready after {time.monotonic() - started:.1f} s, index included")
            rows = [
                *self.matching(url, key, words),
                *self.contributing("SQLite", url, key, words),
                *self.pictures(url, key),
            ]
        lines = ["## SQLite", *report.table(_HEADS, rows)]
        return [*lines, *self.parts(home, key, words)]

    def postgres(self, words: Words) -> list[str]:
        """What the store has a part in, on PostgreSQL where there is one."""
        home = self.folder / "postgres-home"
        home.mkdir(mode=0o700)
        try:
            with postgres_server() as server, server.new_database() as database:
                _say(f"PostgreSQL: {len(words):,} contributions are stored")
                subprocess.run(
                    [sys.executable, "-m", "hashdb", "upgrade"],
                    check=True, stdout=subprocess.DEVNULL,
                    env=os.environ | {"HASHDB_HOME": str(home), "HASHDB_DATABASE_URL": database},
                )  # fmt: skip
                key = service.fill(database, Settings().rules(), words)
                with serving(home, workers=WORKERS, HASHDB_DATABASE_URL=database) as url:
                    rows = [*self.matching(url, key, words), *self.contributing("PostgreSQL", url, key, words)]
        except PostgresMissing as error:
            _say(f"PostgreSQL is left out: {error}")
            return []
        said = (
            f"PostgreSQL has {len(words):,} values and runs without `fsync`, as the tests start it, so the figures"
            " include no waiting for a disk."
        )
        return ["", "## PostgreSQL", "", said, *report.table(_HEADS, rows)]

    def matching(self, url: str, key: str, words: Words) -> list[Sequence[object]]:
        """Matches one by one and in batches."""
        rows: list[Sequence[object]] = []
        single = Load(f"{url}/v1/matches", process(), key, service.match_bodies(words, 2_000, 1))
        send(single, 8, 1)
        best = 0.0
        for clients in CLIENTS:
            told = self.rounds_of(single, clients)
            best = max(best, told.rate)
            rows.append(_row("match one", clients, told, 1))
            self.work.setdefault("match one", told.work)
        many = Load(f"{url}/v1/matches", process(), key, service.match_bodies(words, 20, 1_000))
        most = 0.0
        # A key may have five large requests under way in a worker: more are told to come again.
        for clients in (1, 2, 4):
            told = self.rounds_of(many, clients)
            most = max(most, told.rate * 1_000)
            rows.append(_row("match 1,000", clients, told, 1_000))
        where = "PostgreSQL" if self.targets else "SQLite"
        self.target(f"single matches/s, {where}", _SINGLE, best)
        self.target(f"matched hashes/s in batches, {where}", _BATCH, most)
        return rows

    def contributing(self, where: str, url: str, key: str, words: Words) -> list[Sequence[object]]:
        """Contributions one by one and in batches, and matches meanwhile."""
        rows: list[Sequence[object]] = []
        address = f"{url}/v1/contributions"
        for clients in (1, 8):
            told = send(
                Load(address, process(), key, list(service.contribute_bodies(self.rng, 6_000, 1))),
                clients,
                self.seconds,
            )
            rows.append(_row("contribute one", clients, told, 1))
        batches = Load(address, process(), key, list(service.contribute_bodies(self.rng, 60, 1_000)))
        told = send(batches, 2, self.seconds)
        rows.append(_row("contribute 1,000", 2, told, 1_000))
        self.target(f"contributions/s in batches, {where}", _CONTRIBUTED, told.rate * 1_000)
        if self.quick and where == "PostgreSQL":
            return rows
        single = Load(f"{url}/v1/matches", process(), key, service.match_bodies(words, 2_000, 1))
        for size, many in ((1, 6_000), (1_000, 60)):
            kept, added = [], []
            for _ in range(self.rounds):
                # Alone before and after, so that other work on the machine falls on both.
                before = send(single, 8, self.seconds).rate
                arriving = Load(address, process(), key, list(service.contribute_bodies(self.rng, many, size)))
                with Sending(arriving, 1, self.seconds + 1) as sending:
                    told = send(single, 8, self.seconds)
                    added.append(sending.result().rate * size)
                kept.append(2 * told.rate / (before + send(single, 8, self.seconds).rate))
            how = "one by one" if size == 1 else f"by {size:,}"
            what = f"match one while {statistics.median(added):,.0f} contributions/s arrive {how}"
            rows.append(_row(what, 8, told, 1))
            share = statistics.median(kept)
            self.targets.append(Target(f"{where}: {what}", "≥ 67 % of alone", f"{share:.0%}", share >= 0.67))
        return rows

    def pictures(self, url: str, key: str) -> list[Sequence[object]]:
        """Matches of a picture, which is hashed by the service."""
        body, content_type = service.picture_form(_PHOTO.read_bytes())
        load = Load(f"{url}/v1/matches/media", process(), key, [body], content_type)
        return [_row("match a picture", clients, self.rounds_of(load, clients), 1) for clients in (1, 4)]

    def parts(self, home: Path, key: str, words: Words) -> list[str]:
        """Where the time of a request goes."""
        found: dict[str, dict[str, float]] = {}
        bodies = {
            "match one": service.match_bodies(words, 2_200, 1),
            "match 1,000": service.match_bodies(words, 40 if self.quick else 220, 1_000),
        }
        for name, some in bodies.items():
            folder = self.folder / f"bodies-{name.replace(' ', '-').replace(',', '')}"
            folder.mkdir()
            for number_, body in enumerate(some):
                (folder / f"{number_:06}").write_bytes(body)
            words_ = [sys.executable, "-m", "scripts.benchmarks.request_parts", str(home), key, str(folder)]
            kept = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith("HASHDB_") or name == "HASHDB_KERNEL"
            }
            found[name] = json.loads(subprocess.check_output(words_, cwd=ROOT, env=kept | {"OMP_NUM_THREADS": "1"}))
        # Of a batch it is less than what the two measurements differ by.
        server = self.work["match one"] - found["match one"]["all"]
        self.results["server"] = server
        self.results["parts"] = found
        rows = [(part, *(number(found[name][part]) for name in found)) for part in next(iter(found.values()))]
        return [
            "## Where the time of a request goes",
            "",
            "Microseconds, in one process without HTTP.",
            *report.table(("part", *found), rows),
            "",
            f"In the service, a single match of one client takes {number(server)} µs more of processor time: "
            "for HTTP in gunicorn, and for switching threads.",
        ]

    def rounds_of(self, load: Load, clients: int) -> LoadResult:
        """The medians of the rounds."""
        each = [send(load, clients, self.seconds) for _ in range(self.rounds)]
        told = LoadResult(*(statistics.median(column) for column in zip(*each, strict=True)))
        self.results.setdefault("rounds", []).append(
            [load.url.rpartition("/v1")[2], clients, len(load.bodies[0]), each]
        )
        return told

    def target(self, what: str, least: float, measured: float) -> None:
        """Whether so many a second are reached."""
        self.targets.append(Target(what, f"≥ {least:,.0f}", f"{measured:,.0f}", measured >= least))


def _row(what: str, clients: int, told: LoadResult, items: int) -> tuple[object, ...]:
    _say(f"{what}, {clients} clients: {told.rate * items:,.0f} a second")
    return (
        what,
        clients,
        f"{told.rate:,.1f}",
        f"{told.rate * items:,.0f}",
        number(told.p50),
        number(told.p99),
        number(told.work / items),
    )


def process() -> int:
    """The service that `serving` started: the only child of this process that serves."""
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            return int(child)
    raise RuntimeError("the service is gone")


def _say(text: str) -> None:
    print(f"hashdb: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
