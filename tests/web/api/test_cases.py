"""/v1/cases: listed, shown and decided."""

from __future__ import annotations

import json

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at

URL = "/v1/cases"
DISPUTE = {"opinion": "disputes", "reason": "edsa_context", "note": "a news report"}


@pytest.fixture
def reviewer(service: Service) -> Caller:
    """A caller with scope `review`."""
    return service.caller(Scope.REVIEW, name="Reviewer")


@pytest.fixture
def case(platform: Caller, other: Caller) -> int:
    """A case that the other member opened on a contribution of the platform."""
    (contribution,) = platform.contribute(item(1))
    id: int = body(other.post(f"/v1/contributions/{contribution['id']}/opinions", DISPUTE))["case"]
    return id


def test_a_contribution_near_a_retired_one_is_quarantined_for_review(
    platform: Caller, other: Caller, reviewer: Caller, case: int
) -> None:
    reviewer.post(f"{URL}/{case}/decision", {"decision": "retire"})
    (contribution,) = other.contribute(item(1))
    assert (contribution["status"], contribution["standing"]) == ("active", "quarantined")
    (open_case,) = body(other.get(f"{URL}?state=open"))["cases"]
    assert (open_case["contribution"], open_case["reason"], open_case["holds"]) == (
        contribution["id"],
        "near_retired",
        True,
    )
    reviewer.post(f"{URL}/{open_case['id']}/decision", {"decision": "uphold"})
    assert body(other.get(f"/v1/contributions/{contribution['id']}"))["standing"] == "unreviewed"


def test_a_case_is_shown_with_all_fields_and_decided(
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
        shown = body(party.get(f"{URL}/{case}"))
        assert "decided_by" not in shown
        assert (shown["decision"], shown["note"], shown["reason"]) == ("retire", "so it is", "edsa_context")
    assert problem(reviewer.post(f"{URL}/{case}/decision", {"decision": "uphold"}), 409, "already-decided")["case"] == 1


def test_a_reviewer_selects_the_signals_that_quarantine_later_contributions(
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
    contributed = other.contribute(item(signals=[pdq(1)]), item(signals=[pdq(2)]), item(signals=[pdq(3)]))
    assert [each["standing"] for each in contributed] == ["unreviewed", "quarantined", "quarantined"]


def test_a_quarantined_contribution_leaves_matches_and_the_feed(
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
    assert [each["id"] for each in body(platform.get("/v1/contributions?standing=quarantined"))["contributions"]] == [1]
    query = {"queries": [{"signals": [pdq(1)]}]}
    auditor = service.caller(Scope.MATCH, Scope.AUDIT)
    (result,) = body(auditor.post("/v1/matches?include=quarantined", query))["results"]
    assert [match["standing"] for match in result["matches"]] == ["quarantined"]


def test_cases_are_listed_by_state_to_those_who_may_see_them(
    service: Service, platform: Caller, other: Caller, reviewer: Caller, case: int
) -> None:
    (second,) = other.contribute(item(2))
    platform.post(f"/v1/contributions/{second['id']}/opinions", DISPUTE)
    (third,) = other.contribute(item(3))
    service.caller(Scope.MATCH, Scope.FEED).post(f"/v1/contributions/{third['id']}/opinions", DISPUTE)
    reviewer.post(f"{URL}/{case}/decision", {"decision": "uphold"})

    def listed(caller: Caller, query: str = "") -> list[int]:
        return [case["id"] for case in body(caller.get(f"{URL}?{query}"))["cases"]]

    assert listed(reviewer) == listed(service.caller(Scope.AUDIT)) == [1, 2, 3]
    assert (listed(reviewer, "state=open"), listed(reviewer, "state=decided")) == ([2, 3], [1])
    assert (listed(platform), listed(other), listed(service.caller(Scope.MATCH))) == ([1, 2], [1, 2, 3], [])
    page = body(reviewer.get(f"{URL}?limit=2"))
    assert ([case["id"] for case in page["cases"]], page["next"]) == ([1, 2], 2)
    assert listed(reviewer, "after=2&limit=1") == [3]
    assert list(faults(reviewer.get(f"{URL}?state=closed&limit=0"))) == ["limit", "state"]


def test_a_key_without_the_right_is_rejected_with_the_reason(
    service: Service, platform: Caller, other: Caller, case: int
) -> None:
    stranger = service.caller(Scope.MATCH, Scope.FEED, Scope.CONTRIBUTE)
    problem(stranger.get(f"{URL}/{case}"), 404, "not-found")
    problem(stranger.get(f"{URL}/99"), 404, "not-found")
    for caller in (platform, other, stranger):
        details = problem(caller.post(f"{URL}/{case}/decision", {"decision": "uphold"}), 403, "scope-missing")
        assert details["scope"] == "review"
    admin = service.caller(Scope.ADMIN)
    problem(admin.post(f"{URL}/99/decision", {"decision": "uphold"}), 404, "not-found")
    assert list(faults(admin.post(f"{URL}/{case}/decision", {"note": 7, "x": 1}))) == ["decision", "note", "x"]
    problem(service.anonymous.get(URL), 401)
    assert body(admin.post(f"{URL}/{case}/decision", {"decision": "uphold"}))["state"] == "decided"


def test_the_due_time_of_a_case_follows_the_setting() -> None:
    with service_at(None, hours_to_decide=0.5) as service:
        platform, other = service.caller(), service.caller()
        platform.contribute(item(1))
        other.post("/v1/contributions/1/opinions", DISPUTE)
        service.clock.advance(hours=1)
        (shown,) = body(other.get(f"{URL}?state=open"))["cases"]
        assert shown["due_at"] == "2026-11-20T12:30:00.000000Z"


def test_an_erasure_deletes_the_notes_and_no_event_has_them(
    service: Service, platform: Caller, reviewer: Caller, case: int
) -> None:
    reviewer.post(f"{URL}/{case}/decision", {"decision": "uphold", "note": "a news report"})
    platform.delete("/v1/contributions/1/content")
    shown = body(reviewer.get(f"{URL}/{case}"))
    assert (shown["note"], shown["opinions"][0]["note"], shown["decision"]) == (None, None, "uphold")
    assert "news" not in json.dumps(body(service.caller(Scope.AUDIT).get("/v1/events?limit=1000")))
