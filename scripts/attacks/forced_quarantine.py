"""One member sends 2,400 queries in an hour to quarantine another member's contribution; the flood cap is 800."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.service.contributions import contributions
from scripts.attacks import Finding
from scripts.attacks._service import service
from scripts.attacks.popular_hash import contribute_often
from tests.builders import signal

SECONDS = 120
_CAP = 800
_GUARD_SECONDS = 15.0
"""Seconds after which the flood guard has counted the queries."""


def run() -> Iterator[Finding]:
    """Send queries with two keys of one member, and with one key of the contributor."""
    value = str(signal(1))
    body = {"queries": [{"signals": [value]}] * 100}
    with service(HASHDB_FLOOD_CAP=str(_CAP)) as target:
        victim, attacker = target.member("Victim"), target.member("Attacker")
        contribute_often(target, target.key(victim, Scope.CONTRIBUTE), signal(1), 1)
        keys = [target.key(member, Scope.MATCH) for member in (attacker, attacker, victim)]
        for key in keys:
            with target.client(key) as client:
                for _ in range(12):
                    client.post("/v1/matches", json=body).raise_for_status()
        time.sleep(_GUARD_SECONDS)
        standing = contributions.get(target.db, COMMAND_LINE, 1).standing
    yield Finding(
        f"2,400 hits of one member and 1,200 of the contributor, where the cap is {_CAP} an hour",
        "the contribution is not quarantined",
        f"it is {standing}",
        standing.matches,
    )
