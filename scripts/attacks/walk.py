"""One key finds stored hashes bit by bit from a near-duplicate, with and without distances, and guesses others."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence

import httpx

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Scope
from hashdb.domain.ledger.events import Action
from hashdb.domain.signals import Algorithm, Signal
from scripts.attacks import Finding
from scripts.attacks._service import Target, contribute, item, service
from tests.builders import near, signal

SECONDS = 300
ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
STORED = 2_000
"""Contributions with a phash alone, which random values may match."""
EXTRAPOLATED = 768_000
"""The number of contributions for which the cost is extrapolated."""
ALARM_SECONDS = 10.0


class Reader:
    """The client of a member, which counts its queries and requests."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.queries = self.requests = 0

    def match(self, queries: Sequence[Sequence[Signal]]) -> list[list[dict]] | None:  # type: ignore[type-arg]
        """The matches of each query; None if a budget is exhausted."""
        body = {"queries": [{"signals": [str(signal) for signal in signals]} for signals in queries]}
        response = self._client.post("/v1/matches", json=body)
        if response.status_code == 429:
            return None
        self.queries += len(queries)
        self.requests += 1
        return [result["matches"] for result in response.raise_for_status().json()["results"]]


Walk = Callable[[Reader, Signal], Signal]


def run() -> Iterator[Finding]:
    """Recover the stored signals with distances and without them, then guess other signals."""
    with service() as target:
        owner = target.client(target.key(target.member("Owner"), Scope.CONTRIBUTE))
        stored = tuple(signal(1, algorithm) for algorithm in ALGORITHMS)
        contribute(owner, [item(*stored)])
        for hides, walk in ((False, _walk_with_distances), (True, _walk_without_distances)):
            secret = target.key(target.member(f"Reader {hides}"), Scope.MATCH, hides_distances=hides)
            yield _recovered(target, Reader(target.client(secret)), stored, hides, walk)
        contribute(owner, [item(signal(10_000 + seed, Algorithm.PHASH)) for seed in range(STORED)])
        yield _guesses(Reader(target.client(target.key(target.member("Guesser"), Scope.MATCH))))


def _recovered(target: Target, reader: Reader, stored: Sequence[Signal], hides: bool, walk: Walk) -> Finding:
    alarms, began = _alarms(target), time.monotonic()
    results = [walk(reader, near(value, value.algorithm.radius // 2, seed=7)) for value in stored]
    took = time.monotonic() - began
    while _alarms(target) == alarms and time.monotonic() - began < ALARM_SECONDS:
        time.sleep(0.2)
    alarmed = _alarms(target) > alarms
    days = EXTRAPOLATED * reader.queries / Budget.QUERIES.amount
    right = sum(result == value for result, value in zip(results, stored, strict=True))
    measured = (
        f"{right} of {len(stored)} signals recovered in {reader.queries:,} queries, {reader.requests} requests,"
        f" {took:.2f} s;"
        f" {f'alarm after {time.monotonic() - began:.1f} s' if alarmed else 'no alarm'};"
        f" {EXTRAPOLATED:,} contributions take {days:,.0f} days of one key's budget"
    )
    tried = f"walk from a near copy {'without' if hides else 'with'} distances"
    return Finding(tried, f"an alarm names the key within {ALARM_SECONDS:.0f} s", measured, alarmed)


def _walk_with_distances(reader: Reader, start: Signal) -> Signal:
    """Flip each bit, and read the distance: it falls for each bit that differs."""
    algorithm = start.algorithm
    values = [start, *(_flip(start, 1 << bit) for bit in range(algorithm.bits))]
    distances = [_distance(matches, algorithm) for matches in reader.match([[value] for value in values]) or []]
    wrong = sum(1 << bit for bit, distance in enumerate(distances[1:]) if distance < distances[0])
    return _flip(start, wrong)


def _walk_without_distances(reader: Reader, start: Signal) -> Signal:
    """Find a value at the radius without distances; from there, flipping a bit that differs still matches."""
    algorithm = start.algorithm
    steps = [_flip(start, (1 << bits) - 1) for bits in range(algorithm.bits + 1)]
    inside = [bool(matches) for matches in reader.match([[value] for value in steps]) or []]
    border = steps[inside.index(False) - 1] if False in inside else start
    around = reader.match([[_flip(border, 1 << bit)] for bit in range(algorithm.bits)]) or []
    return _flip(border, sum(1 << bit for bit, matches in enumerate(around) if matches))


def _guesses(reader: Reader) -> Finding:
    rng, start, ids = random.Random(5), time.monotonic(), set[int]()
    sent = 0
    while sent <= 3 * Budget.SHORT_SIGNALS.amount:
        guesses = [[_random_signal(rng) for _ in range(50)] for _ in range(80)]
        results = reader.match(guesses)
        if results is None:
            break
        sent += 4_000
        ids |= {match["contribution"] for matches in results for match in matches}
    took = time.monotonic() - start
    bound = Budget.SHORT_SIGNALS.amount
    expected = len(ids) / STORED * EXTRAPOLATED
    measured = (
        f"{sent:,} signals in {reader.queries:,} queries, {reader.requests} requests, {took:.1f} s, then rejected;"
        f" {len(ids)} of {STORED:,} found (of {EXTRAPOLATED:,} some {expected:,.0f} a day)"
    )
    return Finding("random signals of 64 bits", f"{bound:,} signals a day by one key", measured, sent <= 2 * bound)


def _random_signal(rng: random.Random) -> Signal:
    return Signal(Algorithm.PHASH, sum(1 << bit for bit in rng.sample(range(64), 32)))


def _flip(signal: Signal, bits: int) -> Signal:
    return Signal(signal.algorithm, signal.value ^ bits)


def _distance(matches: list[dict], algorithm: Algorithm) -> int:  # type: ignore[type-arg]
    """The distance of the contribution; one more than the radius if there is no match."""
    return int(matches[0]["distance"][algorithm]) if matches else algorithm.radius + 1


def _alarms(target: Target) -> int:
    with target.db.store.read() as tx:
        return len(tx.audit.events(0, 1_000, None, Action.KEY_SUSPECTED, None))
