"""One `match` key sends batches of 1,000 queries on 24 connections, to slow down the requests of another member.

The service is that of `deploy/`: nginx in front of two replicas with two workers each, on PostgreSQL.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import numpy as np

from hashdb.domain.accounts.members import Scope
from scripts.attacks import Finding
from scripts.attacks._load import Sample, Script, flooding, measure
from scripts.attacks._service import two_replicas
from scripts.benchmarks import data, service

SECONDS = 300
_TURNS = "batches of nine queries"
"""These wait between two batches of the flood, so only their failures count."""
_CONNECTIONS = 24
_FLOOD_SECONDS = 25.0
_ALONE_SECONDS = 10.0
_STORED = 5_000
FAILED = 0.01
"""The largest share of the other member's requests that may fail."""
SLOWER = 5.0
"""The largest 99th percentile of the other member, as a multiple of that without the flood."""


def run() -> Iterator[Finding]:
    """Measure another member's requests without the flood, then during it."""
    values = data.stored_values(_STORED, 256)
    rng = np.random.default_rng(data.SEED)
    with two_replicas() as target:
        other, attacker = target.member("Other"), target.member("Attacker")
        key = target.key(other, Scope.MATCH, Scope.CONTRIBUTE)
        attacker_key = target.key(attacker, Scope.MATCH)
        with target.client(key) as client:
            for body in service.contribute_bodies(rng, _STORED // 1_000, 1_000):
                client.post("/v1/contributions", content=body, headers={"Content-Type": "application/json"})
        batches = service.match_bodies(values, 24, 1_000)
        flood = Script("POST", "/v1/matches", attacker_key, batches)
        scripts = {
            "single matches": Script("POST", "/v1/matches", key, service.match_bodies(values, 500, 1)),
            "contributions": Script("POST", "/v1/contributions", key, list(service.contribute_bodies(rng, 4_000, 1))),
            "/v1/me": Script("GET", "/v1/me", key, [b""]),
            _TURNS: Script("POST", "/v1/matches", key, service.match_bodies(values, 100, 9)),
        }
        measure(target.url, scripts, 2.0)
        without_flood = measure(target.url, scripts, _ALONE_SECONDS)
        with flooding(target.url, flood, _CONNECTIONS, _FLOOD_SECONDS + 2) as running_flood:
            time.sleep(1)
            with_flood = measure(target.url, scripts, _FLOOD_SECONDS)
            print(f"the statuses of the flood are {json.dumps(running_flood.statuses())}")
        yield from _compared(without_flood, with_flood)


def _compared(without_flood: dict[str, Sample], with_flood: dict[str, Sample]) -> Iterator[Finding]:
    """Yield a finding for each kind of request: its failures and percentiles, with and without the flood."""
    for name, sample in with_flood.items():
        baseline = without_flood[name]
        slower = "" if name == _TURNS else f", p99 at most {SLOWER:.0f} times that without the flood"
        yield Finding(
            f"{name} of another member in a flood of batches",
            f"under {FAILED:.0%} fail{slower}",
            f"{sample.failed} of {sample.sent} failed {dict(sample.statuses)}; p99 {sample.p99 * 1e3:.0f} ms, "
            f"without the flood {baseline.p99 * 1e3:.0f} ms; "
            f"p50 {sample.p50 * 1e3:.0f} and {baseline.p50 * 1e3:.0f} ms",
            sample.failed < FAILED * sample.sent and (not slower or sample.p99 <= SLOWER * baseline.p99),
        )
