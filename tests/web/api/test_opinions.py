"""/v1/contributions/{id}/opinions"""

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
    """The opinions on a contribution of the platform."""
    (one,) = platform.contribute(item(1))
    return f"{URL}/{one['id']}/opinions"


def test_an_opinion_is_answered_with_its_fields(platform: Caller, other: Caller, url: str) -> None:
    given = other.post(url, DISPUTE)
    assert given.status_code == 201
    assert body(given) == {
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
    assert body(platform.get(url)) == {"opinions": [body(given)], "next": None}
    assert body(platform.get(f"{URL}/1"))["standing"] == "disputed"
    (result,) = body(other.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}))["results"]
    assert (result["matches"][0]["standing"], result["members"]) == ("disputed", 1)
    assert body(other.post(url, CONFIRM))["counts"]
    (result,) = body(other.post("/v1/matches", {"queries": [{"signals": [pdq(1)]}]}))["results"]
    assert (result["matches"][0]["standing"], result["members"]) == ("confirmed", 2)


def test_a_stranger_sees_opinions_without_notes(service: Service, other: Caller, url: str) -> None:
    other.post(url, DISPUTE)
    stranger = service.caller(Scope.MATCH)
    problem(stranger.get(url), 404, "not-found")
    assert stranger.matched(pdq(1)) == [1]
    (seen,) = body(stranger.get(url))["opinions"]
    assert "note" not in seen
    assert (seen["opinion"], seen["reason"], seen["counts"]) == ("disputes", "edsa_context", True)


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ({}, ["opinion"]),
        ({"opinion": "disputes"}, ["reason"]),
        ({"opinion": "disputes", "reason": None}, ["reason"]),
        ({"opinion": "disputes", "reason": "boredom"}, ["reason"]),
        ({"opinion": "confirms", "reason": "other"}, ["reason"]),
        ({"opinion": "likes", "note": 7, "colour": 1}, ["opinion", "note", "colour"]),
    ],
)
def test_what_is_no_opinion_is_refused(other: Caller, url: str, said: dict[str, Any], at: list[str]) -> None:
    assert list(faults(other.post(url, said))) == at
    assert body(other.get(url))["opinions"] == []


def test_who_may_not_gets_the_reason(service: Service, platform: Caller, other: Caller, url: str) -> None:
    assert problem(platform.post(url, CONFIRM), 403, "own-contribution")["contribution"] == 1
    assert problem(service.caller(Scope.FEED).post(url, CONFIRM), 403, "scope-missing")["scope"] == "match"
    for missing in ("99", "9007199254740991"):
        problem(other.post(f"{URL}/{missing}/opinions", CONFIRM), 404, "not-found")
        problem(other.get(f"{URL}/{missing}/opinions"), 404, "not-found")
    problem(service.anonymous.post(url, CONFIRM), 401)
    problem(other.post(url, data="{", content_type="application/json"), 400)
    platform.post(f"{URL}/1/withdrawal", {"reason": "other"})
    said = problem(other.post(url, CONFIRM), 409, "not-active")
    assert (said["contribution"], said["now"]) == (1, "withdrawn")
    problem(other.get(url), 404, "not-found")


def test_a_repeated_request_is_one(platform: Caller, other: Caller, url: str) -> None:
    once = {"Idempotency-Key": "a"}
    first = other.post(url, DISPUTE, headers=once)
    other.post(url, CONFIRM)
    again = other.post(url, DISPUTE, headers=once)
    assert again.status_code == 201
    assert body(again) == {**body(first), "counts": False}
    problem(other.post(url, CONFIRM, headers=once), 409, "idempotency-key-reused")
    (two,) = platform.contribute(item(2))
    problem(other.post(f"{URL}/{two['id']}/opinions", DISPUTE, headers=once), 409, "idempotency-key-reused")
    assert len(body(other.get(url))["opinions"]) == 2


def test_opinions_are_listed_page_by_page(service: Service, url: str) -> None:
    for _ in range(5):
        service.caller(Scope.MATCH, Scope.FEED).post(url, CONFIRM)
    reader = service.caller(Scope.AUDIT)
    seen, after = [], 0
    while after is not None:
        page = body(reader.get(f"{url}?limit=2&after={after}"))
        seen += [one["id"] for one in page["opinions"]]
        after = page["next"]
    assert seen == [1, 2, 3, 4, 5]
    assert list(faults(reader.get(f"{url}?limit=0&state=open"))) == ["limit", "state"]
