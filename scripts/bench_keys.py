"""Measures whether the time of a refusal tells how close a wrong key is to a right one: `python -m scripts.bench_keys`.

Wrong secrets that share 0, 8 or all but one of a right one's characters are asked about in turn, and the medians of
their times compared by a permutation test, as is done against timing attacks (Brumley and Boneh, 2003, and since).
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from tempfile import TemporaryDirectory

from hashdb.domain.accounts.members import Scope
from hashdb.errors import NotAuthenticated
from hashdb.service import HashDB, open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from scripts.benchmarks.homes import new_key

SHARED = (0, 8, 46)


def main() -> None:
    """Print the median time of each kind of wrong key, and how likely such a difference is by chance."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--times", type=int, default=20_000, help="questions of each kind (default: 20,000)")
    times = parser.parse_args().times
    with TemporaryDirectory() as home:
        db = open_hashdb(f"sqlite:///{home}/hashdb.sqlite", Settings().rules())
        secret = new_key(db, Scope.MATCH)
        members.authenticate(db, secret)
        measured = _measured(db, secret, times)
        db.close()
    for shared, found in measured.items():
        print(f"{shared:2} characters shared: median {statistics.median(found) / 1000:.2f} microseconds")
    first, *others = (measured[shared] for shared in SHARED)
    for shared, found in zip(SHARED[1:], others, strict=True):
        print(f"0 against {shared} shared: a difference like this or larger by chance: p = {_chance(first, found):.2f}")


def _measured(db: HashDB, secret: str, times: int) -> dict[int, list[int]]:
    """Nanoseconds of each question, by how many characters are shared; the kinds in turn, so that noise is shared."""
    rng, found = random.Random(1), {shared: list[int]() for shared in SHARED}
    for _ in range(times):
        for shared in rng.sample(SHARED, len(SHARED)):
            wrong = secret[: max(4, shared)] + "".join(rng.choices("abcdefgh0123", k=len(secret) - max(4, shared)))
            started = time.perf_counter_ns()
            try:
                members.authenticate(db, wrong)
            except NotAuthenticated:
                found[shared].append(time.perf_counter_ns() - started)
    return found


def _chance(first: list[int], second: list[int], rounds: int = 500) -> float:
    """How often medians differ as much where the same times are divided at random."""
    difference, rng = abs(statistics.median(first) - statistics.median(second)), random.Random(2)
    together, larger, half = [*first, *second], 0, len(first)
    for _ in range(rounds):
        rng.shuffle(together)
        larger += abs(statistics.median(together[:half]) - statistics.median(together[half:])) >= difference
    return larger / rounds


if __name__ == "__main__":
    main()
