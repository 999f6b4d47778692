"""/v1/contributions/{id}/opinions: given and listed."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem

URL = "/v1/contributions"
DISPUTE = {"opinion": "disputes", "reason": "edsa_context", "note": "a news report"}
CONFIRM = {"opinion": "confirms"}


@pytest.fixture
def url(platform: Caller) -> str:
    """The address of the opinions on a contribution of the platform."""
    (contribution,) = platform.contribute(item(1))
    return f"{URL}/{contribution['id']}/opinions"


def test_an_opinion_is_returned_with_all_fields_and_changes_the_standing(
    platform: Caller, other: Caller, url: str
) -> None:
    response = other.post(url, DISPUTE)
    assert response.status_code == 201
    assert body(response) == {
        "id": 1,
        "contribution": 1,
        "member": {"id": other.member, "name": "Other"},
        "opinion": "disputes",
        "reason": "edsa_context",
        "note": "a news report",
        "given_at": "2026-11-20T12:00:00.000000Z",
        "case": 1,
        "counts": True,
    }
    assert body(platform.get(url)) == {"opinions": [body(response)], "next": None}
    assert body(platform.get(f"{URL}/1"))["standing"] == "disputed"
    (result,) = body(other.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}))["results"]
    assert (result["matches"][0]["standing"], result["members"]) == ("disputed", 1)
    assert body(other.post(url, CONFIRM))["counts"]
    (result,) = body(other.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}))["results"]
    assert (result["matches"][0]["standing"], result["members"]) == ("confirmed", 2)


def test_a_member_that_got_the_match_sees_opinions_without_notes(service: Service, other: Caller, url: str) -> None:
    other.post(url, DISPUTE)
    stranger = service.caller(Scope.MATCH)
    problem(stranger.get(url), 404, "not-found")
    assert stranger.matched(pdq(1)) == [1]
    (shown,) = body(stranger.get(url))["opinions"]
    assert "note" not in shown
    assert (shown["opinion"], shown["reason"], shown["counts"]) == ("disputes", "edsa_context", True)


@pytest.mark.parametrize(
    ("opinion", "places"),
    [
        ({}, ["opinion"]),
        ({"opinion": "disputes"}, ["reason"]),
        ({"opinion": "disputes", "reason": None}, ["reason"]),
        ({"opinion": "disputes", "reason": "boredom"}, ["reason"]),
        ({"opinion": "confirms", "reason": "other"}, ["reason"]),
        ({"opinion": "likes", "note": 7, "colour": 1}, ["opinion", "note", "colour"]),
    ],
)
def test_an_invalid_opinion_is_rejected(other: Caller, url: str, opinion: dict[str, Any], places: list[str]) -> None:
    assert list(faults(other.post(url, opinion))) == places
    assert body(other.get(url))["opinions"] == []


def test_an_opinion_that_is_not_allowed_is_rejected_with_the_reason(
    service: Service, platform: Caller, other: Caller, url: str
) -> None:
    assert problem(platform.post(url, CONFIRM), 403, "own-contribution")["contribution"] == 1
    assert problem(service.caller(Scope.FEED).post(url, CONFIRM), 403, "scope-missing")["scope"] == "match"
    for missing in ("99", "9007199254740991"):
        problem(other.post(f"{URL}/{missing}/opinions", CONFIRM), 404, "not-found")
        problem(other.get(f"{URL}/{missing}/opinions"), 404, "not-found")
    problem(service.anonymous.post(url, CONFIRM), 401)
    problem(other.post(url, data="{", content_type="application/json"), 400)
    platform.post(f"{URL}/1/withdrawal", {"reason": "other"})
    details = problem(other.post(url, CONFIRM), 409, "not-active")
    assert (details["contribution"], details["now"]) == (1, "withdrawn")
    problem(other.get(url), 404, "not-found")


def test_a_repeated_opinion_request_is_stored_once(platform: Caller, other: Caller, url: str) -> None:
    headers = {"Idempotency-Key": "a"}
    first = other.post(url, DISPUTE, headers=headers)
    other.post(url, CONFIRM)
    repeated = other.post(url, DISPUTE, headers=headers)
    assert repeated.status_code == 201
    assert body(repeated) == {**body(first), "counts": False}
    problem(other.post(url, CONFIRM, headers=headers), 409, "idempotency-key-reused")
    (second,) = platform.contribute(item(2))
    problem(other.post(f"{URL}/{second['id']}/opinions", DISPUTE, headers=headers), 409, "idempotency-key-reused")
    assert len(body(other.get(url))["opinions"]) == 2


def test_opinions_are_listed_page_by_page(service: Service, url: str) -> None:
    for _ in range(5):
        service.caller(Scope.MATCH, Scope.FEED).post(url, CONFIRM)
    reader = service.caller(Scope.AUDIT)
    listed, after = [], 0
    while after is not None:
        page = body(reader.get(f"{url}?limit=2&after={after}"))
        listed += [opinion["id"] for opinion in page["opinions"]]
        after = page["next"]
    assert listed == [1, 2, 3, 4, 5]
    assert list(faults(reader.get(f"{url}?limit=0&state=open"))) == ["limit", "state"]
