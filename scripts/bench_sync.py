"""Measure the time to fill a local copy, and until a change arrives: `python -m scripts.bench_sync [THOUSANDS [HOME]]`.

A service with two workers and the member's `hashdb sync` run on this machine. Each contribution has a PDQ and a phash.
THOUSANDS is the number of contributions in thousands. A HOME keeps them for the next run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hashdb.client import Client
from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Draft
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.local import LocalIndex
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.settings import Settings
from scripts.benchmarks import report
from scripts.benchmarks.data import SEED, balanced_values
from scripts.benchmarks.homes import environment, new_home
from tests.serving import serving

THOUSANDS = 1_000
_CHANGES, _QUERIES = 30, 2_000


def main(thousands: int, kept_home: Path | None) -> None:
    """Measure, and print the figures."""
    print(report.machine_sentence(report.machine("numpy", "pydantic", "httpx")))
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as folder:
        home = kept_home or Path(folder, "service")
        if not (home / "secret").exists():
            started = time.perf_counter()
            (home / "secret").write_text(fill(home, thousands, rng))
            print(
                f"{thousands:,} thousand contributions stored in {time.perf_counter() - started:.0f} s, seed {SEED}\n"
            )
        secret = (home / "secret").read_text()
        with serving(home) as url, Client(url, secret) as client:
            variables = environment(Path(folder, "own"), HASHDB_URL=url, HASHDB_KEY=secret)
            sync([sys.executable, "-m", "hashdb", "sync"], variables, Path(folder, "own", "local"))
            follow([sys.executable, "-m", "hashdb", "sync", "--follow"], variables, client, rng)
        match(Path(folder, "own", "local"), rng)


def fill(home: Path, thousands: int, rng: np.random.Generator) -> str:
    """Store contributions of a new member; return the secret of its key."""
    secret, settings = new_home(home, *Scope), Settings(home=home)
    db = open_hashdb(settings.database, settings.rules())
    actor = members.authenticate(db, secret)
    for _ in range(thousands):
        contributions.contribute(db, actor, drafts(rng, 1_000))
    db.close()
    return secret


def drafts(rng: np.random.Generator, count: int) -> list[Draft]:
    """Drafts of random values with half of their bits set."""
    now = datetime.now(UTC)
    values = zip(balanced_values(rng, count, 256), balanced_values(rng, count, 64), strict=True)
    return [
        Draft((Signal(Algorithm.PDQ, pdq), Signal(Algorithm.PHASH, phash)), ("glorification",), now, 90, basis="terms")
        for pdq, phash in values
    ]


def sync(command: list[str], variables: dict[str, str], folder: Path) -> None:
    """Measure filling an empty copy, and a sync without changes."""
    started = time.perf_counter()
    output = subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout
    seconds = time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"from nothing: {seconds:.1f} s, {size / 1e6:,.0f} MB on disk ({output.strip()})")
    started = time.perf_counter()
    subprocess.run(command, env=variables, capture_output=True, check=True)
    print(f"without changes: {time.perf_counter() - started:.1f} s, mostly for the start of the program")


def follow(command: list[str], variables: dict[str, str], client: Client, rng: np.random.Generator) -> None:
    """Measure the time from the response to a contribution to the line of `hashdb sync` about it."""
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        times = []
        for draft in drafts(rng, _CHANGES):
            time.sleep(float(rng.uniform(0, 0.3)))
            client.contribute([draft])
            started = time.perf_counter()
            process.stdout.readline()
            times.append(time.perf_counter() - started)
        process.kill()
    print(
        f"a change arrives after {np.median(times) * 1e3:.0f} ms (median of {_CHANGES}), {max(times) * 1e3:.0f} at most"
    )


def match(folder: Path, rng: np.random.Generator) -> None:
    """Measure single matches in the copy."""
    with LocalIndex(folder) as index:
        started = time.perf_counter()
        index.match([Query(drafts(rng, 1)[0].signals)])
        first = time.perf_counter() - started
        times = []
        for draft in drafts(rng, _QUERIES):
            started = time.perf_counter()
            index.match([Query(draft.signals)])
            times.append(time.perf_counter() - started)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    print(f"the first match in the copy: {first * 1e3:.0f} ms; then {p50:.2f} ms (p50), {p99:.2f} ms (p99)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else THOUSANDS, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
