"""Compare the requests of the service with those of an earlier version: `scripts/bench http --against REV`.

Each version runs its own code with its own home; both homes have the same values. In each round of a row, the two
versions are measured one after the other. A figure is the median of the rounds, a ratio is that of the medians.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from scripts.bench_match import export_revision, python_for
from scripts.benchmarks import data, report, service
from scripts.benchmarks.engines import ROOT
from scripts.benchmarks.load import Load, LoadResult, client, send
from tests.postgres import PostgresMissing, postgres_server
from tests.serving import serving

WORKERS = 2
_FILL = """
from hashdb.settings import Settings
from scripts.benchmarks import data, service
import sys
print(service.fill(sys.argv[1], Settings().rules(), data.stored_values(int(sys.argv[2]), 256)))
"""
_COLUMNS = (
    "what",
    "clients",
    "items/s",
    "before",
    "ratio",
    "p99 ms",
    "before",
    "ratio",
    "µs an item",
    "before",
    "ratio",
)


class Running(NamedTuple):
    """A running version: its address, its process, and a key to contribute and match."""

    url: str
    process: int
    key: str


class Row(NamedTuple):
    """A kind of request: its name, its number of items, and a function that makes the bodies for a round."""

    what: str
    clients: int
    path: str
    items: int
    bodies: Callable[[], Sequence[bytes]]
    content_type: str = "application/json"
    connection: str = "keep-alive"


def compare(revision: str, quick: bool, values: int) -> None:
    """Measure this checkout and a revision in turns, and write docs/benchmarks/against.md and .json."""
    rounds, seconds = (3, 3.0) if quick else (7, 4.0)
    results: dict[str, Any] = {"machine": report.machine("flask", "gunicorn", "sqlalchemy"), "against": revision}
    length = " --quick" if quick else ""
    lines = [
        "# Requests beside an earlier version, measured",
        "",
        "For operators and contributors: how much faster, or slower, requests became.",
        "",
        f"Written by `scripts/bench http --against {revision}{length} --values {values}`; do not edit.",
        report.machine_sentence(results["machine"]),
        f"`hashdb serve --workers {WORKERS}` on loopback, {values:,} PDQ values.",
        f"The client is {client()}, on the same cores.",
        "Both versions run at the same time; while one answers requests, the other one is idle.",
        f"A figure is the median of {rounds} rounds of {seconds:.0f} s.",
        f"The earlier version is {revision}.",
        'The columns "before" are those of the earlier version; µs are processor time of the service.',
    ]
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name:
        folder = Path(name)
        codes = {"this": ROOT, "before": export_revision(revision, folder / "code")}
        for database_name, databases in (("SQLite", _sqlite), ("PostgreSQL", _postgresql)):
            try:
                with databases(codes, folder, values) as running:
                    measured = _measure(running, values, rounds, seconds)
            except PostgresMissing as error:
                print(f"hashdb: PostgreSQL is left out: {error}", file=sys.stderr)
                continue
            results[database_name] = measured
            lines += ["", f"## {database_name}", *report.table(_COLUMNS, [_cells(each) for each in measured])]
    report.write("against", lines, results)


def _request_kinds(values: int) -> list[Row]:
    rng, stored = np.random.default_rng(data.SEED), data.stored_values(values, 256)
    picture, form = service.picture_form((ROOT / "hashdb" / "photos" / "casa-mila.jpg").read_bytes())
    single, batch = service.match_bodies(stored, 2_000, 1), service.match_bodies(stored, 20, 1_000)

    def contributions(count: int, size: int) -> Callable[[], Sequence[bytes]]:
        return lambda: list(service.contribute_bodies(rng, count, size))

    return [
        *(Row("match one", clients, "/v1/matches", 1, lambda: single) for clients in (1, 8, 32)),
        Row("match one, a connection each", 8, "/v1/matches", 1, lambda: single, connection="close"),
        *(Row("match 1,000", clients, "/v1/matches", 1_000, lambda: batch) for clients in (1, 4)),
        *(Row("contribute one", clients, "/v1/contributions", 1, contributions(4_000, 1)) for clients in (1, 8)),
        Row("contribute 1,000", 2, "/v1/contributions", 1_000, contributions(30, 1_000)),
        *(Row("match a picture", clients, "/v1/matches/media", 1, lambda: [picture], form) for clients in (1, 4)),
    ]


def _measure(running: Mapping[str, Running], values: int, rounds: int, seconds: float) -> list[dict[str, Any]]:
    measured = []
    for row in _request_kinds(values):
        rounds_of: dict[str, list[LoadResult]] = {name: [] for name in running}
        for _ in range(rounds):
            bodies = row.bodies()
            for name, version in running.items():
                url = f"{version.url}{row.path}"
                load = Load(url, version.process, version.key, bodies, row.content_type, connection=row.connection)
                rounds_of[name].append(send(load, row.clients, seconds))
        medians = {
            name: LoadResult(*(statistics.median(column) for column in zip(*results, strict=True)))._asdict()
            for name, results in rounds_of.items()
        }
        print(f"hashdb: {row.what}, {row.clients} clients: {medians}", file=sys.stderr, flush=True)
        measured.append({"what": row.what, "clients": row.clients, "items": row.items, **medians})
    return measured


def _cells(measured: Mapping[str, Any]) -> tuple[object, ...]:
    this, before, items = measured["this"], measured["before"], measured["items"]
    cells: list[object] = [measured["what"], measured["clients"]]
    for now, earlier in (
        (this["rate"] * items, before["rate"] * items),
        (this["p99"], before["p99"]),
        (this["work"] / items, before["work"] / items),
    ):
        cells += [report.number(now), report.number(earlier), f"{now / earlier:.2f}"]
    return tuple(cells)


@contextmanager
def _sqlite(codes: Mapping[str, Path], folder: Path, values: int) -> Iterator[Mapping[str, Running]]:
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(
                _serve(code, folder / name, f"sqlite:///{folder / name / 'hashdb.sqlite'}", values)
            )
            for name, code in codes.items()
        }


@contextmanager
def _postgresql(codes: Mapping[str, Path], folder: Path, values: int) -> Iterator[Mapping[str, Running]]:
    with ExitStack() as stack:
        server = stack.enter_context(postgres_server())
        yield {
            name: stack.enter_context(
                _serve(code, folder / f"{name}-postgresql", stack.enter_context(server.new_database()), values)
            )
            for name, code in codes.items()
        }


@contextmanager
def _serve(code: Path, home: Path, database: str, values: int) -> Iterator[Running]:
    """Fill a new home and serve it with a version."""
    home.mkdir(mode=0o700)
    settings = {
        "PYTHONPATH": str(code),
        "PYTHONSAFEPATH": "1",
        "HASHDB_HOME": str(home),
        "HASHDB_DATABASE_URL": database,
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")} | settings
    python = python_for(code)
    upgrade = [python, "-m", "hashdb", "upgrade"]
    subprocess.run(upgrade, check=True, env=environment, stdout=subprocess.DEVNULL, cwd=code)
    fill = [python, "-c", _FILL, database, str(values)]
    key = subprocess.check_output(fill, text=True, env=environment, cwd=code).strip()
    before = set(_children())
    with serving(
        home,
        workers=WORKERS,
        within=120,
        python=python,
        PYTHONPATH=str(code),
        PYTHONSAFEPATH="1",
        HASHDB_DATABASE_URL=database,
    ) as url:
        [process] = set(_children()) - before
        yield Running(url, process, key)


def _children() -> list[int]:
    return list(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))
