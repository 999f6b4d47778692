"""The console at two million contributions: prints a table, and writes docs/benchmarks/console.md and console.json.

Each page is asked for over WSGI by a user who is signed in, one after the other; the browser's own work is not in it.
"""

from __future__ import annotations

import argparse
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from flask.testing import FlaskClient

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.review.cases import QueueOrder
from hashdb.service import HashDB, open_hashdb
from hashdb.service.contributions import contributions
from hashdb.service.review import cases
from hashdb.settings import Settings
from hashdb.web import create_app
from scripts.benchmarks import lived, report, year
from scripts.benchmarks.report import Target, number
from tests.web.console.visitors import PASSWORD

CONTRIBUTIONS = 2_000_000
LONGEST = 100.0
"""Milliseconds that a page may take, in the median."""
_LIST = "/console/contributions"
_TIMES = 9


def main() -> None:
    """Fill a database, ask for every page, write what it took."""
    parser = argparse.ArgumentParser(prog="scripts/bench console", description=__doc__)
    parser.add_argument("--contributions", type=int, default=CONTRIBUTIONS)
    parser.add_argument("--home", type=Path, help="a folder with a database that is filled already, or is to be kept")
    parser.add_argument("--quick", action="store_true", help="twenty thousand contributions")
    arguments = parser.parse_args()
    count = 20_000 if arguments.quick else arguments.contributions
    with _home(arguments.home) as home:
        settings = Settings(home=home)
        if not (home / "hashdb.sqlite").exists():
            begun = time.monotonic()
            year.fill(settings.database, settings.rules(), year.Year(count), datetime.now(UTC))
            print(f"{count:,} contributions stored in {time.monotonic() - begun:.0f} s", flush=True)
        db = open_hashdb(settings.database, settings.rules(), index=home / "index")
        begun = time.monotonic()
        db.index.fill(lambda values: None)
        print(f"the index is filled after {time.monotonic() - begun:.0f} s", flush=True)
        rows = _measured(db, settings)
        db.close()
    _write(count, rows)


@contextmanager
def _home(given: Path | None) -> Iterator[Path]:
    folder = given or Path(tempfile.mkdtemp(prefix="hashdb-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if given is None:
            shutil.rmtree(folder)


def _measured(db: HashDB, settings: Settings) -> list[tuple[str, float, float, float]]:
    lived.through(db, PASSWORD)
    client = create_app(db, settings).test_client()
    secret = _sign_in(client)
    rows = []
    for name, (path, fields) in _pages(db).items():
        taken = [_asked(client, path, fields and {**fields, "csrf": secret}) for _ in range(_TIMES)]
        rows.append((name, taken[0], float(np.median(taken[1:])), max(taken[1:])))
        print(f"{name:60s} {rows[-1][2]:8.1f} ms", flush=True)
    return rows


def _sign_in(client: FlaskClient) -> str:
    fields = {"csrf": _secret(client.get("/console/sign-in").text), "name": lived.ADMIN, "password": PASSWORD}
    answer = client.post("/console/sign-in", data=fields)
    if answer.status_code != 303:
        raise SystemExit(f"the sign-in was answered with {answer.status}")
    return _secret(client.get("/console/account").text)


def _secret(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def _asked(client: FlaskClient, path: str, fields: Mapping[str, str] | None) -> float:
    begun = time.perf_counter()
    answer = client.get(path, buffered=True) if fields is None else client.post(path, data=fields, buffered=True)
    taken = (time.perf_counter() - begun) * 1e3
    if answer.status_code != 200:
        raise SystemExit(f"{path} was answered with {answer.status}")
    return taken


def _pages(db: HashDB) -> dict[str, tuple[str, Mapping[str, str] | None]]:
    """What is asked for, by name: an address, and what is posted to it."""
    waiting = cases.queue(db, COMMAND_LINE, QueueOrder.CLOCK).waiting
    decided = cases.latest(db, COMMAND_LINE, None, 1)[0]
    signals = contributions.get(db, COMMAND_LINE, decided.contribution).signals
    days = db.now().date()
    month = f"since={days.replace(day=1)}&until={days}"
    lists = {
        "all, newest first": "",
        "all, by severity": "sort=severity",
        "all, by removal time, first page": "sort=removed&order=up",
        "of a member": "member=3",
        "of a member, by severity": "member=3&sort=severity",
        "a common label": "label=glorification",
        "a rare label, by removal time": "label=imminent_threat&sort=removed",
        "severity 4, active": "severity=4&status=active",
        "disputed": "standing=disputed",
        "confirmed, by severity": "standing=confirmed&sort=severity",
        "withdrawn": "status=withdrawn",
        "an incident": "incident=CIP:market-2026",
        "a reference": "reference=tkt-1000",
        "an algorithm without contributions": "algorithm=ahash",
        "a month, by severity": f"{month}&sort=severity",
        "five filters at once, without results": "member=3&severity=4&label=manifesto&status=active&algorithm=ahash",
    }
    return {
        **{f"Overview, {number} days": (f"/console/overview?days={number}", None) for number in (30, 90, 365)},
        **{f"Contributions: {name}": (f"{_LIST}?{query}", None) for name, query in lists.items()},
        "A contribution": (f"{_LIST}/{decided.contribution}", None),
        "Its near-duplicates": (f"{_LIST}/{decided.contribution}/neighbors", None),
        "Open a case, with the impact": (f"{_LIST}/{decided.contribution}/case", None),
        "Cases, by severity": ("/console/cases?order=severity", None),
        "Cases, decided": ("/console/cases?state=decided", None),
        "A case with near-duplicates": (f"/console/cases/{waiting[0].case.id}", None),
        "Match debugger": ("/console/debugger", {"signals": "\n".join(map(str, signals))}),
        "Members": ("/console/members", None),
        "A member, with its keys": ("/console/members/3", None),
        "Suspend a member, with the impact": ("/console/members/3/status", None),
        "Incidents": ("/console/incidents", None),
        "Benign signals": ("/console/benign", None),
        "Add a benign signal, with the impact": ("/console/benign/new", {"signals": str(signals[0])}),
        "Proposals": ("/console/proposals", None),
        "A proposal, with the impact": ("/console/proposals/1", None),
        "Reports": ("/console/reports", None),
        "A report on a quarter, once it is ready": ("/console/reports/1", None),
        "Vocabulary": ("/console/vocabulary", None),
        "Audit log": ("/console/events", None),
        "Audit log, one action": ("/console/events?action=case.decided", None),
    }


def _write(count: int, rows: list[tuple[str, float, float, float]]) -> None:
    machine = report.machine("flask", "sqlalchemy", "numpy")
    slowest = max(rows, key=lambda row: row[2])
    targets = [Target(f"a page among {count:,} contributions: the slowest median ({slowest[0]})",
                      f"≤ {LONGEST:g} ms", f"{slowest[2]:.0f} ms", slowest[2] <= LONGEST)]  # fmt: skip
    told = [(name, number(first), number(median), number(longest)) for name, first, median, longest in rows]
    lines = [
        "# The console, measured",
        "",
        "For operators and contributors: how long each page of the console takes with a large database.",
        "",
        "Written by `./scripts/bench console`; do not edit.",
        report.told(machine),
        f"The database is SQLite with a year of generated data: {count:,} contributions with one event each, and 24 "
        "members.",
        f"A signed-in user requests each page {_TIMES} times over WSGI; the first request is in its own column.",
        "",
        "## Targets",
        *report.targets(targets),
        "## Pages",
        *report.table(("page", "first ms", "median ms", "longest ms"), told),
    ]
    report.write("console", lines, {"machine": machine, "contributions": count, "rows": rows})


if __name__ == "__main__":
    main()
