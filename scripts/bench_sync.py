"""How long a copy takes to fill, and a change to arrive: `python -m scripts.bench_sync [THOUSANDS [HOME]]`.

A service with two workers and the member's `hashdb sync` share one machine. Each contribution has a PDQ and a phash.
So many thousand are made; in a HOME they are kept, for the next time.
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


def main(thousands: int, kept: Path | None) -> None:
    """Print what was measured."""
    print(report.machine_sentence(report.machine("numpy", "pydantic", "httpx")))
    rng = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory() as place:
        home = kept or Path(place, "service")
        if not (home / "secret").exists():
            started = time.perf_counter()
            (home / "secret").write_text(fill(home, thousands, rng))
            print(f"{thousands:,} thousand contributions made in {time.perf_counter() - started:.0f} s, seed {SEED}\n")
        secret = (home / "secret").read_text()
        with serving(home) as url, Client(url, secret) as client:
            given = environment(Path(place, "own"), HASHDB_URL=url, HASHDB_KEY=secret)
            sync([sys.executable, "-m", "hashdb", "sync"], given, Path(place, "own", "local"))
            follow([sys.executable, "-m", "hashdb", "sync", "--follow"], given, client, rng)
        match(Path(place, "own", "local"), rng)


def fill(home: Path, thousands: int, rng: np.random.Generator) -> str:
    """Contribute so many thousands as a member does; return a key of it."""
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


def sync(words: list[str], given: dict[str, str], folder: Path) -> None:
    """Fill an empty copy."""
    started = time.perf_counter()
    said = subprocess.run(words, env=given, capture_output=True, text=True, check=True).stdout
    taken = time.perf_counter() - started
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    print(f"from nothing: {taken:.1f} s, {size / 1e6:,.0f} MB on disk ({said.strip()})")
    started = time.perf_counter()
    subprocess.run(words, env=given, capture_output=True, check=True)
    print(f"with nothing new: {time.perf_counter() - started:.1f} s, most of which the program takes to start")


def follow(words: list[str], given: dict[str, str], client: Client, rng: np.random.Generator) -> None:
    """Measure from the answer to a contribution to the line that tells that it is in the copy."""
    with subprocess.Popen(words, env=given, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        took = []
        for draft in drafts(rng, _CHANGES):
            time.sleep(float(rng.uniform(0, 0.3)))
            client.contribute([draft])
            started = time.perf_counter()
            process.stdout.readline()
            took.append(time.perf_counter() - started)
        process.kill()
    print(
        f"a change arrives after {np.median(took) * 1e3:.0f} ms (median of {_CHANGES}), {max(took) * 1e3:.0f} at most"
    )


def match(folder: Path, rng: np.random.Generator) -> None:
    """Ask the copy one query at a time."""
    with LocalIndex(folder) as index:
        started = time.perf_counter()
        index.match([Query(drafts(rng, 1)[0].signals)])
        opened = time.perf_counter() - started
        took = []
        for draft in drafts(rng, _QUERIES):
            started = time.perf_counter()
            index.match([Query(draft.signals)])
            took.append(time.perf_counter() - started)
    p50, p99 = np.percentile(took, (50, 99)) * 1e3
    print(f"the first match in the copy: {opened * 1e3:.0f} ms; then {p50:.2f} ms (p50), {p99:.2f} ms (p99)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else THOUSANDS, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
