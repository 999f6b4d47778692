"""Batches of 1,000 queries that all find one value with 3,000 holders: the work ends with the answer."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from hashdb.domain.members import Scope
from hashdb.domain.signals import Algorithm, Signal
from scripts.attacks import Finding
from scripts.attacks._service import Target, service
from tests.builders import near, signal

SECONDS = 180
_HOLDERS, _FEW = 3_000, 20
_BOUND = 3.0
"""Times an answer of as many matches may take whose value has few holders: work for nothing took ten times as long."""


def run() -> Iterator[Finding]:
    """Time batches of equal and of different queries, beside ones that find 20 holders: both answer 20,000 matches."""
    popular, usual = signal(1), signal(2)
    with service() as target:
        contributor = target.key(target.member("Popular"), Scope.CONTRIBUTE)
        contribute(target, contributor, popular, _HOLDERS)
        contribute(target, contributor, usual, _FEW)
        key = target.key(target.member("Attacker"), Scope.MATCH)
        for name, spread in (("equal", 1), ("different", 25)):
            found, alike = ([near(one, bits % spread, bits) for bits in range(1_000)] for one in (popular, usual))
            pairs = [(_spent(target, key, found), _spent(target, key, alike)) for _ in range(5)]
            took, usually = (min(times) for times in zip(*pairs, strict=True))
            yield Finding(
                f"1,000 {name} queries that find a value with {_HOLDERS:,} holders",
                f"at most {_BOUND:.0f} times as long as with {_FEW} holders",
                f"{took:.2f} s, with {_FEW} holders {usually:.2f} s",
                took <= _BOUND * usually,
            )


def contribute(target: Target, key: str, value: Signal, count: int, severity: int = 0) -> None:
    """Contribute the value in `count` contributions, each with a signal of its own beside it."""
    with target.client(key) as client:
        for start in range(0, count, 500):
            items = [
                {
                    "signals": [str(value), str(signal(10_000 + number, Algorithm.PHASH256))],
                    "quality": 90,
                    "labels": ["glorification"],
                    "removed_at": "2026-11-01T00:00:00Z",
                    "severity": severity,
                }
                for number in range(start, min(start + 500, count))
            ]
            client.post("/v1/contributions", json={"contributions": items}).raise_for_status()


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
