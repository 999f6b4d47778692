"""Measure the tree over the active set: the time of an event, the time to build the first tree, and its size."""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select, text

from hashdb.domain.accounts.members import COMMAND_LINE, SYSTEM
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.times import to_microseconds
from hashdb.service import HashDB, open_hashdb
from hashdb.service.ledger import active_set
from hashdb.settings import Settings
from hashdb.store.tables import set_blocks
from scripts.benchmarks import report
from scripts.benchmarks.homes import median_seconds, seconds
from scripts.benchmarks.report import Figures, Part, Target
from tests import schemas

_CONTRIBUTIONS, _QUICK = 10_000_000, 200_000
_MOST_MS = 10
_TIMES = 30
_BATCH = 500_000
_INSERT_EVENTS = text(
    "WITH RECURSIVE ids(id) AS (SELECT :first UNION ALL SELECT id + 1 FROM ids WHERE id < :last)"
    " INSERT INTO events (seq, at, actor, action, subject_kind, subject_id, details, leaf)"
    " SELECT id, :at, 'key\\:1', 'contribution.added', 'contribution', id,"
    " :front || lower(hex(randomblob(32))) || :back, randomblob(32) FROM ids"
)
"""Insert events of contributions as the service writes them, with random leaves, which this benchmark does not read."""
_FRONT = '{"basis":null,"commitment":"'
_BACK = '","labels":["glorification"],"media":"image","member":1,"severity":null}'


def _measure(quick: bool) -> Figures:
    count = _QUICK if quick else _CONTRIBUTIONS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hashdb.sqlite")
        schemas.make(f"sqlite:///{path}")
        db = open_hashdb(f"sqlite:///{path}", Settings().rules())
        _fill(db, count)
        before = path.stat().st_size
        steps = _build(db)
        db.store.scrub()
        figures = {
            "contributions": count,
            "load": os.getloadavg()[0],
            "build_seconds": sum(steps),
            "longest_step_seconds": max(steps),
            "tree_mb": _tree_mb(db),
            "file_mb": (path.stat().st_size - before) / 1e6,
            "one": _milliseconds_an_event(db, count, 1),
            "ten": _milliseconds_an_event(db, count, 10),
            "thousand": _milliseconds_an_event(db, count, 1_000),
            "in_order": _milliseconds_an_event(db, count, 1_000, in_order=True),
            "nothing_ms": _milliseconds(lambda: active_set.keep(db, at_once=True)),
            "block_ms": _milliseconds(
                lambda: active_set.get_block(db, COMMAND_LINE, 0, random.randrange(count // 256))
            ),
            "verify_seconds": seconds(lambda: _verify(db)),
        }
        db.close()
    return figures


def _fill(db: HashDB, count: int) -> None:
    """Write a log with `count` contributions."""
    at = to_microseconds(datetime.now(UTC))
    for first in range(1, count + 1, _BATCH):
        last = min(count, first + _BATCH - 1)
        with db.store.begin() as tx:
            values = {"first": first, "last": last, "at": at, "front": _FRONT, "back": _BACK}
            tx.connection.execute(_INSERT_EVENTS, values)
            peaks = bytes(32 * last.bit_count())
            tx.connection.execute(text("UPDATE log SET seq = :last, peaks = :peaks"), {"last": last, "peaks": peaks})
        print(f"{last:,} contributions", file=sys.stderr)


def _build(db: HashDB) -> list[float]:
    """Build the first tree; return the seconds of each step."""
    steps = list[float]()
    while True:
        started = time.perf_counter()
        with db.store.read() as tx:
            step = active_set._next_step(tx)
        assert step is not None and active_set._store(db, step)
        steps.append(time.perf_counter() - started)
        if step.reaches_head:
            return steps


def _milliseconds_an_event(db: HashDB, contributions: int, count: int, *, in_order: bool = False) -> Figures:
    """Milliseconds for each of `count` events between two roots, and for the write of the tree.

    Only the fastest run counts: other work on the machine can only make a run slower.
    """
    rng, elapsed, processor, writes = random.Random(count), list[float](), list[float](), list[float]()
    for _ in range(_TIMES if count < 100 else 5):
        ids = rng.sample(range(1, contributions), count)
        if in_order:
            first = rng.randrange(1, contributions - count)
            ids = list(range(first, first + count))
        actions = rng.choices((Action.CONTRIBUTION_DISPUTED, Action.CONTRIBUTION_WITHDRAWN), k=count)
        entries = [LogEntry(action, "contribution", id, {}) for action, id in zip(actions, ids, strict=True)]
        with db.store.begin() as tx:
            tx.audit.append(db.now(), SYSTEM, entries)
        started, work_started = time.perf_counter(), time.process_time()
        last, write = False, 0.0
        while not last:
            with db.store.read() as tx:
                step = active_set._next_step(tx)
            if step is None:
                break
            write_started = time.perf_counter()
            active_set._store(db, step)
            write = max(write, time.perf_counter() - write_started)
            last = step.reaches_head
        elapsed.append((time.perf_counter() - started) * 1e3 / count)
        processor.append((time.process_time() - work_started) * 1e3 / count)
        writes.append(write * 1e3)
    return {"events": count, "ms": min(elapsed), "processor_ms": min(processor), "write_ms": min(writes)}


def _milliseconds(act: Callable[[], object]) -> float:
    return median_seconds(act, _TIMES) * 1e3


def _tree_mb(db: HashDB) -> float:
    with db.store.read() as tx:
        return float(tx.connection.execute(select(func.sum(func.length(set_blocks.c.hashes)))).scalar_one()) / 1e6


def _verify(db: HashDB) -> None:
    """Rebuild the whole tree from the events and compare it, as a verification does."""
    with db.store.read() as tx:
        assert list(active_set.differences(db, tx, lambda count: None)) == []


def _targets(figures: Figures) -> Sequence[Target]:
    what = f"root of {figures['contributions'] / 1e6:g} M contributions after one event"
    return [report.at_most(what, _MOST_MS, figures["one"]["ms"], "ms")]


def _lines(figures: Figures) -> Sequence[str]:
    figures_and_places = [(figures[name], "anywhere") for name in ("one", "ten", "thousand")]
    figures_and_places.append((figures["in_order"], "with ids in a row"))
    rows = [
        (
            f"{figure['events']:,}, {place}",
            *(report.number(figure[name]) for name in ("ms", "processor_ms", "write_ms")),
        )
        for figure, place in figures_and_places
    ]
    load = report.number(figures["load"])
    return [
        "",
        f"The tree over {figures['contributions']:,} contributions, in SQLite.",
        "The time is that of the task that records a root, divided by the number of events since the last root.",
        "The fastest of 30 runs counts, of 5 with 1,000 events. While the task writes, no other process does.",
        f"The load of the machine was {load}: above the number of cores, all times are longer.",
        *report.table(("events between two roots", "ms an event", "processor ms", "ms of the write"), rows),
        *report.table(
            ("", ""),
            [
                ("first tree of a database, all", f"{report.number(figures['build_seconds'])} s"),
                ("its longest step", f"{report.number(figures['longest_step_seconds'])} s"),
                ("blocks of the tree", f"{report.number(figures['tree_mb'])} MB"),
                ("growth of the file", f"{report.number(figures['file_mb'])} MB"),
                ("nothing to do", f"{report.number(figures['nothing_ms'])} ms"),
                ("a block for a reader", f"{report.number(figures['block_ms'])} ms"),
                ("the tree in a verification of the log", f"{report.number(figures['verify_seconds'])} s"),
            ],
        ),
    ]


PART = Part("The tree over the active set", _measure, _targets, _lines)
