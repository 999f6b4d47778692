"""One key reads stored hashes bit by bit from a near-duplicate, with and without distances, and guesses others."""

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
"""Contributions with a phash alone, among which random values may find one."""
LIST = 768_000
"""The length of the list to which the cost is extrapolated."""
ALARM_WITHIN = 10.0


class Reader:
    """A member's program that counts what it asks."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client
        self.queries = self.requests = 0

    def ask(self, queries: Sequence[Sequence[Signal]]) -> list[list[dict]] | None:  # type: ignore[type-arg]
        """The matches of each query; None where a budget is used up."""
        sent = {"queries": [{"signals": [str(one) for one in signals]} for signals in queries]}
        answer = self._client.post("/v1/matches", json=sent)
        if answer.status_code == 429:
            return None
        self.queries += len(queries)
        self.requests += 1
        return [result["matches"] for result in answer.raise_for_status().json()["results"]]


Walk = Callable[[Reader, Signal], Signal]


def run() -> Iterator[Finding]:
    """Walk with distances, walk without, and guess."""
    with service() as target:
        owner = target.client(target.key(target.member("Owner"), Scope.CONTRIBUTE))
        stored = tuple(signal(1, algorithm) for algorithm in ALGORITHMS)
        contribute(owner, [item(*stored)])
        for hides, walk in ((False, _told), (True, _blind)):
            secret = target.key(target.member(f"Reader {hides}"), Scope.MATCH, hides_distances=hides)
            yield _walked(target, Reader(target.client(secret)), stored, hides, walk)
        contribute(owner, [item(signal(10_000 + seed, Algorithm.PHASH)) for seed in range(STORED)])
        yield _guessed(Reader(target.client(target.key(target.member("Guesser"), Scope.MATCH))))


def _walked(target: Target, reader: Reader, stored: Sequence[Signal], hides: bool, walk: Walk) -> Finding:
    told, began = _alarms(target), time.monotonic()
    found = [walk(reader, near(one, one.algorithm.radius // 2, seed=7)) for one in stored]
    took = time.monotonic() - began
    while _alarms(target) == told and time.monotonic() - began < ALARM_WITHIN:
        time.sleep(0.2)
    alarmed = _alarms(target) > told
    days = LIST * reader.queries / Budget.QUERIES.amount
    right = sum(one == other for one, other in zip(found, stored, strict=True))
    measured = (
        f"{right} of {len(stored)} signals recovered in {reader.queries:,} queries, {reader.requests} requests,"
        f" {took:.2f} s;"
        f" {f'alarm after {time.monotonic() - began:.1f} s' if alarmed else 'no alarm'};"
        f" {LIST:,} contributions take {days:,.0f} days of one key's budget"
    )
    tried = f"walk from a near copy {'without' if hides else 'with'} distances"
    return Finding(tried, f"an alarm names the key within {ALARM_WITHIN:.0f} s", measured, alarmed)


def _told(reader: Reader, start: Signal) -> Signal:
    """Who is told distances flips each bit: the distance falls where it differs."""
    algorithm = start.algorithm
    asked = [start, *(_flipped(start, 1 << bit) for bit in range(algorithm.bits))]
    distances = [_distance(matches, algorithm) for matches in reader.ask([[one] for one in asked]) or []]
    wrong = sum(1 << bit for bit, distance in enumerate(distances[1:]) if distance < distances[0])
    return _flipped(start, wrong)


def _blind(reader: Reader, start: Signal) -> Signal:
    """Who is told none goes to the border first; from there a flipped bit is a match where it differs."""
    algorithm = start.algorithm
    steps = [_flipped(start, (1 << bits) - 1) for bits in range(algorithm.bits + 1)]
    inside = [bool(matches) for matches in reader.ask([[one] for one in steps]) or []]
    border = steps[inside.index(False) - 1] if False in inside else start
    around = reader.ask([[_flipped(border, 1 << bit)] for bit in range(algorithm.bits)]) or []
    return _flipped(border, sum(1 << bit for bit, matches in enumerate(around) if matches))


def _guessed(reader: Reader) -> Finding:
    rng, began, found = random.Random(5), time.monotonic(), set[int]()
    sent = 0
    while sent <= 3 * Budget.SHORT_SIGNALS.amount:
        guesses = [[_random(rng) for _ in range(50)] for _ in range(80)]
        matches = reader.ask(guesses)
        if matches is None:
            break
        sent += 4_000
        found |= {match["contribution"] for some in matches for match in some}
    took = time.monotonic() - began
    bound = Budget.SHORT_SIGNALS.amount
    expected = len(found) / STORED * LIST
    measured = (
        f"{sent:,} signals in {reader.queries:,} queries, {reader.requests} requests, {took:.1f} s, then refused;"
        f" {len(found)} of {STORED:,} found (of {LIST:,} some {expected:,.0f} a day)"
    )
    return Finding("random signals of 64 bits", f"{bound:,} signals a day by one key", measured, sent <= 2 * bound)


def _random(rng: random.Random) -> Signal:
    return Signal(Algorithm.PHASH, sum(1 << bit for bit in rng.sample(range(64), 32)))


def _flipped(one: Signal, bits: int) -> Signal:
    return Signal(one.algorithm, one.value ^ bits)


def _distance(matches: list[dict], algorithm: Algorithm) -> int:  # type: ignore[type-arg]
    """How far the contribution is; just outside where there is none."""
    return int(matches[0]["distance"][algorithm]) if matches else algorithm.radius + 1


def _alarms(target: Target) -> int:
    with target.db.store.read() as tx:
        return len(tx.audit.events(0, 1_000, None, Action.KEY_SUSPECTED, None))
