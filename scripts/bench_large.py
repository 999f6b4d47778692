"""Measure a service with a large database; write docs/benchmarks/large.md and large.json.

With ten million values: how long a contribution takes, and whether the next query finds it, in any of the workers. With
a million items of the balanced profile: how long a picture with transforms takes, and how long the service needs to
build the index from the database.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from hashdb.index.kernel import implementation_name
from hashdb.settings import Settings
from scripts.bench_http import process
from scripts.benchmarks import data, report, service
from scripts.benchmarks.load import Load, Sending
from scripts.benchmarks.report import Target, at_most, number
from tests.serving import serving

_READERS = (
    "For operators of a large service: how it answers with ten million values, and pictures among a million items."
)
WORKERS = 2
VALUES, ITEMS = 10_000_000, 1_000_000
SIGNALS_AN_ITEM = 24
"""The signals of the balanced profile: one of PDQ, 23 of phash256."""
_READY_WITHIN = 1_200.0
_SLOWEST_QUERY, _SLOWEST_PICTURE = 20.0, 60.0
_ONE_BY_ONE, _REQUESTS, _BATCH = 500, 150, 100
_PICTURES = 200


def main() -> None:
    """Measure both, one after the other."""
    parser = argparse.ArgumentParser(prog="scripts/bench large", description=__doc__)
    parser.add_argument(
        "--values", type=int, default=VALUES, help="number of values while contributions arrive (default: 10 M)"
    )
    parser.add_argument("--items", type=int, default=ITEMS, help="number of items for the pictures (default: 1 M)")
    parser.add_argument("--pictures", type=Path, help="folder of pictures to query (default: those of the package)")
    arguments = parser.parse_args()
    machine = report.machine("flask", "gunicorn", "sqlalchemy", "numpy")
    results: dict[str, Any] = {"machine": machine, "seed": data.SEED, "engine": implementation_name()}
    targets: list[Target] = []
    body = [
        *_in_new_home(lambda home: _contributing(home, arguments.values, results, targets)),
        *_in_new_home(lambda home: _pictures(home, arguments.items, arguments.pictures, results, targets)),
    ]
    results["targets"] = [target._asdict() for target in targets]
    lines = [
        *report.opening("The service at size", _READERS, "bench large", machine),
        f"The service is `hashdb serve --workers {WORKERS}` on loopback with SQLite; the seed is {data.SEED}.",
        f"The index uses: {implementation_name()}.",
        "",
        "## Targets",
        *report.targets(targets),
        *body,
    ]
    report.write("large", lines, results)


def _in_new_home(measure: Callable[[Path], list[str]]) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as folder:
        home = Path(folder) / "home"
        home.mkdir(mode=0o700)
        return measure(home)


def _contributing(home: Path, count: int, results: dict[str, Any], targets: list[Target]) -> list[str]:
    """Measure contributions to a service with `count` values; query each one immediately."""
    words, rng = data.stored_values(count, 256), np.random.default_rng(data.SEED)
    key = service.fill(f"sqlite:///{home / 'hashdb.sqlite'}", Settings().rules(), words)
    started = time.monotonic()
    with serving(home, workers=WORKERS, within=_READY_WITHIN) as url:
        built = time.monotonic() - started
        single = Load(f"{url}/v1/matches", process(), key, service.match_bodies(words, 2_000, 1))
        with Sending(single, 1, 5) as sending:
            alone = sending.result()
        singles = _contribute_and_query(url, key, list(service.contribute_bodies(rng, _ONE_BY_ONE, 1)))
        batches = list(service.contribute_bodies(rng, _REQUESTS, _BATCH))
        started = time.monotonic()
        in_batches = _contribute_and_query(url, key, batches)
        seconds = time.monotonic() - started
        # Contribute again while another client sends queries without a pause.
        with Sending(single, 1, seconds) as sending:
            meanwhile = _contribute_and_query(url, key, list(service.contribute_bodies(rng, _REQUESTS, _BATCH)))
            busy = sending.result()
    rows = []
    for name, times in (("one", singles), (f"{_BATCH}", in_batches), (f"{_BATCH}, while other clients ask", meanwhile)):
        responses, queries = (np.percentile(part, (50, 99)) * 1e3 for part in np.array(times).T)
        rows.append(
            (name, len(times), number(responses[0]), number(responses[1]), number(queries[0]), number(queries[1]))
        )
    results["contributing"] = {
        "values": count, "built": built, "rows": rows, "alone": alone._asdict(), "busy": busy._asdict(),
    }  # fmt: skip
    title = (
        f"single queries of one client among {count:,} values, while contributions arrive and segments are written "
        "and merged: p99"
    )
    targets.append(at_most(title, _SLOWEST_QUERY, busy.p99, "ms"))
    return [
        f"## Contributions while {count:,} values are served",
        "",
        f"The service started without an index and was ready after {built:.0f} s: it built the index from the "
        "database.",
        "The next query, on another connection, found every contribution.",
        f"A single query took {alone.p50:.2f} ms (p99 {alone.p99:.2f} ms) alone, "
        f"and {busy.p50:.2f} ms (p99 {busy.p99:.2f} ms) while {_REQUESTS * _BATCH:,} contributions arrived "
        "and segments were written and merged.",
        *report.table(
            (
                "contributions in a request",
                "requests",
                "answered after p50 ms",
                "p99 ms",
                "found after p50 ms",
                "p99 ms",
            ),
            rows,
        ),
    ]


def _contribute_and_query(url: str, key: str, bodies: list[bytes]) -> list[tuple[float, float]]:
    """Seconds from the request of each contribution to its response, and to that of a query that finds it."""
    times, headers = [], {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    with httpx.Client(headers=headers, timeout=60) as contributing:
        for index, body in enumerate(bodies):
            drafts = json.loads(body)["contributions"]
            query = json.dumps({"queries": [{"signals": drafts[index % len(drafts)]["signals"]}]})
            # Connect first, so that only the requests are timed. Any of the workers may accept the connection.
            with httpx.Client(headers=headers, timeout=60) as querying:
                querying.get(f"{url}/healthz").raise_for_status()
                started = time.perf_counter()
                contributing.post(f"{url}/v1/contributions", content=body).raise_for_status()
                responded_at = time.perf_counter()
                response = querying.post(f"{url}/v1/matches", content=query).raise_for_status().json()
                matched_at = time.perf_counter()
            if not response["results"][0]["matches"]:
                raise SystemExit("the query after a contribution did not find it")
            times.append((responded_at - started, matched_at - started))
    return times


def _pictures(home: Path, items: int, folder: Path | None, results: dict[str, Any], targets: list[Target]) -> list[str]:
    """Measure pictures with transforms among `items` items."""
    started = time.monotonic()
    key = service.fill_items(f"sqlite:///{home / 'hashdb.sqlite'}", Settings().rules(), items, SIGNALS_AN_ITEM)
    print(f"{items:,} items stored in {time.monotonic() - started:.0f} s", flush=True)
    paths = sorted((folder or Path(__file__).parents[1] / "hashdb" / "photos").glob("*.[jJ][pP]*[gG]"))[:_PICTURES]
    started = time.monotonic()
    with serving(home, workers=WORKERS, within=_READY_WITHIN) as url:
        built = time.monotonic() - started
        size = sum(path.stat().st_size for path in (home / "index").iterdir())
        print(f"ready after {built:.0f} s, {size / 1e9:.2f} GB of files", flush=True)
        times_by_mode: dict[str, list[float]] = {"plain": [], "with transforms": []}
        with httpx.Client(headers={"Authorization": f"Bearer {key}"}, timeout=60) as client:
            for path in (paths[0], *paths):
                for mode, times in times_by_mode.items():
                    started = time.perf_counter()
                    response = client.post(
                        f"{url}/v1/matches/media" + ("?transforms=1" if mode != "plain" else ""),
                        files={"file": path.read_bytes()},
                    )
                    times.append(time.perf_counter() - started)
                    response.raise_for_status()
    rows = []
    for mode, times in times_by_mode.items():
        # The first request of each mode warms up.
        p50, p90, p99 = np.percentile(times[1:], (50, 90, 99)) * 1e3
        rows.append((mode, len(times) - 1, f"{p50:.1f}", f"{p90:.1f}", f"{p99:.1f}"))
        if mode != "plain":
            title = f"a picture with transforms among {items:,} items, over HTTP: p50"
            targets.append(at_most(title, _SLOWEST_PICTURE, p50, "ms"))
    targets.append(at_most(f"index of {items:,} items", 3, size / 1e9, "GB"))
    results["pictures"] = {"items": items, "built": built, "bytes": size, "rows": rows}
    return [
        f"## Pictures among {items:,} items",
        "",
        f"Each item has {SIGNALS_AN_ITEM} signals, as the balanced profile makes them.",
        f"The service started without an index and was ready after {built:.0f} s; the index takes {size / 1e9:.2f} GB "
        "of files.",
        *report.table(("a picture", "pictures", "p50 ms", "p90 ms", "p99 ms"), rows),
    ]


if __name__ == "__main__":
    main()
