"""The fast path of matches and contributions answers as the application does."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.http_server import log_lines
from hashdb.service.accounts import members
from hashdb.service.matching import matches
from hashdb.web.fast_path import CONTRIBUTIONS, MATCHES
from tests.web.callers import Caller, Service, item, pdq, problem

JSON = "application/json"


def both_answers(caller: Caller, data: bytes, route: str = MATCHES, **more: Any) -> tuple[Any, Any]:
    """The answers of the fast path and of the application. A query string of one `&` leads to the application."""
    answers = [caller.post(path, data=data, content_type=JSON, **more) for path in (route, f"{route}?&")]
    # Each request has an id of its own.
    assert all(answer.headers.pop("X-Request-ID") for answer in answers)
    # The first of the two uses up a part of a budget.
    limits = [re.sub(r"r=\d+", "r", answer.headers.pop("RateLimit", "")) for answer in answers]
    assert limits[0] == limits[1]
    first, second = [(answer.status_code, answer.data, sorted(answer.headers)) for answer in answers]
    return first, second


@pytest.mark.parametrize(
    "content",
    [
        {"queries": [{"signals": [pdq(1)]}]},
        {"queries": [{"signals": [pdq(1)], "id": "\u00e9"}, {"signals": [pdq(2)], "radius": {"pdq": 3}}] * 9},
        {"queries": [{"signals": [pdq(1) + "0"], "x": 1}, {"signals": []}]},
        {"queries": []},
        {},
        None,
        "\ud800",
    ],
)
def test_a_match_gets_the_same_answer_on_the_fast_path(platform: Caller, content: object) -> None:
    platform.contribute(item(1), item(2))
    first, second = both_answers(platform, json.dumps(content).encode())
    assert first == second


@pytest.mark.parametrize("key", [None, "once", "", "\u00e9", "x" * 201])
@pytest.mark.parametrize(
    "content",
    [
        {"contributions": [item(1)]},
        {"contributions": [item(1), item(2, reference="\u00e9"), item(1)]},
        {"contributions": [item(1, labels=["none"]), item(2, media="x")], "x": 1},
        {"contributions": []},
        None,
        "\ud800",
    ],
)
def test_a_contribution_gets_the_same_answer_on_the_fast_path(
    platform: Caller, content: object, key: str | None
) -> None:
    # The second request finds what the first one stored, so both must find it.
    platform.contribute(item(1), item(2, reference="\u00e9"))
    headers = {} if key is None else {"Idempotency-Key": key}
    first, second = both_answers(platform, json.dumps(content).encode(), CONTRIBUTIONS, headers=headers)
    assert first == second
    assert first[0] in (201, 400, 422)


def test_the_fast_path_counts_rejected_contributions_as_the_application_does(service: Service) -> None:
    caller = service.caller(daily_limit=1)
    for items in ([item(1), item(2)], [item(1, labels=["none"])]):
        first, second = both_answers(caller, json.dumps({"contributions": items}).encode(), CONTRIBUTIONS)
        assert first == second
    counted = service.db.stats.take().refused
    assert counted and set(counted.values()) == {2}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"queries": NaN}', b'{"queries": [{"signals": ["pdq:\xff"]}]}'])
def test_a_body_that_is_not_json_gets_the_same_rejection(platform: Caller, data: bytes) -> None:
    first, second = both_answers(platform, data)
    assert first == second
    assert first[0] in (400, 422)


@pytest.mark.parametrize("route", [MATCHES, CONTRIBUTIONS])
def test_an_unauthorised_request_gets_the_same_rejection(service: Service, route: str) -> None:
    suspended = service.caller()
    members.change(service.db, COMMAND_LINE, suspended.member, MemberChange(status=MemberStatus.SUSPENDED))
    data = json.dumps({"queries": [{"signals": [pdq()]}]}).encode()
    for caller, status in ((service.anonymous, 401), (service.caller(Scope.FEED), 403), (suspended, 403)):
        first, second = both_answers(caller, data, route)
        assert first == second
        assert first[0] == status


def test_a_body_that_ends_early_is_malformed(platform: Caller) -> None:
    data = json.dumps({"queries": [{"signals": [pdq()]}]}).encode()
    declared = {"CONTENT_LENGTH": str(len(data) + 1)}
    for path in (MATCHES, f"{MATCHES}?&"):
        response = platform.post(path, data=data, content_type=JSON, environ_overrides=declared)
        problem(response, 400, "malformed-request")


def test_a_match_on_the_fast_path_finds_the_latest_contribution(platform: Caller) -> None:
    for seed in range(5):
        (added,) = platform.contribute(item(seed))
        assert platform.matched(pdq(seed)) == [added["id"]]


def test_an_internal_error_is_logged_and_reveals_no_hash(
    platform: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("pdq:ffff")

    monkeypatch.setattr(matches, "match", fail)
    with caplog.at_level(logging.INFO, "hashdb"):
        response = platform.post(MATCHES, {"queries": [{"signals": [pdq()]}]})
    assert (response.status_code, response.get_json()["detail"]) == (500, "the service failed and logged the error")
    assert "RuntimeError" in caplog.text
    assert "ffff" not in caplog.text + response.text


def test_the_fast_path_logs_the_same_fields_as_the_application(
    platform: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_output = io.StringIO()
    monkeypatch.setattr("sys.stderr", log_output)
    logger = logging.getLogger("hashdb")
    before = logger.handlers[:], logger.level, logger.propagate
    log_lines.write_json_lines()
    try:
        both_answers(platform, json.dumps({"queries": [{"signals": [pdq()]}]}).encode())
        both_answers(platform, b"{")
    finally:
        logger.handlers[:], logger.level, logger.propagate = before
    lines = [json.loads(line) for line in log_output.getvalue().splitlines()]
    fields = [{name: line[name] for name in ("method", "route", "status", "actor", "message")} for line in lines]
    assert fields[0] == fields[1]
    assert fields[2] == fields[3]
    assert [line["status"] for line in fields] == [200, 200, 400, 400]
