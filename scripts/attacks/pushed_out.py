"""One key adds 1,005 contributions around another member's, to push it and its severity out of the response."""

from __future__ import annotations

from collections.abc import Iterator

from hashdb.domain.accounts.members import Scope
from scripts.attacks import Finding
from scripts.attacks._service import service
from scripts.attacks.popular_hash import contribute_often
from tests.builders import near, signal

SECONDS = 120
_AROUND = 1_005


def run() -> Iterator[Finding]:
    """Contribute values that are nearer to the queried picture than the victim's value."""
    query = signal(1)
    with service() as target:
        victim, attacker = target.member("Victim"), target.member("Attacker")
        contribute_often(target, target.key(victim, Scope.CONTRIBUTE), near(query, 20), 1, severity=4)
        contribute_often(target, target.key(attacker, Scope.CONTRIBUTE), query, _AROUND)
        with target.client(target.key(target.member("Platform"), Scope.MATCH)) as client:
            response = client.post("/v1/matches", json={"queries": [{"signals": [str(query)]}]})
        (result,) = response.json()["results"]
    ids = [match["contribution"] for match in result["matches"]]
    yield Finding(
        f"{_AROUND:,} contributions nearer to a picture than the victim's",
        "the victim's contribution is returned, and counts in members and severity",
        f"{'returned' if 1 in ids else 'not returned'} among {len(ids):,}, members {result['members']}, "
        f"severity {result.get('severity')}",
        1 in ids and result["members"] == 2 and result.get("severity") == 4,
    )
