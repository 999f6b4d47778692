"""The console at two million contributions, on SQLite and on PostgreSQL.

Prints tables, and writes docs/benchmarks/console.md and console.json. A user who is signed in asks for each page over
WSGI, one after the other; the browser's own work is not in it. PostgreSQL gets a copy of the SQLite database.

    scripts/bench console [--quick] [--home FOLDER] [--postgres FOLDER] [--only sqlite|postgresql]
"""

from __future__ import annotations

import argparse
import html
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from flask.testing import FlaskClient
from pydantic import SecretStr

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.listings import Place, Sort
from hashdb.domain.matching.benign import BenignSort
from hashdb.domain.review.cases import CaseSort
from hashdb.domain.review.queues import QueueOrder
from hashdb.service import HashDB, open_hashdb
from hashdb.service.contributions import contributions
from hashdb.service.review import cases, queues
from hashdb.settings import Settings
from hashdb.store import Store
from hashdb.web import create_app
from scripts.benchmarks import console_data, report, year
from scripts.benchmarks.homes import kept_or_temporary
from scripts.benchmarks.report import at_most, number
from tests.postgres import server_in
from tests.web.console.visitors import PASSWORD

_READERS = "For operators and contributors: how long each page of the console takes with a large database."
CONTRIBUTIONS = 2_000_000
LONGEST = 100.0
"""Milliseconds that a page may take, in the median."""
LISTED = 300.0
"""Milliseconds that 95 of 100 pages of a list may take, by any filter and in any order."""
_LIST = "/console/contributions"
_TIMES = 9
_ROUNDS = 2
_COLUMNS = ("page", "first ms", "median ms", "longest ms")


class Row(NamedTuple):
    """What a page took: the first time, in the median of the others, and at most, in milliseconds."""

    name: str
    first: float
    median: float
    longest: float


class Listed(NamedTuple):
    """What the pages of a list took, in milliseconds, and the slowest of them."""

    name: str
    pages: int
    unfinished: int
    median: float
    most: float
    """Of 95 of 100 pages."""
    longest: float
    slowest: str


def main() -> None:
    """Fill the databases, ask for every page, write what it took."""
    parser = argparse.ArgumentParser(prog="scripts/bench console", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contributions", type=int, default=CONTRIBUTIONS)
    parser.add_argument("--home", type=Path, help="a folder with a SQLite database that is filled, or is to be kept")
    parser.add_argument("--postgres", type=Path, help="a folder with the data of a server that are filled, or are kept")
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="one database; nothing is written")
    parser.add_argument("--quick", action="store_true", help="twenty thousand contributions; nothing is written")
    arguments = parser.parse_args()
    count = 20_000 if arguments.quick else arguments.contributions
    rows: dict[str, list[Row]] = {}
    lists: dict[str, list[Listed]] = {}
    with kept_or_temporary(arguments.home) as home, kept_or_temporary(arguments.postgres) as data:
        for name, database in (("sqlite", _sqlite), ("postgresql", _postgresql)):
            if arguments.only in (None, name):
                with database(home, data, count) as settings:
                    rows[name], lists[name] = _measured(settings)
    _print(lists)
    if arguments.only is None and not arguments.quick:
        _write(count, rows, lists)


@contextmanager
def _sqlite(home: Path, data: Path, count: int) -> Iterator[Settings]:
    settings = Settings(home=home)
    if not (home / "hashdb.sqlite").exists():
        started = time.monotonic()
        year.fill(settings.database, settings.rules(), year.Year(count), datetime.now(UTC))
        print(f"{count} contributions stored in {time.monotonic() - started:.0f} s", flush=True)
    yield settings


@contextmanager
def _postgresql(home: Path, data: Path, count: int) -> Iterator[Settings]:
    with server_in(data) as server:
        url = server.url.set(database="hashdb").render_as_string(hide_password=False)
        settings = Settings(home=data, database_url=SecretStr(url))
        if not (data / "filled").exists():
            with _sqlite(home, data, count) as source:
                started = time.monotonic()
                server.run("DROP DATABASE IF EXISTS hashdb")
                server.run("CREATE DATABASE hashdb TEMPLATE template0 ENCODING 'UTF8'")
                _copy(source.database, settings.database)
                print(f"copied to PostgreSQL in {time.monotonic() - started:.0f} s", flush=True)
            server.run("VACUUM ANALYZE", settings.database)
            (data / "filled").touch()
        yield settings


def _copy(source: str, target: str) -> None:
    here, there = Store(source), Store(target)
    here.migrate()
    moved = here.move_to(there, lambda rows: None)
    here.finish_move_to(there, moved.head)
    here.close()
    there.close()


def _measured(settings: Settings) -> tuple[list[Row], list[Listed]]:
    store = Store(settings.database)
    store.migrate()
    store.close()
    db = open_hashdb(settings.database, settings.rules(), index=settings.home / "index")
    started = time.monotonic()
    db.index.fill(lambda values: None)
    print(f"the index is filled after {time.monotonic() - started:.0f} s", flush=True)
    console_data.add_console_data(db, PASSWORD)
    client = create_app(db, settings).test_client()
    secret = _sign_in(client)
    rows = []
    for name, (path, fields) in _pages(db).items():
        taken = [_asked(client, path, fields and {**fields, "csrf": secret})[0] for _ in range(_TIMES)]
        rows.append(Row(name, taken[0], float(np.median(taken[1:])), max(taken[1:])))
        print(f"{name:60s} {rows[-1].median:8.1f} ms", flush=True)
    lists = [_listed(client, name, addresses) for name, addresses in _lists(db).items()]
    db.close()
    return rows, lists


def _listed(client: FlaskClient, name: str, addresses: Sequence[str]) -> Listed:
    """Ask for the first page of each address, the second and the third, and back to the second."""
    taken: dict[str, list[float]] = {}
    unfinished = 0
    for _ in range(_ROUNDS):
        for address in addresses:
            path: str | None = address
            for step in ("", " second page", " third page", " back"):
                if path is None:
                    break
                milliseconds, page = _asked(client, path, None)
                taken.setdefault(f"{address}{step}", []).append(milliseconds)
                unfinished += "Search on" in page
                path = _link(page, "prev" if step == " third page" else "next")
    # The first round warms the caches, as the first request of a page does in the other table.
    warm = {address: float(np.median(each[1:] or each)) for address, each in taken.items()}
    every = np.array(list(warm.values()))
    slowest = max(warm, key=lambda address: warm[address])
    listed = Listed(name, len(every), unfinished // _ROUNDS, float(np.median(every)), float(np.percentile(every, 95)),
                    float(every.max()), slowest)  # fmt: skip
    print(f"{name:20s} {listed.pages:5d} pages, p95 {listed.most:7.1f} ms, longest {listed.longest:.1f} ms", flush=True)
    for address in sorted(warm, key=lambda address: -warm[address])[:12]:
        print(f"    {warm[address]:8.1f} ms {address}", flush=True)
    return listed


def _link(page: str, rel: str) -> str | None:
    found = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return html.unescape(found[1]) if found else None


def _sign_in(client: FlaskClient) -> str:
    fields = {"csrf": _secret(client.get("/console/sign-in").text), "name": console_data.ADMIN, "password": PASSWORD}
    answer = client.post("/console/sign-in", data=fields)
    if answer.status_code != 303:
        raise SystemExit(f"the sign-in was answered with {answer.status}")
    return _secret(client.get("/console/account").text)


def _secret(page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', page)
    assert found
    return found[1]


def _asked(client: FlaskClient, path: str, fields: Mapping[str, str] | None) -> tuple[float, str]:
    started = time.perf_counter()
    answer = client.get(path, buffered=True) if fields is None else client.post(path, data=fields, buffered=True)
    taken = (time.perf_counter() - started) * 1e3
    if answer.status_code != 200:
        raise SystemExit(f"{path} was answered with {answer.status}")
    return taken, answer.text


def _lists(db: HashDB) -> dict[str, list[str]]:
    """The addresses of each list: every filter in every order."""
    day = db.now().date()
    filters = ["", *_filters(day), *_combined(day)]
    return {
        "Contributions": [f"{_LIST}?{query}" for query in _by(filters, Sort)],
        "Cases, open": [f"/console/cases?{query}" for query in _by(("", "severity=4", "label=manifesto"), QueueOrder)],
        "Cases, decided": [f"/console/cases?state=decided&{query}" for query in _by(("",), CaseSort)],
        "Benign list": [f"/console/benign?{query}" for query in _by(("", "text=map", "whose=own"), BenignSort)],
        "Members": [
            f"/console/members?{query}" for query in _by(("limit=5",), ("name", "active", "last", "precision"))
        ],
        "Audit log": [f"/console/events?{query}" for query in ("", "action=case.decided", "subject=contribution:17")],
    }


def _by(filters: Sequence[str], orders: Sequence[str] | type[Sort | CaseSort | BenignSort | QueueOrder]) -> list[str]:
    return [f"{query}&sort={sort}&order={order}" for query in filters for sort in orders for order in ("down", "up")]


def _filters(day: object) -> list[str]:
    return [
        "member=3", "member=11", "label=glorification", "label=instruction", "label=imminent_threat",
        *(f"severity={severity}" for severity in range(5)),
        "status=active", "status=withdrawn", "status=expired", "status=suspended",
        "standing=unreviewed", "standing=disputed", "standing=confirmed", "standing=quarantined", "standing=retired",
        "media=image", "media=video_frame", "media=video", "media=audio", "algorithm=pdq", "algorithm=phash",
        "algorithm=ahash", "algorithm=sha256", "incident=CIP:market-2026", "reference=tkt-10", "reference=tkt-1000",
        "reference=none", f"since={str(day)[:8]}01", f"since={day}", "until=2020-01-01", f"removed_since={day}",
        f"removed_until={day}", f"expires_until={day}",
    ]  # fmt: skip


def _combined(day: object) -> list[str]:
    return [
        "member=3&severity=4", "member=3&label=imminent_threat", "severity=4&status=active",
        "severity=4&label=manifesto",
        "label=imminent_threat&media=video_frame", "member=11&standing=disputed", "status=active&media=video_frame",
        "standing=disputed&label=recruitment", f"since={str(day)[:8]}01&label=instruction",
        "severity=0&label=imminent_threat&algorithm=phash",
        "member=3&severity=4&label=manifesto&status=active&algorithm=ahash",
    ]  # fmt: skip


def _pages(db: HashDB) -> dict[str, tuple[str, Mapping[str, str] | None]]:
    """What is asked for, by name: an address, and what is posted to it."""
    waiting = queues.queue(db, COMMAND_LINE).waiting
    decided = cases.decided(db, COMMAND_LINE, CaseSort.DECIDED, Place(), 1).rows[0]
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
        "Cases, by severity": ("/console/cases?sort=severity", None),
        "Cases, decided": ("/console/cases?state=decided", None),
        "A case with near-duplicates": (f"/console/cases/{waiting[0].case.id}", None),
        "Match debugger": ("/console/debugger", {"signals": "\n".join(map(str, signals))}),
        "Find a number": ("/console/find", {"text": "17"}),
        "Find the beginning of a few references": ("/console/find", {"text": "tkt-1000"}),
        "Find the beginning of all references": ("/console/find", {"text": "t"}),
        "Find nothing": ("/console/find", {"text": "nothing has this name"}),
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


_LIST_COLUMNS = ("list", "pages", "that stopped early", "median ms", "p95 ms", "longest ms", "the slowest page")


def _cells(lists: Sequence[Listed]) -> list[tuple[str, ...]]:
    return [
        (each.name, str(each.pages), str(each.unfinished), number(each.median), number(each.most),
         number(each.longest), f"`{each.slowest}`")
        for each in lists
    ]  # fmt: skip


def _print(lists: Mapping[str, Sequence[Listed]]) -> None:
    for database, found in lists.items():
        print("\n".join((database, *report.table(_LIST_COLUMNS, _cells(found)))), flush=True)


def _write(count: int, rows: Mapping[str, Sequence[Row]], lists: Mapping[str, Sequence[Listed]]) -> None:
    machine = report.machine("flask", "sqlalchemy", "numpy")
    targets = []
    for database, of in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        worst = max(lists[database], key=lambda each: each.most)
        slowest = max(rows[database], key=lambda row: row.median)
        of_lists = f"{of}: every filter and order of a list, 95 of 100 pages ({worst.name})"
        targets.append(at_most(of_lists, LISTED, worst.most, "ms"))
        targets.append(at_most(f"{of}: a page, the slowest median ({slowest.name})", LONGEST, slowest.median, "ms"))
    lines = [
        *report.opening("The console", _READERS, "bench console", machine),
        f"The databases have a year of generated data: {count} contributions with one event each, and 24 members.",
        f"A signed-in user requests each page {_TIMES} times over WSGI; the first request is in its own column.",
        "",
        "## Targets",
        *report.targets(targets),
        "## Lists",
        "",
        "Each list is requested by every filter in every order: the first page, the second, the third, and back.",
        "Totals are part of each page.",
        "A page that stopped early has read 20000 contributions, and offers to search on.",
    ]
    for database, of in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        lines += [f"### {of}, lists", *report.table(_LIST_COLUMNS, _cells(lists[database]))]
    for database, of in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        told = [(row.name, number(row.first), number(row.median), number(row.longest)) for row in rows[database]]
        lines += [f"## Pages, {of}", *report.table(_COLUMNS, told)]
    results = {"machine": machine, "contributions": count, "rows": rows, "lists": lists}
    report.write("console", lines, results)


if __name__ == "__main__":
    main()
