"""Measure the steps of the reviewers' queue by its length, and how much longer they take than in the shortest queue.

Every case has a dispute, and half of the cases are in piles. Each step is repeated; the median counts.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.review.queues import MOST_WITHOUT_PILE, QueueOrder, QueueQuery
from hashdb.service import HashDB
from hashdb.service.review import claims, queues
from hashdb.settings import Settings
from hashdb.store import Store
from hashdb.store.repositories import insert_rows
from hashdb.store.tables import cases, contributions, members
from scripts.benchmarks.homes import median_seconds
from tests.postgres import postgres_server

SIZES = (100, 1_000, 10_000)
_TIMES = 15
_LABELS = ("glorification", "recruitment", "manifesto")
_NOW = datetime.now(UTC)
_STEPS: dict[str, Callable[[HashDB], object]] = {
    "first page, by due time": lambda db: queues.queue(db, COMMAND_LINE),
    "first page, by severity": lambda db: queues.queue(db, COMMAND_LINE, QueueQuery(order=QueueOrder.SEVERITY)),
    "first page, one label": lambda db: queues.queue(db, COMMAND_LINE, QueueQuery(label="manifesto")),
    "counts by label, severity, member, reason, age": lambda db: queues.count(db, COMMAND_LINE),
    "take the next case": lambda db: claims.take_next(db, COMMAND_LINE, QueueQuery()),
    "take the next case, by severity": lambda db: claims.take_next(
        db, COMMAND_LINE, QueueQuery(order=QueueOrder.SEVERITY)
    ),
    "take the next case of a label": lambda db: claims.take_next(db, COMMAND_LINE, QueueQuery(label="manifesto")),
}


def main() -> None:
    """Measure each size on each database."""
    parser = argparse.ArgumentParser(prog="scripts/bench queue", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    sizes = parser.parse_args().sizes
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hashdb-bench-")))
        server = stack.enter_context(postgres_server())
        for name in ("SQLite", "PostgreSQL"):
            milliseconds_by_step: dict[str, list[float]] = {step: [] for step in _STEPS}
            for size in sizes:
                sqlite = f"sqlite:///{folder}/{size}.sqlite"
                url = sqlite if name == "SQLite" else stack.enter_context(server.new_database())
                for step, milliseconds in _measure(url, size).items():
                    milliseconds_by_step[step].append(milliseconds)
            print(f"{name}: milliseconds at {', '.join(map(str, sizes))} open cases")
            for step, values in milliseconds_by_step.items():
                figures = "".join(f"{value:9.1f}" for value in values)
                print(f"  {step:48s}{figures}   {values[-1] / values[0]:.1f} times")


def _measure(url: str, size: int) -> dict[str, float]:
    store = Store(url)
    store.migrate()
    _fill(store, size)
    db = HashDB(store, Settings().rules())
    milliseconds = {step: median_seconds(partial(act, db), _TIMES) * 1e3 for step, act in _STEPS.items()}
    db.close()
    return milliseconds


def _fill(store: Store, size: int) -> None:
    piled = max(1, size // 2 // (2 * MOST_WITHOUT_PILE))
    opener_count = size // 2 + piled
    common = {"kind": "platform", "status": "active", "contact": "", "created_at": _NOW}
    item = {"media": "image", "context": (), "received_at": _NOW, "standing": "disputed", "announced": "active"}
    with store.begin() as tx:
        insert_rows(
            tx.connection, members, [{"id": id, "name": f"Member {id}", **common} for id in range(1, opener_count + 1)]
        )
        contribution_rows = [
            {"id": id, "member_id": id % opener_count + 1, "labels": (_LABELS[id % 3],), "severity": id % 5, **item}
            for id in range(1, size + 1)
        ]
        insert_rows(tx.connection, contributions, contribution_rows)
        opening_times = [_NOW - timedelta(minutes=size - id) for id in range(1, size + 1)]
        case_rows = [
            {
                "id": id,
                "contribution_id": id,
                "reason": "other",
                "holds": False,
                "opened_at": at,
                "due_at": at + timedelta(hours=72),
                "opener": id % piled + 1 if id % 2 else piled + id // 2,
            }
            for id, at in enumerate(opening_times, 1)
        ]
        insert_rows(tx.connection, cases, case_rows)
    with store.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()


if __name__ == "__main__":
    main()
