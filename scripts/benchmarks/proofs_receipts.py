"""Receipts: how large one is, how long its verification takes, and how long the service needs to make it."""

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
from hashdb.domain.ledger.checkpoints import split_note
from hashdb.domain.ledger.cosignatures import Cosigner, KeyType
from hashdb.domain.ledger.events import Action, Details, LogEntry
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
"""Those of an addition with all that it may have."""
_WITNESSES = {"none": 0, "one": 1, "two": 2, "three": 3}


def _measure(quick: bool) -> Figures:
    many = _QUICK if quick else _EVENTS
    with tempfile.TemporaryDirectory() as folder:
        store = Store(f"sqlite:///{folder}/hashdb.sqlite")
        store.migrate()
        signing = Signing(Path(folder, "signing.key"), Path(folder, "checkpoints.txt"), "hashes.example/log")
        db = HashDB(store, Settings().rules(), signing=signing)
        checkpoints.start(db)
        _fill(db, many)
        rng, size = random.Random(1), store.head().seq
        chosen = [ChosenEvent(rng.randint(size // 2, size)) for _ in range(_TIMES)]
        left = iter(chosen)
        making = _milliseconds(lambda: receipt(db, COMMAND_LINE, next(left)))
        bare = max((receipt(db, COMMAND_LINE, one) for one in chosen), key=lambda one: len(str(one)))
        log = checkpoints.log(db).verifiers
        db.close()
    body = split_note(bare.note)[0]
    found: dict[str, object] = {"events": size, "load": os.getloadavg()[0], "hashes": len(bare.hashes)}
    for type in KeyType:
        keys = [Cosigner.new(f"witness.example.org/{i}", type) for i in range(3)]
        lines = [key.cosign(body, _TIME) for key in keys]
        for name, count in _WITNESSES.items():
            named = "".join(f"witness w{i} {key.key}\n" for i, key in enumerate(keys[:count]))
            names = " ".join(f"w{i}" for i in range(count))
            policy = Policy.parse(named + (f"group all all {names}\nquorum all\n" if count else "quorum none\n"))
            text = str(Receipt(bare.event, bare.index, bare.hashes, bare.note + "".join(lines[:count])))
            verifying = _milliseconds(lambda text=text, policy=policy: Receipt.parse(text).verify(policy, log))  # type: ignore[misc]
            found[f"{type.name.lower()}_{name}"] = {"octets": len(text.encode()), **verifying}
    return found | {"making": making}


def _fill(db: HashDB, many: int) -> None:
    for first in range(1, many + 1, _BATCH):
        ids = range(first, min(many + 1, first + _BATCH))
        with db.store.begin() as tx:
            entries = [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", id, _DETAILS) for id in ids]
            tx.audit.append(db.now(), SYSTEM, entries)
    print(f"{db.store.head().seq:,} events", file=sys.stderr)


def _milliseconds(act: Callable[[], object]) -> dict[str, float]:
    taken, worked = [], []
    for _ in range(_TIMES):
        begun, begun_work = time.perf_counter(), time.process_time()
        act()
        taken.append((time.perf_counter() - begun) * 1e3)
        worked.append((time.process_time() - begun_work) * 1e3)
    return {"ms": statistics.median(taken), "processor_p99_ms": sorted(worked)[-_TIMES // 100]}


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
            one = figures[f"{type}_{name}"]
            said = "none" if name == "none" else f"{name}, {title}"
            rows.append((said, f"{one['octets']:,}", report.number(one["ms"]), report.number(one["processor_p99_ms"])))
    making, load = figures["making"], report.number(figures["load"])
    return [
        "",
        f"Receipts of events in a log of {figures['events']:,} events, whose proofs have {figures['hashes']} hashes.",
        "A log that is ten times as long adds 3 or 4 hashes, with 45 octets each.",
        "The event is that of a contribution with all details; a cosignature with ML-DSA-44 has 3,300 octets.",
        f"The load of the machine was {load}: above the number of cores, times but those of the processor are longer.",
        *report.table(("witnesses", "octets", "ms to verify", "processor ms, 99 % within"), rows),
        f"The service needs {report.number(making['ms'])} ms to make a receipt over a checkpoint that it signs"
        " (median), from SQLite.",
    ]


PART = Part("Receipts", _measure, _targets, _lines)
