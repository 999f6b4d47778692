"""GET /v1/counts, and that the short way, Flask's way and pictures are all counted."""

from __future__ import annotations

import hashlib

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.service.stats import counts
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem
from tests.web.pictures import form, photo

URL = "/v1/counts?day=2026-11-20"


@pytest.fixture
def auditor(service: Service) -> Caller:
    """Who reads everything."""
    return service.caller(Scope.AUDIT)


def _lines(service: Service, auditor: Caller, kind: str) -> list[str]:
    counts.flush(service.db)
    return [line for line in body(auditor.get(URL))["lines"] if line.startswith(kind)]


@pytest.mark.parametrize("path", ["/v1/matches", "/v1/matches?"])
def test_a_match_is_counted_by_either_way(service: Service, platform: Caller, auditor: Caller, path: str) -> None:
    platform.contribute(item())
    platform.post(path, {"queries": [{"signals": [pdq()]}]})
    assert _lines(service, auditor, "query") == [f"query {platform.member} {one} hit 1" for one in ("any", "pdq")]
    assert _lines(service, auditor, "hit") == [f"hit {platform.member} {one} own 1" for one in ("any", "pdq")]


def test_a_match_of_a_picture_is_counted(service: Service, platform: Caller, auditor: Caller) -> None:
    platform.post("/v1/matches/media", **form(photo()))
    assert f"query {platform.member} any none 1" in _lines(service, auditor, "query")


@pytest.mark.parametrize("path", ["/v1/matches", "/v1/matches?", "/v1/me"])
def test_who_has_no_key_is_counted_by_either_way(service: Service, auditor: Caller, path: str) -> None:
    service.anonymous.post(path, {"queries": [{"signals": [pdq()]}]})
    assert _lines(service, auditor, "access") == ([] if path == "/v1/me" else ["access 0 any no-key 1"])


@pytest.mark.parametrize("path", ["/v1/matches", "/v1/matches?"])
def test_who_lacks_the_scope_is_counted_by_either_way(service: Service, auditor: Caller, path: str) -> None:
    auditor.post(path, {"queries": [{"signals": [pdq()]}]})
    assert _lines(service, auditor, "access") == [f"access {auditor.member} any scope-missing 1"]
    (event,) = body(auditor.get("/v1/events?action=auth.refused"))["events"]
    assert (event["subject"], event["details"]) == (
        f"key:{auditor.key}",
        {"reason": "scope-missing", "scopes": ["match"]},
    )


def test_refused_contributions_are_counted_by_field(service: Service, auditor: Caller) -> None:
    few = service.caller(Scope.CONTRIBUTE, daily_limit=1)
    wrong = item(labels=["unheard_of"], quality=10)
    for items in ([wrong], [wrong, item(2, quality=10)], [item(1), item(2)]):
        few.post("/v1/contributions", {"contributions": items})
    few.post("/v1/contributions", data=b"{", content_type="application/json")
    service.anonymous.post("/v1/contributions", {})
    assert _lines(service, auditor, "refusal") == sorted(
        f"refusal {few.member} any {code}"
        for code in (
            "invalid-input 2",
            "invalid-input.labels 2",
            "invalid-input.quality 2",
            "limit-reached 1",
            "malformed-request 1",
        )
    )


def test_a_day_is_answered_with_its_seal(service: Service, platform: Caller, auditor: Caller) -> None:
    platform.matched(pdq())
    counts.flush(service.db)
    before = body(auditor.get(URL))
    service.clock.go(days=1)
    counts.seal(service.db)
    after = body(auditor.get(URL))
    (event,) = body(auditor.get("/v1/events?action=counts.sealed"))["events"]
    assert before["sealed"] is None
    assert after["sealed"] == {"seq": event["seq"], "digest": event["details"]["digest"]}
    text = "".join(f"{line}\n" for line in [after["day"], *after["lines"]])
    assert hashlib.sha256(text.encode()).hexdigest() == event["details"]["digest"] == after["digest"]
    assert body(auditor.get("/v1/counts?day=2020-01-01"))["lines"] == []


def test_counts_are_for_auditors_and_take_a_day(platform: Caller, auditor: Caller) -> None:
    problem(platform.get(URL), 403, "scope-missing")
    for asked in ("", "?day=", "?day=2026-02-30", "?day=20261120", "?day=%D9%A2026-01-01"):
        assert set(faults(auditor.get(f"/v1/counts{asked}"))) == {"day"}
    assert set(faults(auditor.get(f"{URL}&by=1"))) == {"by"}
