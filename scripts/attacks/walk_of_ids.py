"""One `match` key requests contributions by consecutive numbers, to see contributions and their members."""

from __future__ import annotations

import time
from collections.abc import Iterator

from hashdb.domain.accounts.members import Scope
from scripts.attacks import Finding
from scripts.attacks._service import service
from scripts.attacks.popular_hash import contribute_often
from tests.builders import signal

SECONDS = 120
_STORED = 20
_NAME = "Zebra Video"


def run() -> Iterator[Finding]:
    """Request the numbers, then look for the contributor of a matching contribution."""
    with service() as target:
        contribute_often(target, target.key(target.member(_NAME), Scope.CONTRIBUTE), signal(1), _STORED)
        with target.client(target.key(target.member("Attacker"), Scope.MATCH)) as client:
            start, statuses = time.perf_counter(), dict[int, int]()
            for id in range(1, _STORED + 1):
                response = client.get(f"/v1/contributions/{id}")
                statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
            took = time.perf_counter() - start
            yield Finding(
                f"{_STORED} contributions by their numbers, none of which was in a response",
                "each is 404",
                f"{statuses} in {took:.1f} s",
                statuses == {404: _STORED},
            )
            matched = client.post("/v1/matches", json={"queries": [{"signals": [str(signal(1))]}]}).json()
            id = matched["results"][0]["matches"][0]["contribution"]
            shown = client.get(f"/v1/contributions/{id}")
            disputed = client.post(f"/v1/contributions/{id}/opinions", json={"opinion": "disputes", "reason": "other"})
            pages = [
                shown,
                disputed,
                client.get("/v1/cases"),
                client.get("/hma/c/banks"),
                client.get(f"/hma/m/lookup?signal={str(signal(1))[4:]}&signal_type=pdq"),
                client.get("/hma/c/bank/ZEBRA_VIDEO"),
            ]
            texts = " ".join(page.text for page in pages).lower().replace("_", " ")
            yield Finding(
                "the contributor of a matching contribution: by its number, a case, and HMA's banks",
                "the contribution is shown, the member is not named",
                f"status {shown.status_code}, opinion {disputed.status_code}, "
                f"{'named' if _NAME.lower() in texts else 'not named'}",
                (shown.status_code, disputed.status_code) == (200, 201) and _NAME.lower() not in texts,
            )
