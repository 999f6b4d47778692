"""/v1/proposals: what waits for a second person."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, item, pdq, problem, service_at

URL = "/v1/proposals"


@pytest.fixture
def service() -> Iterator[Service]:
    """A service where some acts take two persons."""
    with service_at(None, two_persons=True) as made:
        yield made


@pytest.fixture
def second(service: Service) -> Caller:
    """Another operator's key."""
    return service.caller(Scope.ADMIN)


def test_a_member_is_suspended_by_the_same_request_of_a_second_person(
    platform: Caller, admin: Caller, second: Caller
) -> None:
    asked = f"/v1/members/{platform.member}", {"status": "suspended"}
    response = admin.patch(*asked)
    assert response.status_code == 202
    waits = response.json
    assert waits == {
        "proposal": 1,
        "act": "member.suspend",
        "subject": f"member:{platform.member}",
        "content": {"status": "suspended"},
        "actor": f"key:{admin.key}",
        "proposed_at": "2026-11-20T12:00:00.000000Z",
        "expires_at": "2026-11-23T12:00:00.000000Z",
    }
    assert admin.patch(*asked).json == waits
    assert platform.get("/v1/me").status_code == 200
    assert body(second.get(URL)) == {"proposals": [waits], "next": None}
    assert body(second.patch(*asked))["status"] == "suspended"
    problem(platform.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}), 403, "member-suspended")
    assert body(second.get(URL)) == {"proposals": [], "next": None}


def test_a_benign_signal_is_added_by_the_same_request_of_a_second_person(admin: Caller, second: Caller) -> None:
    asked = {"signals": [pdq(1)], "note": "a test card"}
    assert admin.post("/v1/benign", asked).status_code == 202
    assert body(admin.get("/v1/benign"))["benign"] == []
    assert second.post("/v1/benign", asked).status_code == 201


def test_a_proposal_is_dropped_once(platform: Caller, admin: Caller, second: Caller) -> None:
    asked = f"/v1/members/{platform.member}", {"status": "suspended"}
    admin.patch(*asked)
    assert second.delete(f"{URL}/1").status_code == 204
    problem(second.delete(f"{URL}/1"), 404)
    assert second.patch(*asked).status_code == 202


def test_a_contribution_is_retired_by_the_same_request_of_a_second_person(
    service: Service, platform: Caller, admin: Caller
) -> None:
    one, other = service.caller(Scope.REVIEW), service.caller()
    (mine,) = platform.contribute(item(1))
    dispute = {"opinion": "disputes", "reason": "other"}
    case = body(other.post(f"/v1/contributions/{mine['id']}/opinions", dispute))["case"]
    asked = f"/v1/cases/{case}/decision", {"decision": "retire"}
    response = one.post(*asked)
    assert response.status_code == 202
    waits = json.loads(response.data)
    assert (waits["act"], waits["subject"], waits["content"]) == ("case.retire", f"case:{case}", {"decision": "retire"})
    assert body(one.get(URL)) == {"proposals": [waits], "next": None}
    assert body(admin.post(*asked))["decision"] == "retire"


def test_proposals_are_for_administrators_and_reviewers(service: Service) -> None:
    for scope in set(Scope) - {Scope.ADMIN, Scope.REVIEW}:
        caller = service.caller(scope)
        problem(caller.get(URL), 403, "scope-missing")
        problem(caller.delete(f"{URL}/1"), 403, "scope-missing")
