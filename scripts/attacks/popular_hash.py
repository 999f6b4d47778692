"""One key sends batches of 1,000 queries that all match one value of 3,000 contributions, to keep a worker busy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from hashdb.domain.accounts.members import Scope
from hashdb.domain.signals import Algorithm, Signal
from scripts.attacks import Finding
from scripts.attacks._service import Target, contribute, item, service
from tests.builders import near, signal

SECONDS = 180
_CONTRIBUTIONS = 3_000
_BOUND = 0.5
"""Seconds of a batch on two idle cores, without the time to send its 20,000 matches."""


def run() -> Iterator[Finding]:
    """Time batches of equal and of different queries."""
    popular = signal(1)
    with service() as target:
        contribute_often(target, target.key(target.member("Popular"), Scope.CONTRIBUTE), popular, _CONTRIBUTIONS)
        key = target.key(target.member("Attacker"), Scope.MATCH)
        for name, spread in (("equal", 1), ("different", 25)):
            queries = [near(popular, bits % spread, bits) for bits in range(1_000)]
            seconds = min(_first_byte_seconds(target, key, queries) for _ in range(5))
            yield Finding(
                f"1,000 {name} queries that match a value of {_CONTRIBUTIONS:,} contributions",
                f"at most {_BOUND} s until the response begins",
                f"{seconds:.2f} s",
                seconds <= _BOUND,
            )


def contribute_often(target: Target, key: str, value: Signal, count: int, severity: int = 0) -> None:
    """Contribute the value in `count` contributions, each with a different second signal."""
    others = (signal(10_000 + number, Algorithm.PHASH256) for number in range(count))
    with target.client(key) as client:
        contribute(client, [item(value, other, severity=severity) for other in others])


def _first_byte_seconds(target: Target, key: str, queries: Sequence[Signal]) -> float:
    """Seconds from the request to the first byte of the response."""
    body = {"queries": [{"signals": [str(query)]} for query in queries]}
    with target.client(key) as client:
        client.get("/v1/me").raise_for_status()
        start = time.perf_counter()
        with client.stream("POST", "/v1/matches", json=body) as response:
            seconds = time.perf_counter() - start
            response.raise_for_status()
            response.read()
    return seconds
