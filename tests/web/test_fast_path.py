"""The short way to a match, and to a contribution, answers as the application does."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.service.accounts import members
from hashdb.service.matching import matches
from hashdb.web.fast_path import CONTRIBUTIONS, MATCHES
from hashdb.wsgi import log_lines
from tests.web.callers import Caller, Service, item, pdq, problem

JSON = "application/json"


def both(caller: Caller, data: bytes, route: str = MATCHES, **more: Any) -> tuple[Any, Any]:
    """What the short way answers, and the application (an empty query string of one `&` is not plain)."""
    answers = [caller.post(path, data=data, content_type=JSON, **more) for path in (route, f"{route}?&")]
    # Each request has an id of its own.
    assert all(one.headers.pop("X-Request-ID") for one in answers)
    # The first of two uses up some of a budget.
    told = [re.sub(r"r=\d+", "r", one.headers.pop("RateLimit", "")) for one in answers]
    assert told[0] == told[1]
    first, second = [(one.status_code, one.data, sorted(one.headers)) for one in answers]
    return first, second


@pytest.mark.parametrize(
    "sent",
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
def test_the_short_way_answers_as_the_application_does(platform: Caller, sent: object) -> None:
    platform.contribute(item(1), item(2))
    first, second = both(platform, json.dumps(sent).encode())
    assert first == second


@pytest.mark.parametrize("key", [None, "once", "", "\u00e9", "x" * 201])
@pytest.mark.parametrize(
    "sent",
    [
        {"contributions": [item(1)]},
        {"contributions": [item(1), item(2, reference="\u00e9"), item(1)]},
        {"contributions": [item(1, labels=["none"]), item(2, media="x")], "x": 1},
        {"contributions": []},
        None,
        "\ud800",
    ],
)
def test_the_short_way_records_as_the_application_does(platform: Caller, sent: object, key: str | None) -> None:
    # The second of two finds what the first has stored, so both are to find it.
    platform.contribute(item(1), item(2, reference="\u00e9"))
    headers = {} if key is None else {"Idempotency-Key": key}
    first, second = both(platform, json.dumps(sent).encode(), CONTRIBUTIONS, headers=headers)
    assert first == second
    assert first[0] in (201, 400, 422)


def test_the_short_way_counts_a_refused_contribution_as_the_application_does(service: Service) -> None:
    caller = service.caller(daily_limit=1)
    for sent in ([item(1), item(2)], [item(1, labels=["none"])]):
        first, second = both(caller, json.dumps({"contributions": sent}).encode(), CONTRIBUTIONS)
        assert first == second
    counted = service.db.stats.take().refused
    assert counted and set(counted.values()) == {2}


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"queries": NaN}', b'{"queries": [{"signals": ["pdq:\xff"]}]}'])
def test_what_is_not_json_is_refused_the_same(platform: Caller, data: bytes) -> None:
    first, second = both(platform, data)
    assert first == second
    assert first[0] in (400, 422)


@pytest.mark.parametrize("route", [MATCHES, CONTRIBUTIONS])
def test_who_may_not_ask_is_refused_the_same(service: Service, route: str) -> None:
    suspended = service.caller()
    members.change(service.db, COMMAND_LINE, suspended.member, MemberChange(status=MemberStatus.SUSPENDED))
    data = json.dumps({"queries": [{"signals": [pdq()]}]}).encode()
    for caller, status in ((service.anonymous, 401), (service.caller(Scope.FEED), 403), (suspended, 403)):
        first, second = both(caller, data, route)
        assert first == second
        assert first[0] == status


def test_a_body_that_ends_early_is_malformed(platform: Caller) -> None:
    data = json.dumps({"queries": [{"signals": [pdq()]}]}).encode()
    longer = {"CONTENT_LENGTH": str(len(data) + 1)}
    for path in (MATCHES, f"{MATCHES}?&"):
        response = platform.post(path, data=data, content_type=JSON, environ_overrides=longer)
        problem(response, 400, "malformed-request")


def test_a_match_that_the_short_way_answers_sees_what_was_contributed_before(platform: Caller) -> None:
    for seed in range(5):
        (added,) = platform.contribute(item(seed))
        assert platform.matched(pdq(seed)) == [added["id"]]


def test_a_fault_of_ours_tells_nothing_and_is_logged(
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


def test_it_is_logged_as_the_application_does(platform: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    logger = logging.getLogger("hashdb")
    before = logger.handlers[:], logger.level, logger.propagate
    log_lines.write_json_lines()
    try:
        both(platform, json.dumps({"queries": [{"signals": [pdq()]}]}).encode())
        both(platform, b"{")
    finally:
        logger.handlers[:], logger.level, logger.propagate = before
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    told = [{name: line[name] for name in ("method", "route", "status", "actor", "message")} for line in lines]
    assert told[0] == told[1]
    assert told[2] == told[3]
    assert [line["status"] for line in told] == [200, 200, 400, 400]
