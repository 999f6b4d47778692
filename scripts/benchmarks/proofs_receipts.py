"""Measure receipts: their size, and the time to verify and to create one."""

from __future__ import annotations

import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.ledger.notes import split_note
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.ledger.receipts import Receipt
from hashdb.service import HashDB
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.receipts import ChosenEvent, receipt
from hashdb.service.ledger.signing import Signing
from hashdb.settings import Settings
from hashdb.store import Store
from scripts.benchmarks import report
from scripts.benchmarks.report import Figures, Part, Target

_EVENTS, _QUICK, _BATCH, _TIMES = 1_000_000, 20_000, 10_000, 300
_MOST_OCTETS, _MOST_MS = 4_096, 10
_TIME = 1_790_000_000
_DETAILS: Details = {
    "member": 3,
    "kind": "platform",
    "labels": ["glorification", "incitement"],
    "algorithms": ["pdq", "phash", "phash256"],
    "media": "image",
    "basis": "terms",
    "severity": 2,
    "seconds_to_share": 3_600,
    "seconds_to_remove": 86_400,
    "commitment": "5f" * 32,
}
"""The details of the event of a contribution, with all fields."""
_WITNESSES = {"none": 0, "one": 1, "two": 2, "three": 3}


def _measure(quick: bool) -> Figures:
    events = _QUICK if quick else _EVENTS
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/hashdb.sqlite")
        store.migrate()
        signing = Signing(Path(folder, "signing.key"), Path(folder, "checkpoints.txt"), "hashes.example/log")
        db = HashDB(store, Settings().rules(), signing=signing)
        checkpoints.start(db)
        _fill(db, events)
        rng, size = random.Random(1), store.head().seq
        chosen = [ChosenEvent(rng.randint(size // 2, size)) for _ in range(_TIMES)]
        remaining_events = iter(chosen)
        making = _milliseconds(lambda: receipt(db, COMMAND_LINE, next(remaining_events)))
        largest = max((receipt(db, COMMAND_LINE, event) for event in chosen), key=lambda event: len(str(event)))
        log = checkpoints.log(db).verifiers
        db.close()
    body = split_note(largest.note)[0]
    figures: dict[str, object] = {"events": size, "load": os.getloadavg()[0], "hashes": len(largest.hashes)}
    for type in KeyType:
        keys = [Cosigner.new(f"witness.example.org/{i}", type) for i in range(3)]
        lines = [key.cosign(body, _TIME) for key in keys]
        for name, count in _WITNESSES.items():
            witness_lines = "".join(f"witness w{i} {key.key}\n" for i, key in enumerate(keys[:count]))
            names = " ".join(f"w{i}" for i in range(count))
            policy = Policy.parse(
                witness_lines + (f"group all all {names}\nquorum all\n" if count else "quorum none\n")
            )
            text = str(Receipt(largest.event, largest.index, largest.hashes, largest.note + "".join(lines[:count])))
            verifying = _milliseconds(lambda text=text, policy=policy: Receipt.parse(text).verify(policy, log))  # type: ignore[misc]
            figures[f"{type.name.lower()}_{name}"] = {"octets": len(text.encode()), **verifying}
    return figures | {"making": making}


def _fill(db: HashDB, count: int) -> None:
    for first in range(1, count + 1, _BATCH):
        ids = range(first, min(count + 1, first + _BATCH))
        with db.store.begin() as tx:
            entries = [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, _DETAILS) for id in ids]
            tx.audit.append(db.now(), SYSTEM, entries)
    print(f"{db.store.head().seq:,} events", file=sys.stderr)


def _milliseconds(act: Callable[[], object]) -> dict[str, float]:
    elapsed, processor = [], []
    for _ in range(_TIMES):
        started, work_started = time.perf_counter(), time.process_time()
        act()
        elapsed.append((time.perf_counter() - started) * 1e3)
        processor.append((time.process_time() - work_started) * 1e3)
    return {"ms": statistics.median(elapsed), "processor_p99_ms": sorted(processor)[-_TIMES // 100]}


def _targets(figures: Figures) -> Sequence[Target]:
    three = figures["ed25519_three"]
    return [
        report.at_most("receipt with three witnesses", _MOST_OCTETS, three["octets"], "octets"),
        report.at_most("verification of it, median", _MOST_MS, three["ms"], "ms"),
    ]


def _lines(figures: Figures) -> Sequence[str]:
    rows: list[Sequence[object]] = []
    for type, title in (("ed25519", "Ed25519"), ("ml_dsa_44", "ML-DSA-44")):
        for name in _WITNESSES if type == "ed25519" else ("one", "three"):
            figure = figures[f"{type}_{name}"]
            witnesses = "none" if name == "none" else f"{name}, {title}"
            times = report.number(figure["ms"]), report.number(figure["processor_p99_ms"])
            rows.append((witnesses, f"{figure['octets']:,}", *times))
    making, load = figures["making"], report.number(figures["load"])
    return [
        "",
        f"Receipts of events in a log of {figures['events']:,} events, whose proofs have {figures['hashes']} hashes.",
        "A log that is ten times as long adds 3 or 4 hashes, with 45 octets each.",
        "The event is that of a contribution with all details; a cosignature with ML-DSA-44 has 3,300 octets.",
        f"The load of the machine was {load}: above the number of cores, all times but processor times are longer.",
        *report.table(("witnesses", "octets", "ms to verify", "processor ms, 99 % within"), rows),
        f"The service needs {report.number(making['ms'])} ms to make a receipt over a checkpoint that it signs"
        " (median), from SQLite.",
    ]


PART = Part("Receipts", _measure, _targets, _lines)
