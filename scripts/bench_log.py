"""The log at a million events and more: appending, checkpoints, proofs, verifying. PostgreSQL by HASHDB_DATABASE_URL.

    scripts/bench log [EVENTS [FOLDER] | --quick]

A million by default, a tenth of it with --quick. Each event adds a contribution, whose row is there. The database must
be empty, or be one that this has made: with a FOLDER, which is kept, each run appends at most four millions, and
measures when all are there; one that was broken off leaves a FOLDER to be removed. What appending costs is measured
with the tree and without it, in turns.
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
_A_RUN = 4_000_000
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


def main(count: int, kept: Path | None = None) -> None:
    """Everything, on the database of the environment or on SQLite in a folder of its own, or in one that is kept."""
    with kept_or_temporary(kept) as folder:
        measure(count, folder)


def measure(count: int, folder: Path) -> None:
    """Append what is missing, in as many runs as that takes, then ask and verify."""
    url = os.environ.get("HASHDB_DATABASE_URL", f"sqlite:///{folder / 'hashdb.sqlite'}")
    store = Store(url)
    store.migrate()
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {url.partition(':')[0]}")
    signing = Signing(folder / "signing.key", folder / "checkpoints.txt", "log.example")
    db = HashDB(store, Settings().rules(), signing=signing)
    checkpoints.start(db)
    for number in range(_MEMBER if store.head().seq < _BATCH else 0):
        members.add(db, COMMAND_LINE, MemberDraft(f"Member {number}", MemberKind.PLATFORM))
    there = store.head().seq
    if store.embedded and there < _BATCH:
        appending()
    if there < count:
        fill(db, url, min(count - there, _A_RUN))
        checkpoints.keep(db, at_once=True)
    if store.head().seq >= count:
        proving(db)
        verifying(db)
        print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:,.0f} MB of memory")
    db.close()


def appending() -> None:
    """What the tree adds to an append of one event, and of a thousand, in stores of their own."""
    names = vars(events)
    grown = names["grow"]
    for size in (1, _BATCH):
        taken: dict[str, list[float]] = {"with the tree": [], "without": []}
        for _ in range(_ROUNDS):
            for how, times in taken.items():
                with tempfile.TemporaryDirectory() as name:
                    store = Store(f"sqlite:///{name}/hashdb.sqlite")
                    store.migrate()
                    append(store, range(_BATCH - 1))
                    names["grow"] = grown if how == "with the tree" else lambda *given: b""
                    times.append(seconds(lambda store=store, size=size: append(store, range(size))))  # type: ignore[misc]
                    names["grow"] = grown
                    store.close()
        told = ", ".join(f"{median(times) * 1e3:.2f} ms {how}" for how, times in taken.items())
        print(f"appending {size:,} in one transaction, durable: {told}")


def fill(db: HashDB, url: str, count: int) -> None:
    """Append that many events, a thousand at a time; tell what the first and the last took, and what of it the tree.

    Their subjects come in no order, which is what takes the index of events the longest.
    """
    names, trees, times = vars(events), [], []
    grown = names["grow"]

    def timed(*given: Any) -> bytes:
        started = time.perf_counter()
        peaks: bytes = grown(*given)
        trees.append(time.perf_counter() - started)
        return peaks

    names["grow"] = timed
    before = db.store.head().seq
    ids = list(range(before, before + -(-count // _BATCH) * _BATCH))
    RNG.shuffle(ids)
    record(url, sorted(ids))
    for start in range(0, len(ids), _BATCH):
        some = ids[start : start + _BATCH]
        times.append(seconds(lambda some=some: append(db.store, some)))  # type: ignore[misc]
    names["grow"] = grown
    print(f"{len(ids):,} events in {sum(times):.0f} s")
    for when, part in {"beginning": slice(0, 50), "end": slice(-50, None)}.items():
        whole, tree = median(times[part]) * 1e3, median(trees[part]) * 1e3
        print(f"a thousand took {whole:.1f} ms at the {when}, of which the tree {tree:.1f} ms (medians of 50)")


def proving(db: HashDB) -> None:
    """A checkpoint and proofs, and that they hold."""
    size = db.store.head().seq
    checkpoint, _ = read_checkpoint(checkpoints.latest(db), checkpoints.log(db).verifiers)
    taken: dict[str, list[float]] = {"a checkpoint": [], "inclusion": [], "consistency": []}
    for _ in range(300):
        seq = RNG.randint(1, size)
        taken["a checkpoint"].append(seconds(lambda: checkpoints.latest(db)))
        taken["inclusion"].append(seconds(lambda seq=seq: checkpoints.inclusion(db, SYSTEM, seq, size)))  # type: ignore[misc]
        taken["consistency"].append(seconds(lambda seq=seq: checkpoints.consistency(db, SYSTEM, seq, size)))  # type: ignore[misc]
        assert checkpoints.inclusion(db, SYSTEM, seq, size).proves(checkpoint)
    for what, times in taken.items():
        times.sort()
        print(f"{what} at {size:,} events: {median(times) * 1e3:.2f} ms (median), {times[-4] * 1e3:.2f} ms (p99)")


def verifying(db: HashDB) -> None:
    """Every row and the whole tree, without what the tables must hold, and with it."""
    names, taken = vars(verification), []
    replay, wrong_tables = names["ExpectedRecords"].replay, names["wrong_tables"]
    key_findings = names["_key_findings"]
    for what in ("the log alone", "the tables, too"):
        if what == "the log alone":
            names["ExpectedRecords"].replay = lambda *given: None
            names["wrong_tables"] = lambda *given: ()
            names["_key_findings"] = lambda *given: []
        start, worked = time.perf_counter(), time.process_time()
        verdict = verification.verify(db, COMMAND_LINE)
        taken.append(time.perf_counter() - start)
        worked = time.process_time() - worked
        names["ExpectedRecords"].replay, names["wrong_tables"], names["_key_findings"] = (
            replay,
            wrong_tables,
            key_findings,
        )
        assert not verdict.findings
        print(
            f"verifying {verdict.size:,} events, {what}: {taken[-1]:.1f} s, of which {worked:.1f} s of processor time"
        )
    print(f"with the tables it takes {taken[1] / taken[0]:.2f} times as long")


def record(url: str, ids: Sequence[int]) -> None:
    """The rows of contributions, without signals: no event vouches for those."""
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
            LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, told) for id, told in zip(ids, details, strict=True)
        ]
        tx.audit.append(datetime.now(UTC), SYSTEM, entries)


if __name__ == "__main__":
    given = sys.argv[1:] or ["1000000"]
    main(100_000 if given == ["--quick"] else int(given[0]), *map(Path, given[1:]))
