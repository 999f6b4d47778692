"""Print the measurements that docs/decisions/ quotes. HASHDB_DATABASE_URL selects an empty PostgreSQL database."""

from __future__ import annotations

import json
import os
import platform
import random
import tempfile
import time
from dataclasses import make_dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import rfc8785
from pydantic import ValidationError
from sqlalchemy import Column, Integer, MetaData, Table
from sqlalchemy.orm import registry

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, MemberChange, MemberStatus, Scope
from hashdb.domain.contributions import Addition, Draft
from hashdb.domain.ledger.events import Details, canonical, leaf
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.testing import near_test_item
from hashdb.domain.rules import Rules
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import format_instant
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import additions, contributions
from hashdb.service.matching import matches
from hashdb.settings import Settings
from hashdb.store import Store
from hashdb.wire import ValidationContext
from hashdb.wire.drafts import ContributionsIn
from scripts.benchmarks.homes import median_seconds, new_actor, seconds

RNG = random.Random(1)
NOW = datetime.now(UTC)


def main() -> None:
    """Measure everything on the database of the environment, or on SQLite in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("HASHDB_DATABASE_URL", f"sqlite:///{Path(folder) / 'hashdb.sqlite'}")
        store = Store(url)
        store.migrate()
        print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {url.partition(':')[0]}")
        db = HashDB(store, Settings().rules())
        measure_mapped_classes()
        measure_leaves()
        measure_parsing(db.rules)
        measure_catch_up(db)
        measure_known_contributions(db)
        measure_added_signals(db)
        measure_suspension(db)
        measure_test_item()
        db.close()


def measure_mapped_classes() -> None:
    """Decision 2: test whether the ORM can map frozen values like those of the domain."""
    for slots in (False, True):
        frozen = make_dataclass("Frozen", [("id", int)], frozen=True, slots=slots)
        try:
            registry().map_imperatively(frozen, Table("frozen", MetaData(), Column("id", Integer, primary_key=True)))
            frozen(1)
            outcome = "works"
        except (AttributeError, TypeError) as error:
            outcome = f"{type(error).__name__}: {error}"
        print(f"a frozen dataclass {'with' if slots else 'without'} slots, mapped by the ORM: {outcome}")


def measure_leaves() -> None:
    """Decision 6: measure a leaf as sorted compact JSON, and with a library for RFC 8785."""
    details: Details = {"member": 3, "labels": ["glorification"], "algorithms": ["pdq", "phash"], "basis": "terms"}
    event: Any = {"seq": 7, "at": format_instant(NOW), "actor": "key:9", "action": "contribution.added"}
    event |= {"subject": "contribution:17", "details": details}
    ours = median_seconds(
        lambda: leaf(7, NOW, "key:9", "contribution.added", "contribution:17", canonical(details)), 2_000
    )
    theirs = median_seconds(lambda: rfc8785.dumps(event), 2_000)
    print(f"a leaf: {ours * 1e6:.0f} µs; RFC 8785 by a library in Python: {theirs * 1e6:.0f} µs, before hashing")


def measure_parsing(rules: Rules) -> None:
    """Decision 8: measure parsing 100 drafts with pydantic's JSON mode, and with json.loads first, as frameworks do."""
    context = ValidationContext(rules, NOW)
    text = ContributionsIn.from_domain([draft() for _ in range(100)]).model_dump_json().encode()
    json_mode = median_seconds(lambda: ContributionsIn.model_validate_json(text, context=context), 100)
    loads = median_seconds(lambda: json.loads(text), 100)
    print(
        f"100 drafts: {json_mode * 1e3:.2f} ms in JSON mode; json.loads alone before another mode: {loads * 1e3:.2f} ms"
    )
    try:
        ContributionsIn.model_validate(json.loads(text), context=context)
    except ValidationError as error:
        print(
            f"the same request in strict Python mode: {error.error_count()} faults, like {error.errors()[0]['msg']!r}"
        )


def measure_catch_up(db: HashDB) -> None:
    """Decision 4: measure reading the head of the log, and catching up before a match."""
    alpha = member(db)
    contributions.contribute(db, alpha, [draft()])
    db.index.catch_up()
    nothing_new = median_seconds(db.index.catch_up, 500)
    lagging = HashDB(db.store, db.rules)
    lagging.index.catch_up()
    waits = []
    for _ in range(100):
        new_draft = draft()
        contributions.contribute(db, alpha, [new_draft])
        started = time.perf_counter()
        response = matches.match(lagging, alpha, [Query(new_draft.signals)])
        waits.append(time.perf_counter() - started)
        assert len(response.results[0].matches) == 1
    print(
        f"reading the head: {nothing_new * 1e6:.0f} µs; catching up with one contribution and matching it:"
        f" {median(waits) * 1e3:.1f} ms"
    )


def measure_known_contributions(db: HashDB) -> None:
    """Decision 7: measure a thousand new contributions, and the same thousand again."""
    alpha = member(db)
    fill(db, alpha, 20_000)
    new = [draft() for _ in range(1_000)]
    first, known = (seconds(lambda: contributions.contribute(db, alpha, new)) for _ in range(2))
    print(f"1,000 in one request beside 20,000 of the member's: {first:.2f} s new, {known:.2f} s known")


def measure_added_signals(db: HashDB) -> None:
    """Decision 60: measure contributions with 25 signals, and adding 13 signals to them, in batches and one by one."""
    alpha, parts = member(db), [Algorithm.PHASH256] * 35
    items = [(draft(), tuple(map(signal, parts))) for _ in range(3_000)]
    drafts = [replace(item, signals=(*item.signals, *more[:22])) for item, more in items]
    contributing, adding = 0.0, 0.0
    for start in range(0, len(items), 1_000):
        started = time.perf_counter()
        receipt = contributions.contribute(db, alpha, drafts[start : start + 1_000])
        contributing += time.perf_counter() - started
        ids = [item.contribution.id for item in receipt.recorded]
        pairs = zip(ids, items[start : start + 1_000], strict=True)
        wanted = [Addition(id, (*item.signals, *more)) for id, (item, more) in pairs]
        started = time.perf_counter()
        additions.add(db, alpha, wanted)
        adding += time.perf_counter() - started
    single = median_seconds(
        lambda: additions.add_one(db, alpha, Addition(ids.pop(), wanted[len(ids)].signals[:-1])), 200
    )
    sought = [signal for draft, _ in items[-500:] for signal in draft.signals[:2]]
    finding = seconds(lambda: additions.list_holding(db, alpha, sought, 0, 1_000))
    print(
        f"3,000 contributions with 25 signals: {3_000 / contributing:,.0f} a second; 13 signals added to each:"
        f" {3_000 / adding:,.0f} a second, or {1 / single:,.0f} that are known, one by one;"
        f" found by their signals: {500 / finding:,.0f} a second"
    )


def measure_suspension(db: HashDB) -> None:
    """Decision 5: measure the time until a suspension has effect, and until the log has all its events."""
    alpha = member(db)
    fill(db, alpha, 10_000)
    assert alpha.member is not None
    id, suspended = alpha.member.id, MemberChange(status=MemberStatus.SUSPENDED)
    acted = seconds(lambda: members.change(db, COMMAND_LINE, id, suspended))
    batches = []
    while True:
        start = time.perf_counter()
        if not contributions.emit_pending(db):
            break
        batches.append(time.perf_counter() - start)
    print(
        f"suspending a member with 10,000 contributions: effective after {acted * 1e3:.0f} ms;"
        f" {sum(batches):.1f} s until the log has all events,"
        f" in {len(batches)} transactions of at most {max(batches) * 1e3:.0f} ms"
    )


def measure_test_item() -> None:
    """Decision 21: measure the comparison of a signal with that of the test item."""
    signals = [signal(Algorithm.PDQ) for _ in range(10_000)]
    duration = median_seconds(lambda: [near_test_item(each, 31) for each in signals], 30)
    print(f"comparing a signal with that of the test item: {duration * 1e2:.2f} µs")


def fill(db: HashDB, actor: Actor, count: int) -> None:
    for _ in range(count // 1_000):
        contributions.contribute(db, actor, [draft() for _ in range(1_000)])


def draft() -> Draft:
    """A draft with a signal of each algorithm that is on by default."""
    algorithms = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
    return Draft(tuple(map(signal, algorithms)), ("glorification",), NOW, quality=90)


def signal(algorithm: Algorithm) -> Signal:
    return Signal(algorithm, sum(1 << bit for bit in RNG.sample(range(algorithm.bits), algorithm.bits // 2)))


def member(db: HashDB) -> Actor:
    """Add a member with a key; return the actor."""
    return new_actor(db, Scope.CONTRIBUTE, Scope.MATCH, name=f"member {RNG.random()}")


if __name__ == "__main__":
    main()
