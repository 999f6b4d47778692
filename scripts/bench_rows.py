"""Bytes that the database takes for a contribution of one hash, log included: `python -m scripts.bench_rows [MANY]`.

Contributed by the service a thousand at a time, in no order of their values, as they come; nothing is vacuumed.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from sqlalchemy import create_engine, make_url, text

from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Draft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.service import open_hashdb
from hashdb.service.contributions import contributions
from hashdb.settings import Settings
from scripts.benchmarks import report
from scripts.benchmarks.data import SEED, balanced_values
from scripts.benchmarks.homes import new_actor
from tests import schemas
from tests.postgres import own_server

FILE = report.FOLDER / "rows.json"
MANY = 100_000
_AT_ONCE = 1_000


def main(many: int) -> None:
    """Print the table, and write docs/benchmarks/rows.json."""
    machine = report.machine("sqlalchemy", "psycopg")
    print(report.machine_sentence(machine))
    print(f"\n| {many:,} contributions of one PDQ hash | bytes each |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hashdb.sqlite")
        embedded = round(_each(f"sqlite:///{path}", many, lambda: path.stat().st_size))
        print(f"| SQLite, its file | {embedded:,} |", flush=True)
    with own_server() as server, server.new_database() as url:
        shared = round(_each(url, many, lambda: _size(url)))
        print(f"| PostgreSQL, pg_database_size | {shared:,} |")
    told = {"machine": machine, "contributions": many, "sqlite": embedded, "postgresql": shared}
    FILE.write_text(json.dumps(told, indent=1) + "\n", "utf-8")


def _each(url: str, many: int, size: Callable[[], int]) -> float:
    """Bytes by which the database grows for each of so many."""
    schemas.make(url)
    db, rng = open_hashdb(url, Settings().rules()), np.random.default_rng(SEED)
    actor, empty = new_actor(db, Scope.CONTRIBUTE), size()
    for _ in range(many // _AT_ONCE):
        now = datetime.now(UTC)
        drafts = [
            Draft((Signal(Algorithm.PDQ, value),), ("glorification",), now, quality=90)
            for value in balanced_values(rng, _AT_ONCE, Algorithm.PDQ.bits)
        ]
        contributions.contribute(db, actor, drafts)
    db.store.scrub()
    db.close()
    return (size() - empty) / (many // _AT_ONCE * _AT_ONCE)


def _size(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        found = connection.execute(text("SELECT pg_database_size(:name)"), {"name": make_url(url).database})
        size: int = found.scalar_one()
    engine.dispose()
    return size


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else MANY)
