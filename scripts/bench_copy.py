"""Measure `hashdb copy-to` with a million contributions, from SQLite to PostgreSQL and back.

    scripts/bench copy [--contributions COUNT] [--quick]

Each contribution has three signals and an event. Each command runs in its own process. The PostgreSQL server runs on
this machine and does not wait for its disk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hashdb.domain.accounts.members import COMMAND_LINE, MemberDraft, MemberKind
from hashdb.domain.contributions import Draft
from hashdb.domain.signals import Signal
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions.recording import added_entry
from hashdb.service.ledger import checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.settings import Settings
from hashdb.store import Store
from scripts.benchmarks.homes import environment
from tests.postgres import OwnServer, own_server

_BATCH = 2_000
ALGORITHMS = Settings().rules().algorithms
RNG = random.Random(20_240)


def main() -> None:
    """Fill a database, copy it to PostgreSQL and back, and print the times."""
    parser = argparse.ArgumentParser(prog="scripts/bench copy", description=__doc__.partition("\n")[0])
    parser.add_argument("--contributions", type=int, default=1_000_000, help="number of contributions (default: 1 M)")
    parser.add_argument("--quick", action="store_true", help="20,000 contributions: under two minutes")
    arguments = parser.parse_args()
    count = 20_000 if arguments.quick else arguments.contributions
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {count:,} contributions")
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name, own_server() as server:
        home = Path(name) / "home"
        home.mkdir()
        fill(home, count)
        with server.new_database() as url:
            copy("SQLite to PostgreSQL", home, {}, url, server)
            back = f"sqlite:///{home / 'back.sqlite'}"
            copy("PostgreSQL to SQLite", home, {"HASHDB_DATABASE_URL": url}, back, server)


def fill(home: Path, count: int) -> None:
    """Write contributions with their events to the database, without the rules and the index."""
    settings = Settings(home=home)
    store = Store(settings.database)
    store.migrate()
    db = HashDB(store, settings.rules(), signing=Signing(settings.signing_key, home / "checkpoints.txt", "log.example"))
    checkpoints.start(db)
    member = members.add(db, COMMAND_LINE, MemberDraft("Member", MemberKind.PLATFORM))
    start = time.perf_counter()
    for _ in range(0, count, _BATCH):
        now = datetime.now(UTC)
        drafts = [
            Draft(
                tuple(Signal(algorithm, RNG.getrandbits(algorithm.bits)) for algorithm in ALGORITHMS),
                labels=("glorification",),
                removed_at=now - timedelta(hours=1),
                quality=90,
                reference=f"item-{RNG.getrandbits(48):x}",
            )
            for _ in range(_BATCH)
        ]
        with store.begin() as tx:
            entries = [added_entry(member, each) for each in tx.contributions.add(member, drafts, now)]
            tx.audit.append(now, COMMAND_LINE, entries)
    checkpoints.keep(db, at_once=True)
    print(f"{store.count_rows():,} rows written in {time.perf_counter() - start:.0f} s")
    db.close()


def copy(title: str, home: Path, settings: dict[str, str], url: str, server: OwnServer) -> None:
    """Run one copy, which also compares and verifies; print the elapsed time and the processor time."""
    command = [sys.executable, "-m", "hashdb", "copy-to", "--json"]
    start, of_command, of_server = time.perf_counter(), processor_seconds(), processor_seconds(server)
    variables = environment(home, HASHDB_COPY_TO=url, **settings)
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    elapsed = time.perf_counter() - start
    of_command, of_server = processor_seconds() - of_command, processor_seconds(server) - of_server
    rows, memory = sum(result["tables"].values()), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{title}: {rows:,} rows written, compared and verified in {elapsed:.0f} s, at most {memory:,.0f} MB;")
    print(f"  processor time: {of_command:.0f} s for the command and {of_server:.0f} s for PostgreSQL")


def processor_seconds(server: OwnServer | None = None) -> float:
    """Processor seconds of all finished commands, or of all finished connections of a server."""
    if server is None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime
    # The fields of the finished children of a process, after its name in brackets.
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
