"""One key sends batches of 1,000 queries that all find one value with 3,000 holders, to keep a worker busy."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from hashdb.domain.accounts.members import Scope
from hashdb.domain.signals import Algorithm, Signal
from scripts.attacks import Finding
from scripts.attacks._service import Target, contribute, item, service
from tests.builders import near, signal

SECONDS = 180
_HOLDERS = 3_000
_BOUND = 0.5
"""Seconds of a batch on two cores that do nothing else, without the time in which its 20,000 matches are sent."""


def run() -> Iterator[Finding]:
    """Time batches of equal and of different queries."""
    popular = signal(1)
    with service() as target:
        contribute_often(target, target.key(target.member("Popular"), Scope.CONTRIBUTE), popular, _HOLDERS)
        key = target.key(target.member("Attacker"), Scope.MATCH)
        for name, spread in (("equal", 1), ("different", 25)):
            asked = [near(popular, bits % spread, bits) for bits in range(1_000)]
            took = min(_spent(target, key, asked) for _ in range(5))
            yield Finding(
                f"1,000 {name} queries that find a value with {_HOLDERS:,} holders",
                f"at most {_BOUND} s until the answer begins",
                f"{took:.2f} s",
                took <= _BOUND,
            )


def contribute_often(target: Target, key: str, value: Signal, count: int, severity: int = 0) -> None:
    """Contribute the value in `count` contributions, each with a signal of its own beside it."""
    others = (signal(10_000 + number, Algorithm.PHASH256) for number in range(count))
    with target.client(key) as client:
        contribute(client, [item(value, other, severity=severity) for other in others])


def _spent(target: Target, key: str, asked: Sequence[Signal]) -> float:
    """Seconds from the request to the first byte of the answer."""
    body = {"queries": [{"signals": [str(one)]} for one in asked]}
    with target.client(key) as client:
        client.get("/v1/me").raise_for_status()
        started = time.perf_counter()
        with client.stream("POST", "/v1/matches", json=body) as response:
            took = time.perf_counter() - started
            response.raise_for_status()
            response.read()
    return took
