"""The routes of the API: what `operation` checks before a view, and how it answers with what the view returns."""

from __future__ import annotations

from hashdb.domain.accounts.members import Scope
from tests.web.callers import Caller, Service, problem

WEBHOOK = {"url": "https://example.org/hook", "topics": ["case.opened"]}


def test_the_key_is_checked_before_the_body_is_read(service: Service) -> None:
    reader = service.caller(Scope.FEED)
    refused = reader.post("/v1/members", data=b"{", content_type="application/json")
    problem(refused, 403, "scope-missing")


def test_a_request_with_an_unknown_parameter_changes_nothing(platform: Caller) -> None:
    platform.post("/v1/webhooks", WEBHOOK)
    refused = platform.delete("/v1/webhooks/1?force=1")
    assert [fault["at"] for fault in problem(refused, 422)["errors"]] == ["force"]
    assert platform.get("/v1/webhooks/1").status_code == 200


def test_an_answer_without_content_has_no_content_type(platform: Caller) -> None:
    platform.post("/v1/webhooks", WEBHOOK)
    answer = platform.delete("/v1/webhooks/1")
    assert (answer.status_code, answer.data, "Content-Type" in answer.headers) == (204, b"", False)
