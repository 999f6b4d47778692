"""Measure the whole service under load: print tables, and write docs/benchmarks/http.md and http.json."""

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
_SINGLES_A_SECOND, _HASHES_A_SECOND = 2_000.0, 20_000.0
_CONTRIBUTIONS_A_SECOND = 5_000.0
_COLUMNS = ("what", "clients", "requests/s", "items/s", "p50 ms", "p99 ms", "processor µs an item")
_PHOTO = ROOT / "hashdb" / "photos" / "casa-mila.jpg"


def main() -> None:
    """Measure everything in one run."""
    parser = argparse.ArgumentParser(prog="scripts/bench http", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="use shorter rounds: under two minutes")
    parser.add_argument("--values", type=int, default=1_000_000, help="number of stored values (default: 1 M)")
    parser.add_argument("--against", metavar="REV", help="revision to compare with, in turns; writes against.md")
    arguments = parser.parse_args()
    if arguments.against:
        return bench_against.compare(arguments.against, arguments.quick, arguments.values)
    folder = Path(tempfile.mkdtemp(prefix="hashdb-bench-"))
    try:
        _Run(folder, arguments.quick, arguments.values).report()
    finally:
        shutil.rmtree(folder)


class _Run:
    """One run, with homes in a separate folder."""

    def __init__(self, folder: Path, quick: bool, values: int) -> None:
        self.folder, self.quick, self.count = folder, quick, values
        self.seconds, self.rounds = (2.0, 1) if quick else (4.0, 3)
        self.rng = np.random.default_rng(data.SEED)
        self.results: dict[str, Any] = {"seed": data.SEED, "quick": quick, "workers": WORKERS, "client": client()}
        self.targets: list[Target] = []
        self.work: dict[str, float] = {}
        """Processor time of the service (µs) for a request of one client, including HTTP; with SQLite."""

    def report(self) -> None:
        """Measure, and write the page."""
        self.results["machine"] = machine = report.machine("flask", "gunicorn", "sqlalchemy", "pydantic", "numpy")
        words = data.stored_values(self.count, 256)
        body = self.sqlite(words) + self.postgres(words[: self.count // 10] if self.quick else words)
        self.results["targets"] = [target._asdict() for target in self.targets]
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
        """Measure everything with SQLite."""
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
        lines = ["## SQLite", *report.table(_COLUMNS, rows)]
        return [*lines, *self.parts(home, key, words)]

    def postgres(self, words: Words) -> list[str]:
        """Measure with PostgreSQL what depends on the store; skip it without PostgreSQL."""
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
            _say(f"PostgreSQL is skipped: {error}")
            return []
        sentence = (
            f"PostgreSQL has {len(words):,} values and runs without `fsync`, as the tests start it, so the figures"
            " include no waiting for a disk."
        )
        return ["", "## PostgreSQL", "", sentence, *report.table(_COLUMNS, rows)]

    def matching(self, url: str, key: str, words: Words) -> list[Sequence[object]]:
        """Measure single matches and batches of matches."""
        rows: list[Sequence[object]] = []
        single = Load(f"{url}/v1/matches", process(), key, service.match_bodies(words, 2_000, 1))
        send(single, 8, 1)
        best = 0.0
        for clients in CLIENTS:
            result = self.rounds_of(single, clients)
            best = max(best, result.rate)
            rows.append(_row("match one", clients, result, 1))
            self.work.setdefault("match one", result.work)
        batches = Load(f"{url}/v1/matches", process(), key, service.match_bodies(words, 20, 1_000))
        most = 0.0
        # A worker rejects more than five large requests of a key at the same time.
        for clients in (1, 2, 4):
            result = self.rounds_of(batches, clients)
            most = max(most, result.rate * 1_000)
            rows.append(_row("match 1,000", clients, result, 1_000))
        where = "PostgreSQL" if self.targets else "SQLite"
        self.target(f"single matches/s, {where}", _SINGLES_A_SECOND, best)
        self.target(f"matched hashes/s in batches, {where}", _HASHES_A_SECOND, most)
        return rows

    def contributing(self, database: str, url: str, key: str, words: Words) -> list[Sequence[object]]:
        """Measure single contributions and batches, and matches while contributions arrive."""
        rows: list[Sequence[object]] = []
        address = f"{url}/v1/contributions"
        for clients in (1, 8):
            result = send(
                Load(address, process(), key, list(service.contribute_bodies(self.rng, 6_000, 1))),
                clients,
                self.seconds,
            )
            rows.append(_row("contribute one", clients, result, 1))
        batches = Load(address, process(), key, list(service.contribute_bodies(self.rng, 60, 1_000)))
        result = send(batches, 2, self.seconds)
        rows.append(_row("contribute 1,000", 2, result, 1_000))
        self.target(f"contributions/s in batches, {database}", _CONTRIBUTIONS_A_SECOND, result.rate * 1_000)
        if self.quick and database == "PostgreSQL":
            return rows
        single = Load(f"{url}/v1/matches", process(), key, service.match_bodies(words, 2_000, 1))
        for size, bodies_count in ((1, 6_000), (1_000, 60)):
            shares, added = [], []
            for _ in range(self.rounds):
                # Measure without contributions before and after, so that other work on the machine affects both.
                before = send(single, 8, self.seconds).rate
                arriving = Load(address, process(), key, list(service.contribute_bodies(self.rng, bodies_count, size)))
                with Sending(arriving, 1, self.seconds + 1) as sending:
                    result = send(single, 8, self.seconds)
                    added.append(sending.result().rate * size)
                shares.append(2 * result.rate / (before + send(single, 8, self.seconds).rate))
            how = "one by one" if size == 1 else f"by {size:,}"
            what = f"match one while {statistics.median(added):,.0f} contributions/s arrive {how}"
            rows.append(_row(what, 8, result, 1))
            share = statistics.median(shares)
            self.targets.append(Target(f"{database}: {what}", "≥ 67 % of alone", f"{share:.0%}", share >= 0.67))
        return rows

    def pictures(self, url: str, key: str) -> list[Sequence[object]]:
        """Measure matches of a picture, which the service hashes."""
        body, content_type = service.picture_form(_PHOTO.read_bytes())
        load = Load(f"{url}/v1/matches/media", process(), key, [body], content_type)
        return [_row("match a picture", clients, self.rounds_of(load, clients), 1) for clients in (1, 4)]

    def parts(self, home: Path, key: str, words: Words) -> list[str]:
        """Measure the parts of a request."""
        parts: dict[str, dict[str, float]] = {}
        bodies = {
            "match one": service.match_bodies(words, 2_200, 1),
            "match 1,000": service.match_bodies(words, 40 if self.quick else 220, 1_000),
        }
        for name, requests in bodies.items():
            folder = self.folder / f"bodies-{name.replace(' ', '-').replace(',', '')}"
            folder.mkdir()
            for index, body in enumerate(requests):
                (folder / f"{index:06}").write_bytes(body)
            command = [sys.executable, "-m", "scripts.benchmarks.request_parts", str(home), key, str(folder)]
            variables = {
                name: value
                for name, value in os.environ.items()
                if not name.startswith("HASHDB_") or name == "HASHDB_KERNEL"
            }
            parts[name] = json.loads(
                subprocess.check_output(command, cwd=ROOT, env=variables | {"OMP_NUM_THREADS": "1"})
            )
        # For a batch, this time is smaller than the difference between two measurements.
        server = self.work["match one"] - parts["match one"]["all"]
        self.results["server"] = server
        self.results["parts"] = parts
        rows = [(part, *(number(parts[name][part]) for name in parts)) for part in next(iter(parts.values()))]
        return [
            "## Where the time of a request goes",
            "",
            "Microseconds, in one process without HTTP.",
            *report.table(("part", *parts), rows),
            "",
            f"In the service, a single match of one client takes {number(server)} µs more of processor time: "
            "for HTTP in gunicorn, and for switching threads.",
        ]

    def rounds_of(self, load: Load, clients: int) -> LoadResult:
        """Send a load in several rounds; return the medians."""
        rounds = [send(load, clients, self.seconds) for _ in range(self.rounds)]
        self.results.setdefault("rounds", []).append(
            [load.url.rpartition("/v1")[2], clients, len(load.bodies[0]), rounds]
        )
        return LoadResult(*(statistics.median(column) for column in zip(*rounds, strict=True)))

    def target(self, what: str, least: float, measured: float) -> None:
        """Add the target that a rate is at least `least`."""
        self.targets.append(Target(what, f"≥ {least:,.0f}", f"{measured:,.0f}", measured >= least))


def _row(what: str, clients: int, result: LoadResult, items: int) -> tuple[object, ...]:
    _say(f"{what}, {clients} clients: {result.rate * items:,.0f} a second")
    return (
        what,
        clients,
        f"{result.rate:,.1f}",
        f"{result.rate * items:,.0f}",
        number(result.p50),
        number(result.p99),
        number(result.work / items),
    )


def process() -> int:
    """The id of the process that `serving` started: the only child of this process that serves."""
    for child in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        if b"serve" in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            return int(child)
    raise RuntimeError("the service has ended")


def _say(text: str) -> None:
    print(f"hashdb: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
