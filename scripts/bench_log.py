"""Measure the log with a million events or more: appending, checkpoints, proofs and verification.

    scripts/bench log [EVENTS [FOLDER] | --quick]

The default is a million events, or 100,000 with --quick. HASHDB_DATABASE_URL selects PostgreSQL. Each event belongs to
a contribution, whose row is in the database. The database must be empty, or filled by this benchmark: with a FOLDER,
which is kept, each run appends at most four million events, and measures once all of them exist. Delete the FOLDER of
an interrupted run. Appending is measured with and without the tree, in turns.
"""

from __future__ import annotations

import os
import platform
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import create_engine

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM, MemberDraft, MemberKind
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.checkpoints import read_checkpoint
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.ledger import checkpoints, verification
from hashdb.service.ledger.signing import Signing
from hashdb.settings import Settings
from hashdb.store import Store
from hashdb.store.ledger import events
from hashdb.store.repositories import insert_rows
from hashdb.store.tables import contributions
from scripts.benchmarks.homes import kept_or_temporary, seconds

_BATCH, _ROUNDS = 1_000, 40
_MOST_A_RUN = 4_000_000
_MEMBER = 3
_DETAILS: Details = {
    "member": _MEMBER,
    "kind": "platform",
    "labels": ["glorification"],
    "algorithms": ["pdq", "phash", "phash256"],
    "media": "image",
    "basis": "terms",
    "severity": 2,
    "seconds_to_share": 3_600,
    "seconds_to_remove": None,
}
RNG = random.Random(1)


def main(count: int, kept_folder: Path | None = None) -> None:
    """Measure on the database of the environment, or on SQLite in a kept or a temporary folder."""
    with kept_or_temporary(kept_folder) as folder:
        measure(count, folder)


def measure(count: int, folder: Path) -> None:
    """Append missing events; once all of them exist, measure proofs and the verification."""
    url = os.environ.get("HASHDB_DATABASE_URL", f"sqlite:///{folder / 'hashdb.sqlite'}")
    store = Store(url)
    store.migrate()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {url.partition(':')[0]}")
    signing = Signing(folder / "signing.key", folder / "checkpoints.txt", "log.example")
    db = HashDB(store, Settings().rules(), signing=signing)
    checkpoints.start(db)
    for number in range(_MEMBER if store.head().seq < _BATCH else 0):
        members.add(db, COMMAND_LINE, MemberDraft(f"Member {number}", MemberKind.PLATFORM))
    existing = store.head().seq
    if store.embedded and existing < _BATCH:
        measure_appending()
    if existing < count:
        fill(db, url, min(count - existing, _MOST_A_RUN))
        checkpoints.keep(db, at_once=True)
    if store.head().seq >= count:
        measure_proofs(db)
        measure_verification(db)
        print(f"maximum memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB")
    db.close()


def measure_appending() -> None:
    """Measure what the tree adds to an append of one event and of a thousand, each in a new store."""
    names = vars(events)
    grow = names["grow"]
    for size in (1, _BATCH):
        times_by_mode: dict[str, list[float]] = {"with the tree": [], "without": []}
        for _ in range(_ROUNDS):
            for mode, times in times_by_mode.items():
                with tempfile.TemporaryDirectory() as name:
                    store = Store(f"sqlite:///{name}/hashdb.sqlite")
                    store.migrate()
                    append(store, range(_BATCH - 1))
                    names["grow"] = grow if mode == "with the tree" else lambda *given: b""
                    times.append(seconds(lambda store=store, size=size: append(store, range(size))))  # type: ignore[misc]
                    names["grow"] = grow
                    store.close()
        figures = ", ".join(f"{median(times) * 1e3:.2f} ms {mode}" for mode, times in times_by_mode.items())
        print(f"appending {size:,} in one transaction, durable: {figures}")


def fill(db: HashDB, url: str, count: int) -> None:
    """Append `count` events, a thousand at a time; print the time of the first and the last ones, and of the tree.

    Their subjects are in random order, which is the slowest order for the index of events.
    """
    names, trees, times = vars(events), [], []
    grow = names["grow"]

    def timed(*arguments: Any) -> bytes:
        started = time.perf_counter()
        peaks: bytes = grow(*arguments)
        trees.append(time.perf_counter() - started)
        return peaks

    names["grow"] = timed
    before = db.store.head().seq
    ids = list(range(before, before + -(-count // _BATCH) * _BATCH))
    RNG.shuffle(ids)
    write_contributions(url, sorted(ids))
    for start in range(0, len(ids), _BATCH):
        batch = ids[start : start + _BATCH]
        times.append(seconds(lambda batch=batch: append(db.store, batch)))  # type: ignore[misc]
    names["grow"] = grow
    print(f"{len(ids):,} events in {sum(times):.0f} s")
    for when, part in {"beginning": slice(0, 50), "end": slice(-50, None)}.items():
        whole, tree = median(times[part]) * 1e3, median(trees[part]) * 1e3
        print(f"a thousand took {whole:.1f} ms at the {when}, {tree:.1f} ms of it for the tree (medians of 50)")


def measure_proofs(db: HashDB) -> None:
    """Measure a checkpoint and proofs, and check the proofs."""
    size = db.store.head().seq
    checkpoint, _ = read_checkpoint(checkpoints.latest(db), checkpoints.log(db).verifiers)
    times_by_kind: dict[str, list[float]] = {"a checkpoint": [], "inclusion": [], "consistency": []}
    for _ in range(300):
        seq = RNG.randint(1, size)
        times_by_kind["a checkpoint"].append(seconds(lambda: checkpoints.latest(db)))
        times_by_kind["inclusion"].append(seconds(lambda seq=seq: checkpoints.inclusion(db, SYSTEM, seq, size)))  # type: ignore[misc]
        times_by_kind["consistency"].append(seconds(lambda seq=seq: checkpoints.consistency(db, SYSTEM, seq, size)))  # type: ignore[misc]
        assert checkpoints.inclusion(db, SYSTEM, seq, size).proves(checkpoint)
    for kind, times in times_by_kind.items():
        times.sort()
        print(f"{kind} at {size:,} events: {median(times) * 1e3:.2f} ms (median), {times[-4] * 1e3:.2f} ms (p99)")


def measure_verification(db: HashDB) -> None:
    """Verify every event and the whole tree, without and with the comparison of the tables."""
    names, elapsed = vars(verification), []
    replay, wrong_tables = names["ExpectedRecords"].replay, names["wrong_tables"]
    key_findings = names["_key_findings"]
    for scope in ("the log alone", "the tables, too"):
        if scope == "the log alone":
            names["ExpectedRecords"].replay = lambda *arguments: None
            names["wrong_tables"] = lambda *arguments: ()
            names["_key_findings"] = lambda *arguments: []
        start, processor = time.perf_counter(), time.process_time()
        result = verification.verify(db, COMMAND_LINE)
        elapsed.append(time.perf_counter() - start)
        processor = time.process_time() - processor
        names["ExpectedRecords"].replay, names["wrong_tables"], names["_key_findings"] = (
            replay,
            wrong_tables,
            key_findings,
        )
        assert not result.findings
        print(f"verifying {result.size:,} events, {scope}: {elapsed[-1]:.1f} s, {processor:.1f} s of a processor")
    print(f"with the tables it takes {elapsed[1] / elapsed[0]:.2f} times as long")


def write_contributions(url: str, ids: Sequence[int]) -> None:
    """Write the rows of contributions, without signals, which the events do not cover."""
    now = datetime.now(UTC)
    row = {
        "member_id": _MEMBER,
        "received_at": now,
        "labels": tuple(_DETAILS["labels"] or ()),  # type: ignore[arg-type]
        "media": _DETAILS["media"],
        "basis": _DETAILS["basis"],
        "severity": _DETAILS["severity"],
        "context": (),
        "standing": str(Standing.UNREVIEWED),
        "announced": str(Status.ACTIVE),
    }
    engine = create_engine(url)
    with engine.begin() as connection:
        for start in range(0, len(ids), 10 * _BATCH):
            insert_rows(connection, contributions, [{"id": id, **row} for id in ids[start : start + 10 * _BATCH]])
    engine.dispose()


def append(store: Store, ids: Sequence[int]) -> None:
    with store.begin() as tx:
        details = ({**_DETAILS, "seconds_to_share": RNG.randrange(10**6)} for _ in ids)
        entries = [
            LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, each) for id, each in zip(ids, details, strict=True)
        ]
        tx.audit.append(datetime.now(UTC), SYSTEM, entries)


if __name__ == "__main__":
    arguments = sys.argv[1:] or ["1000000"]
    main(100_000 if arguments == ["--quick"] else int(arguments[0]), *map(Path, arguments[1:]))
