"""Measure the pages of the console with two million contributions, on SQLite and on PostgreSQL.

Prints tables, and writes docs/benchmarks/console.md and console.json. A signed-in user requests each page over WSGI,
one after the other; the time of a browser is not included. PostgreSQL gets a copy of the SQLite database.

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
LONGEST_PAGE = 100.0
"""The largest median time of a page, in milliseconds."""
LONGEST_LIST = 300.0
"""The largest time of 95 of 100 pages of a list with any filter and order, in milliseconds."""
_LIST = "/console/contributions"
_TIMES = 9
_ROUNDS = 2
_COLUMNS = ("page", "first ms", "median ms", "longest ms")


class Row(NamedTuple):
    """The time of a page in milliseconds: of the first request, and the median and the maximum of the others."""

    name: str
    first: float
    median: float
    longest: float


class ListTimes(NamedTuple):
    """The times of the pages of a list in milliseconds, and the slowest page."""

    name: str
    pages: int
    unfinished: int
    median: float
    most: float
    """The 95th percentile."""
    longest: float
    slowest: str


def main() -> None:
    """Fill the databases, request every page, and write the times."""
    parser = argparse.ArgumentParser(prog="scripts/bench console", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--contributions", type=int, default=CONTRIBUTIONS)
    parser.add_argument(
        "--home", type=Path, help="folder of the SQLite database; it is kept, and a filled one is used again"
    )
    parser.add_argument(
        "--postgres", type=Path, help="folder of the PostgreSQL server; it is kept, and a filled one is used again"
    )
    parser.add_argument("--only", choices=("sqlite", "postgresql"), help="measure one database; write no page")
    parser.add_argument("--quick", action="store_true", help="twenty thousand contributions; write no page")
    arguments = parser.parse_args()
    count = 20_000 if arguments.quick else arguments.contributions
    rows: dict[str, list[Row]] = {}
    lists: dict[str, list[ListTimes]] = {}
    with kept_or_temporary(arguments.home) as home, kept_or_temporary(arguments.postgres) as data:
        for name, database in (("sqlite", _sqlite), ("postgresql", _postgresql)):
            if arguments.only in (None, name):
                with database(home, data, count) as settings:
                    rows[name], lists[name] = _measure(settings)
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
    from_store, to_store = Store(source), Store(target)
    from_store.migrate()
    result = from_store.move_to(to_store, lambda rows: None)
    from_store.finish_move_to(to_store, result.head)
    from_store.close()
    to_store.close()


def _measure(settings: Settings) -> tuple[list[Row], list[ListTimes]]:
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
        times = [_request(client, path, fields and {**fields, "csrf": secret})[0] for _ in range(_TIMES)]
        rows.append(Row(name, times[0], float(np.median(times[1:])), max(times[1:])))
        print(f"{name:60s} {rows[-1].median:8.1f} ms", flush=True)
    lists = [_measure_list(client, name, addresses) for name, addresses in _list_addresses(db).items()]
    db.close()
    return rows, lists


def _measure_list(client: FlaskClient, name: str, addresses: Sequence[str]) -> ListTimes:
    """Request the first, second and third page of each address, and the second one again."""
    times: dict[str, list[float]] = {}
    unfinished = 0
    for _ in range(_ROUNDS):
        for address in addresses:
            path: str | None = address
            for step in ("", " second page", " third page", " back"):
                if path is None:
                    break
                milliseconds, page = _request(client, path, None)
                times.setdefault(f"{address}{step}", []).append(milliseconds)
                unfinished += "Search on" in page
                path = _link(page, "prev" if step == " third page" else "next")
    # The first round fills the caches, like the first request of a page in the other table.
    warm = {address: float(np.median(durations[1:] or durations)) for address, durations in times.items()}
    medians = np.array(list(warm.values()))
    slowest = max(warm, key=lambda address: warm[address])
    p50, p95, longest = map(float, np.percentile(medians, (50, 95, 100)))
    result = ListTimes(name, len(medians), unfinished // _ROUNDS, p50, p95, longest, slowest)
    print(f"{name:20s} {result.pages:5d} pages, p95 {result.most:7.1f} ms, longest {result.longest:.1f} ms", flush=True)
    for address in sorted(warm, key=lambda address: -warm[address])[:12]:
        print(f"    {warm[address]:8.1f} ms {address}", flush=True)
    return result


def _link(page: str, rel: str) -> str | None:
    match = re.search(rf'rel="{rel}" href="([^"]+)"', page)
    return html.unescape(match[1]) if match else None


def _sign_in(client: FlaskClient) -> str:
    fields = {"csrf": _secret(client.get("/console/sign-in").text), "name": console_data.ADMIN, "password": PASSWORD}
    response = client.post("/console/sign-in", data=fields)
    if response.status_code != 303:
        raise SystemExit(f"the response to the sign-in is {response.status}")
    return _secret(client.get("/console/account").text)


def _secret(page: str) -> str:
    match = re.search(r'name="csrf" value="([^"]+)"', page)
    assert match
    return match[1]


def _request(client: FlaskClient, path: str, fields: Mapping[str, str] | None) -> tuple[float, str]:
    started = time.perf_counter()
    response = client.get(path, buffered=True) if fields is None else client.post(path, data=fields, buffered=True)
    milliseconds = (time.perf_counter() - started) * 1e3
    if response.status_code != 200:
        raise SystemExit(f"the response to {path} is {response.status}")
    return milliseconds, response.text


def _list_addresses(db: HashDB) -> dict[str, list[str]]:
    """The addresses of each list: every filter in every order."""
    day = db.now().date()
    filters = ["", *_filters(day), *_filter_combinations(day)]
    return {
        "Contributions": [f"{_LIST}?{query}" for query in _addresses_of(filters, Sort)],
        "Cases, open": [
            f"/console/cases?{query}" for query in _addresses_of(("", "severity=4", "label=manifesto"), QueueOrder)
        ],
        "Cases, decided": [f"/console/cases?state=decided&{query}" for query in _addresses_of(("",), CaseSort)],
        "Benign list": [
            f"/console/benign?{query}" for query in _addresses_of(("", "text=map", "whose=own"), BenignSort)
        ],
        "Members": [
            f"/console/members?{query}"
            for query in _addresses_of(("limit=5",), ("name", "active", "last", "precision"))
        ],
        "Audit log": [f"/console/events?{query}" for query in ("", "action=case.decided", "subject=contribution:17")],
    }


def _addresses_of(
    filters: Sequence[str], orders: Sequence[str] | type[Sort | CaseSort | BenignSort | QueueOrder]
) -> list[str]:
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


def _filter_combinations(day: object) -> list[str]:
    return [
        "member=3&severity=4", "member=3&label=imminent_threat", "severity=4&status=active",
        "severity=4&label=manifesto",
        "label=imminent_threat&media=video_frame", "member=11&standing=disputed", "status=active&media=video_frame",
        "standing=disputed&label=recruitment", f"since={str(day)[:8]}01&label=instruction",
        "severity=0&label=imminent_threat&algorithm=phash",
        "member=3&severity=4&label=manifesto&status=active&algorithm=ahash",
    ]  # fmt: skip


def _pages(db: HashDB) -> dict[str, tuple[str, Mapping[str, str] | None]]:
    """The requests for each page by name: an address, and the fields of a POST request."""
    waiting = queues.queue(db, COMMAND_LINE).waiting
    decided = cases.page_of_decided(db, COMMAND_LINE, CaseSort.DECIDED, Place(), 1).rows[0]
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


def _cells(lists: Sequence[ListTimes]) -> list[tuple[str, ...]]:
    return [
        (each.name, str(each.pages), str(each.unfinished), number(each.median), number(each.most),
         number(each.longest), f"`{each.slowest}`")
        for each in lists
    ]  # fmt: skip


def _print(lists: Mapping[str, Sequence[ListTimes]]) -> None:
    for database, results in lists.items():
        print("\n".join((database, *report.table(_LIST_COLUMNS, _cells(results)))), flush=True)


def _write(count: int, rows: Mapping[str, Sequence[Row]], lists: Mapping[str, Sequence[ListTimes]]) -> None:
    machine = report.machine("flask", "sqlalchemy", "numpy")
    targets = []
    for database, title in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        worst = max(lists[database], key=lambda list_times: list_times.most)
        slowest = max(rows[database], key=lambda row: row.median)
        of_lists = f"{title}: every filter and order of a list, 95 of 100 pages ({worst.name})"
        targets.append(at_most(of_lists, LONGEST_LIST, worst.most, "ms"))
        targets.append(
            at_most(f"{title}: a page, the slowest median ({slowest.name})", LONGEST_PAGE, slowest.median, "ms")
        )
    lines = [
        *report.opening("The console", _READERS, "bench console", machine),
        f"The databases have a year of generated data: {count} contributions with one event each, and 24 members.",
        f"A signed-in user requests each page {_TIMES} times over WSGI; the first request is in its own column.",
        "",
        "## Targets",
        *report.targets(targets),
        "## Lists",
        "",
        "Each list is requested with every filter and order: the first page, the second, the third, and back.",
        "Totals are part of each page.",
        "A page that stopped early has read 20000 contributions, and offers to search on.",
    ]
    for database, title in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        lines += [f"### {title}, lists", *report.table(_LIST_COLUMNS, _cells(lists[database]))]
    for database, title in (("sqlite", "SQLite"), ("postgresql", "PostgreSQL")):
        cells = [(row.name, number(row.first), number(row.median), number(row.longest)) for row in rows[database]]
        lines += [f"## Pages, {title}", *report.table(_COLUMNS, cells)]
    results = {"machine": machine, "contributions": count, "rows": rows, "lists": lists}
    report.write("console", lines, results)


if __name__ == "__main__":
    main()
