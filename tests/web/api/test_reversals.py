"""GET /v1/reversals: earlier matches that no longer hold."""

from __future__ import annotations

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem

URL = "/v1/reversals"


def test_reversals_are_listed_in_the_order_of_their_events(service: Service, platform: Caller, other: Caller) -> None:
    ids = [each["id"] for each in platform.contribute(*(item(seed) for seed in range(3)))]
    for seed in range(3):
        other.matched(pdq(seed))
    assert body(other.get(URL)) == {"reversals": [], "next": None}
    service.clock.advance(hours=1)
    for id in reversed(ids):
        platform.post(f"/v1/contributions/{id}/withdrawal", {"reason": "removal_reversed"})
    service.clock.advance(seconds=3)
    first = body(other.get(f"{URL}?limit=2"))
    rest = body(other.get(f"{URL}?after={first['next']}"))
    reversals = [*first["reversals"], *rest["reversals"]]
    assert [reversal["contribution"] for reversal in reversals] == ids[::-1]
    assert rest["next"] is None
    assert reversals[0] == {
        "seq": reversals[0]["seq"],
        "contribution": ids[2],
        "now": "withdrawn",
        "reason": "removal_reversed",
        "at": "2026-11-20T13:00:00.000000Z",
    }
    assert body(other.get(f"{URL}?after={reversals[-1]['seq']}")) == {"reversals": [], "next": None}
    assert body(platform.get(URL))["reversals"] == []


def test_reversals_need_the_scope_match_and_valid_parameters(service: Service, platform: Caller) -> None:
    problem(service.caller(Scope.AUDIT).get(URL), 403, "scope-missing")
    assert set(faults(platform.get(f"{URL}?limit=0&colour=1"))) == {"limit", "colour"}
