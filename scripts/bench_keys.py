"""Test whether the time to reject a wrong key depends on how similar it is to a key: `python -m scripts.bench_keys`.

Wrong secrets share 0, 8 or all but one of the characters of a valid secret. They are checked in turn, and a permutation
test compares the medians of the times, as for timing attacks (Brumley and Boneh, 2003).
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
    """Print the median time for each kind of wrong key, and the probability of such a difference by chance."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--times", type=int, default=20_000, help="number of checks of each kind (default: 20,000)")
    times = parser.parse_args().times
    with TemporaryDirectory() as home:
        db = open_hashdb(f"sqlite:///{home}/hashdb.sqlite", Settings().rules())
        secret = new_key(db, Scope.MATCH)
        members.authenticate(db, secret)
        times_by_shared = _measure(db, secret, times)
        db.close()
    for shared, nanoseconds in times_by_shared.items():
        print(f"{shared:2} characters shared: median {statistics.median(nanoseconds) / 1000:.2f} microseconds")
    first, *others = (times_by_shared[shared] for shared in SHARED)
    for shared, other in zip(SHARED[1:], others, strict=True):
        probability = _probability(first, other)
        print(f"0 against {shared} shared: a difference like this or larger by chance: p = {probability:.2f}")


def _measure(db: HashDB, secret: str, times: int) -> dict[int, list[int]]:
    """Nanoseconds of each check, by the number of shared characters. The kinds alternate, to share the noise."""
    rng, nanoseconds = random.Random(1), {shared: list[int]() for shared in SHARED}
    for _ in range(times):
        for shared in rng.sample(SHARED, len(SHARED)):
            wrong = secret[: max(4, shared)] + "".join(rng.choices("abcdefgh0123", k=len(secret) - max(4, shared)))
            started = time.perf_counter_ns()
            try:
                members.authenticate(db, wrong)
            except NotAuthenticated:
                nanoseconds[shared].append(time.perf_counter_ns() - started)
    return nanoseconds


def _probability(first: list[int], second: list[int], rounds: int = 500) -> float:
    """The share of random divisions of the same times in which the medians differ at least as much."""
    difference, rng = abs(statistics.median(first) - statistics.median(second)), random.Random(2)
    all_times, larger, half = [*first, *second], 0, len(first)
    for _ in range(rounds):
        rng.shuffle(all_times)
        larger += abs(statistics.median(all_times[:half]) - statistics.median(all_times[half:])) >= difference
    return larger / rounds


if __name__ == "__main__":
    main()
