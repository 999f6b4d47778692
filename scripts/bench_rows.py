"""Measure the bytes of a contribution with one hash in the database: `python -m scripts.bench_rows [COUNT]`.

The figure includes the log. The service stores the contributions a thousand at a time, in random order of their values.
The database is not vacuumed.
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
COUNT = 100_000
_BATCH = 1_000


def main(count: int) -> None:
    """Print the table, and write docs/benchmarks/rows.json."""
    machine = report.machine("sqlalchemy", "psycopg")
    print(report.machine_sentence(machine))
    print(f"\n| {count:,} contributions of one PDQ hash | bytes each |\n|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "hashdb.sqlite")
        embedded = round(_bytes_each(f"sqlite:///{path}", count, lambda: path.stat().st_size))
        print(f"| SQLite, its file | {embedded:,} |", flush=True)
    with own_server() as server, server.new_database() as url:
        shared = round(_bytes_each(url, count, lambda: _database_size(url)))
        print(f"| PostgreSQL, pg_database_size | {shared:,} |")
    results = {"machine": machine, "contributions": count, "sqlite": embedded, "postgresql": shared}
    FILE.write_text(json.dumps(results, indent=1) + "\n", "utf-8")


def _bytes_each(url: str, count: int, size: Callable[[], int]) -> float:
    """The growth of the database for each of `count` contributions, in bytes."""
    schemas.make(url)
    db, rng = open_hashdb(url, Settings().rules()), np.random.default_rng(SEED)
    actor, empty = new_actor(db, Scope.CONTRIBUTE), size()
    for _ in range(count // _BATCH):
        now = datetime.now(UTC)
        drafts = [
            Draft((Signal(Algorithm.PDQ, value),), ("glorification",), now, quality=90)
            for value in balanced_values(rng, _BATCH, Algorithm.PDQ.bits)
        ]
        contributions.contribute(db, actor, drafts)
    db.store.scrub()
    db.close()
    return (size() - empty) / (count // _BATCH * _BATCH)


def _database_size(url: str) -> int:
    engine = create_engine(url)
    with engine.connect() as connection:
        result = connection.execute(text("SELECT pg_database_size(:name)"), {"name": make_url(url).database})
        size: int = result.scalar_one()
    engine.dispose()
    return size


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else COUNT)
