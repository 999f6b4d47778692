"""/v1/cases"""

from __future__ import annotations

import json

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at

URL = "/v1/cases"
DISPUTE = {"opinion": "disputes", "reason": "edsa_context", "note": "a news report"}


@pytest.fixture
def reviewer(service: Service) -> Caller:
    return service.caller(Scope.REVIEW, name="Reviewer")


@pytest.fixture
def case(platform: Caller, other: Caller) -> int:
    """A case that the other member opened on a contribution of the platform."""
    (one,) = platform.contribute(item(1))
    id: int = body(other.post(f"/v1/contributions/{one['id']}/opinions", DISPUTE))["case"]
    return id


def test_what_is_near_a_retired_one_is_answered_as_quarantined(
    platform: Caller, other: Caller, reviewer: Caller, case: int
) -> None:
    reviewer.post(f"{URL}/{case}/decision", {"decision": "retire"})
    (one,) = other.contribute(item(1))
    assert (one["status"], one["standing"]) == ("active", "quarantined")
    (waits,) = body(other.get(f"{URL}?state=open"))["cases"]
    assert (waits["contribution"], waits["reason"], waits["holds"]) == (one["id"], "near_retired", True)
    reviewer.post(f"{URL}/{waits['id']}/decision", {"decision": "uphold"})
    assert body(other.get(f"/v1/contributions/{one['id']}"))["standing"] == "unreviewed"


def test_a_case_is_shown_with_its_fields_and_decided(
    platform: Caller, other: Caller, reviewer: Caller, case: int
) -> None:
    shown = body(reviewer.get(f"{URL}/{case}"))
    (opinion,) = shown.pop("opinions")
    assert (opinion["opinion"], opinion["note"], opinion["case"]) == ("disputes", "a news report", case)
    assert shown == {
        "id": case,
        "contribution": 1,
        "member": {"id": platform.member, "name": "Platform"},
        "state": "open",
        "reason": "edsa_context",
        "holds": False,
        "opened_at": "2026-11-20T12:00:00.000000Z",
        "due_at": "2026-11-23T12:00:00.000000Z",
        "decision": None,
        "note": None,
        "decided_at": None,
        "decided_by": None,
        "shadow": None,
        "follows": None,
    }
    decided = reviewer.post(f"{URL}/{case}/decision", {"decision": "retire", "note": "so it is"})
    assert decided.status_code == 200
    assert body(reviewer.get(f"{URL}/{case}")) == body(decided)
    assert {name: body(decided)[name] for name in ("state", "decision", "note", "decided_at", "decided_by")} == {
        "state": "decided",
        "decision": "retire",
        "note": "so it is",
        "decided_at": "2026-11-20T12:00:00.000000Z",
        "decided_by": f"key:{reviewer.key}",
    }
    for party in (platform, other):
        seen = body(party.get(f"{URL}/{case}"))
        assert "decided_by" not in seen
        assert (seen["decision"], seen["note"], seen["reason"]) == ("retire", "so it is", "edsa_context")
    assert problem(reviewer.post(f"{URL}/{case}/decision", {"decision": "uphold"}), 409, "already-decided")["case"] == 1


def test_a_reviewer_names_the_signals_near_which_later_contributions_wait(
    platform: Caller, other: Caller, reviewer: Caller
) -> None:
    platform.contribute(item(signals=[pdq(1), pdq(2), pdq(3)]))
    url = f"{URL}/{body(other.post('/v1/contributions/1/opinions', DISPUTE))['case']}/decision"
    for signals, at in (([3], "signals[0]"), ([64], "signals[0]"), (["1"], "signals[0]"), ([0] * 66, "signals")):
        assert faults(reviewer.post(url, {"decision": "retire", "signals": signals})).keys() == {at}
    assert faults(reviewer.post(url, {"decision": "quarantine", "signals": [0]})).keys() == {"signals"}
    decided = body(reviewer.post(url, {"decision": "retire", "signals": [2, 1]}))
    assert decided["shadow"] == [1, 2]
    assert body(platform.get(f"{URL}/{decided['id']}"))["shadow"] == [1, 2]
    found = other.contribute(item(signals=[pdq(1)]), item(signals=[pdq(2)]), item(signals=[pdq(3)]))
    assert [one["standing"] for one in found] == ["unreviewed", "quarantined", "quarantined"]


def test_a_decision_takes_effect_in_the_match_and_in_the_feed(
    service: Service, platform: Caller, other: Caller, reviewer: Caller, case: int
) -> None:
    assert other.matched(pdq(1)) == [1]
    checkpoint = body(other.get("/v1/changes"))["checkpoint"]
    reviewer.post(f"{URL}/{case}/decision", {"decision": "quarantine"})
    assert other.matched(pdq(1)) == []
    (change,) = body(other.get(f"/v1/changes?after={checkpoint}"))["changes"]
    assert (change["gone"], change["reason"]) == (1, "quarantined")
    problem(other.get("/v1/contributions/1"), 404)
    assert body(platform.get("/v1/contributions/1"))["standing"] == "quarantined"
    assert [one["id"] for one in body(platform.get("/v1/contributions?standing=quarantined"))["contributions"]] == [1]
    asked = {"queries": [{"signals": [pdq(1)]}]}
    auditor = service.caller(Scope.MATCH, Scope.AUDIT)
    (result,) = body(auditor.post("/v1/matches?include=quarantined", asked))["results"]
    assert [match["standing"] for match in result["matches"]] == ["quarantined"]


def test_cases_are_listed_by_state_for_who_may_see_them(
    service: Service, platform: Caller, other: Caller, reviewer: Caller, case: int
) -> None:
    (two,) = other.contribute(item(2))
    platform.post(f"/v1/contributions/{two['id']}/opinions", DISPUTE)
    (three,) = other.contribute(item(3))
    service.caller(Scope.MATCH, Scope.FEED).post(f"/v1/contributions/{three['id']}/opinions", DISPUTE)
    reviewer.post(f"{URL}/{case}/decision", {"decision": "uphold"})

    def listed(who: Caller, asked: str = "") -> list[int]:
        return [one["id"] for one in body(who.get(f"{URL}?{asked}"))["cases"]]

    assert listed(reviewer) == listed(service.caller(Scope.AUDIT)) == [1, 2, 3]
    assert (listed(reviewer, "state=open"), listed(reviewer, "state=decided")) == ([2, 3], [1])
    assert (listed(platform), listed(other), listed(service.caller(Scope.MATCH))) == ([1, 2], [1, 2, 3], [])
    page = body(reviewer.get(f"{URL}?limit=2"))
    assert ([one["id"] for one in page["cases"]], page["next"]) == ([1, 2], 2)
    assert listed(reviewer, "after=2&limit=1") == [3]
    assert list(faults(reviewer.get(f"{URL}?state=closed&limit=0"))) == ["limit", "state"]


def test_who_may_not_gets_the_reason(service: Service, platform: Caller, other: Caller, case: int) -> None:
    stranger = service.caller(Scope.MATCH, Scope.FEED, Scope.CONTRIBUTE)
    problem(stranger.get(f"{URL}/{case}"), 404, "not-found")
    problem(stranger.get(f"{URL}/99"), 404, "not-found")
    for who in (platform, other, stranger):
        refused = problem(who.post(f"{URL}/{case}/decision", {"decision": "uphold"}), 403, "scope-missing")
        assert refused["scope"] == "review"
    admin = service.caller(Scope.ADMIN)
    problem(admin.post(f"{URL}/99/decision", {"decision": "uphold"}), 404, "not-found")
    assert list(faults(admin.post(f"{URL}/{case}/decision", {"note": 7, "x": 1}))) == ["decision", "note", "x"]
    problem(service.anonymous.get(URL), 401)
    assert body(admin.post(f"{URL}/{case}/decision", {"decision": "uphold"}))["state"] == "decided"


def test_the_time_to_decide_is_a_setting() -> None:
    with service_at(None, hours_to_decide=0.5) as service:
        platform, other = service.caller(), service.caller()
        platform.contribute(item(1))
        other.post("/v1/contributions/1/opinions", DISPUTE)
        service.clock.go(hours=1)
        (shown,) = body(other.get(f"{URL}?state=open"))["cases"]
        assert shown["due_at"] == "2026-11-20T12:30:00.000000Z"


def test_notes_are_gone_with_the_contribution_and_in_no_event(
    service: Service, platform: Caller, reviewer: Caller, case: int
) -> None:
    reviewer.post(f"{URL}/{case}/decision", {"decision": "uphold", "note": "a news report"})
    platform.delete("/v1/contributions/1/content")
    shown = body(reviewer.get(f"{URL}/{case}"))
    assert (shown["note"], shown["opinions"][0]["note"], shown["decision"]) == (None, None, "uphold")
    assert "news" not in json.dumps(body(service.caller(Scope.AUDIT).get("/v1/events?limit=1000")))
