"""GET /v1/counts; requests on the fast path, in Flask and with pictures are all counted."""

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
    """A caller with scope `audit`."""
    return service.caller(Scope.AUDIT)


def _lines(service: Service, auditor: Caller, kind: str) -> list[str]:
    """The counts of a kind for the day, as lines."""
    counts.flush(service.db)
    return [line for line in body(auditor.get(URL))["lines"] if line.startswith(kind)]


@pytest.mark.parametrize("path", ["/v1/matches", "/v1/matches?&"])
def test_a_match_is_counted_on_the_fast_path_and_in_flask(
    service: Service, platform: Caller, auditor: Caller, path: str
) -> None:
    platform.contribute(item())
    platform.post(path, {"queries": [{"signals": [pdq()]}]})
    assert _lines(service, auditor, "query") == [
        f"query {platform.member} {algorithm} hit 1" for algorithm in ("any", "pdq")
    ]
    assert _lines(service, auditor, "hit") == [
        f"hit {platform.member} {algorithm} own 1" for algorithm in ("any", "pdq")
    ]


def test_a_match_of_a_picture_is_counted(service: Service, platform: Caller, auditor: Caller) -> None:
    platform.post("/v1/matches/media", **form(photo()))
    assert f"query {platform.member} any none 1" in _lines(service, auditor, "query")


@pytest.mark.parametrize("path", ["/v1/matches", "/v1/matches?&", "/v1/me"])
def test_a_match_without_a_key_is_counted(service: Service, auditor: Caller, path: str) -> None:
    service.anonymous.post(path, {"queries": [{"signals": [pdq()]}]})
    assert _lines(service, auditor, "access") == ([] if path == "/v1/me" else ["access 0 any no-key 1"])


@pytest.mark.parametrize("path", ["/v1/matches", "/v1/matches?&"])
def test_a_match_without_the_scope_is_counted_and_logged(service: Service, auditor: Caller, path: str) -> None:
    auditor.post(path, {"queries": [{"signals": [pdq()]}]})
    assert _lines(service, auditor, "access") == [f"access {auditor.member} any scope-missing 1"]
    (event,) = body(auditor.get("/v1/events?action=auth.refused"))["events"]
    assert (event["subject"], event["details"]) == (
        f"key:{auditor.key}",
        {"reason": "scope-missing", "scopes": ["match"]},
    )


def test_rejected_contributions_are_counted_by_field(service: Service, auditor: Caller) -> None:
    limited = service.caller(Scope.CONTRIBUTE, daily_limit=1)
    invalid = item(labels=["unheard_of"], quality=10)
    for items in ([invalid], [invalid, item(2, quality=10)], [item(1), item(2)]):
        limited.post("/v1/contributions", {"contributions": items})
    limited.post("/v1/contributions", data=b"{", content_type="application/json")
    service.anonymous.post("/v1/contributions", {})
    assert _lines(service, auditor, "refusal") == sorted(
        f"refusal {limited.member} any {code}"
        for code in (
            "invalid-input 2",
            "invalid-input.labels 2",
            "invalid-input.quality 2",
            "limit-reached 1",
            "malformed-request 1",
        )
    )


def test_the_counts_of_a_sealed_day_have_the_digest_of_its_event(
    service: Service, platform: Caller, auditor: Caller
) -> None:
    platform.matched(pdq())
    counts.flush(service.db)
    before = body(auditor.get(URL))
    service.clock.advance(days=1)
    counts.seal(service.db)
    after = body(auditor.get(URL))
    (event,) = body(auditor.get("/v1/events?action=counts.sealed"))["events"]
    assert before["sealed"] is None
    assert after["sealed"] == {"seq": event["seq"], "digest": event["details"]["digest"]}
    text = "".join(f"{line}\n" for line in [after["day"], *after["lines"]])
    assert hashlib.sha256(text.encode()).hexdigest() == event["details"]["digest"] == after["digest"]
    assert body(auditor.get("/v1/counts?day=2020-01-01"))["lines"] == []


def test_counts_need_the_scope_audit_and_a_valid_day(platform: Caller, auditor: Caller) -> None:
    problem(platform.get(URL), 403, "scope-missing")
    for query in ("", "?day=", "?day=2026-02-30", "?day=20261120", "?day=%D9%A2026-01-01"):
        assert set(faults(auditor.get(f"/v1/counts{query}"))) == {"day"}
    assert set(faults(auditor.get(f"{URL}&by=1"))) == {"by"}
