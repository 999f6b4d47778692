"""/v1/proposals: actions that need a second person."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, item, pdq, problem, service_at

URL = "/v1/proposals"


@pytest.fixture
def service() -> Iterator[Service]:
    """A service where some actions need two persons."""
    with service_at(None, two_persons=True) as service:
        yield service


@pytest.fixture
def second(service: Service) -> Caller:
    """A second key of the operator."""
    return service.caller(Scope.ADMIN)


def test_a_second_person_must_repeat_a_request_to_suspend_a_member(
    platform: Caller, admin: Caller, second: Caller
) -> None:
    request = f"/v1/members/{platform.member}", {"status": "suspended"}
    response = admin.patch(*request)
    assert response.status_code == 202
    proposal = response.json
    assert proposal == {
        "proposal": 1,
        "act": "member.suspend",
        "subject": f"member:{platform.member}",
        "content": {"status": "suspended"},
        "actor": f"key:{admin.key}",
        "proposed_at": "2026-11-20T12:00:00.000000Z",
        "expires_at": "2026-11-23T12:00:00.000000Z",
    }
    assert admin.patch(*request).json == proposal
    assert platform.get("/v1/me").status_code == 200
    assert body(second.get(URL)) == {"proposals": [proposal], "next": None}
    assert body(second.patch(*request))["status"] == "suspended"
    problem(platform.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}), 403, "member-suspended")
    assert body(second.get(URL)) == {"proposals": [], "next": None}


def test_a_second_person_must_repeat_a_request_to_add_a_benign_entry(admin: Caller, second: Caller) -> None:
    entry = {"signals": [pdq(1)], "note": "a test card"}
    assert admin.post("/v1/benign", entry).status_code == 202
    assert body(admin.get("/v1/benign"))["benign"] == []
    assert second.post("/v1/benign", entry).status_code == 201


def test_a_dropped_proposal_is_not_found_and_can_be_made_again(platform: Caller, admin: Caller, second: Caller) -> None:
    request = f"/v1/members/{platform.member}", {"status": "suspended"}
    admin.patch(*request)
    assert second.delete(f"{URL}/1").status_code == 204
    problem(second.delete(f"{URL}/1"), 404)
    assert second.patch(*request).status_code == 202


def test_a_second_person_must_repeat_a_decision_to_retire(service: Service, platform: Caller, admin: Caller) -> None:
    reviewer, other = service.caller(Scope.REVIEW), service.caller()
    (contribution,) = platform.contribute(item(1))
    dispute = {"opinion": "disputes", "reason": "other"}
    case = body(other.post(f"/v1/contributions/{contribution['id']}/opinions", dispute))["case"]
    request = f"/v1/cases/{case}/decision", {"decision": "retire"}
    response = reviewer.post(*request)
    assert response.status_code == 202
    proposal = json.loads(response.data)
    assert (proposal["act"], proposal["subject"], proposal["content"]) == (
        "case.retire",
        f"case:{case}",
        {"decision": "retire"},
    )
    assert body(reviewer.get(URL)) == {"proposals": [proposal], "next": None}
    assert body(admin.post(*request))["decision"] == "retire"


def test_proposals_need_the_scope_admin_or_review(service: Service) -> None:
    for scope in set(Scope) - {Scope.ADMIN, Scope.REVIEW}:
        caller = service.caller(scope)
        problem(caller.get(URL), 403, "scope-missing")
        problem(caller.delete(f"{URL}/1"), 403, "scope-missing")
