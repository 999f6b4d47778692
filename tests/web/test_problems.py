"""Errors as HTTP answers: each class has its status, and an internal error reveals nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from hashdb import errors
from hashdb.errors import HashDBError
from hashdb.http_server.problems import status_of
from hashdb.web.problems import respond
from tests.web.callers import Service, problem

CLIENT_SIDE = (
    errors.BadNote,
    errors.BadPolicy,
    errors.BadReceipt,
    errors.CheckTooEarly,
    errors.CopyInUse,
    errors.LogRewritten,
    errors.NoCopy,
    errors.NotAsLogged,
    errors.NotSigned,
    errors.NotWitnessed,
    errors.RootNotSigned,
    errors.ServiceError,
    errors.ServiceTooOld,
    errors.ServiceUnreachable,
    errors.WitnessesBehind,
    errors.CannotStart,
)


def _leaves(kind: type[HashDBError] = HashDBError) -> Iterator[type[HashDBError]]:
    """The error classes without subclasses."""
    if not kind.__subclasses__():
        yield kind
    for narrower in kind.__subclasses__():
        yield from _leaves(narrower)


def test_every_error_that_the_service_raises_has_a_status() -> None:
    for kind in _leaves():
        assert (status_of(kind) == 500) == issubclass(kind, CLIENT_SIDE), kind


@pytest.mark.parametrize(
    ("error", "status", "headers"),
    [
        (errors.MalformedRequest("not JSON"), 400, {}),
        (errors.NotAuthenticated(), 401, {"WWW-Authenticate": 'Bearer realm="hashdb"'}),
        (errors.ScopeMissing("match"), 403, {}),
        (errors.MemberSuspended(), 403, {}),
        (errors.NotYours("contribution", 3), 403, {}),
        (errors.OwnContribution(3), 403, {}),
        (errors.MediaRefused(), 403, {}),
        (errors.TextRefused(), 403, {}),
        (errors.NotFound("contribution 3"), 404, {}),
        (errors.MethodNotAllowed("GET, HEAD"), 405, {"Allow": "GET, HEAD"}),
        (errors.AlreadyWithdrawn(3), 409, {}),
        (errors.NotActive(3, "expired"), 409, {}),
        (errors.UnderReview(3), 409, {}),
        (errors.AlreadyDecided(3), 409, {}),
        (errors.RetiredKept(3), 409, {}),
        (errors.FeedRestarted("9f3c"), 410, {}),
        (errors.TooLarge("a body", 9), 413, {}),
        (errors.WrongContentType("application/json"), 415, {}),
        (errors.UnreadablePicture("truncated"), 415, {}),
        (errors.InvalidInput((errors.Fault("a", "b"),)), 422, {}),
        (errors.LimitReached("3 a day", 60), 429, {"Retry-After": "60"}),
        (errors.StoreBusy(2), 503, {"Retry-After": "2"}),
        (errors.TooManyAtOnce("5 large requests", 1), 429, {"Retry-After": "1"}),
        (errors.HashingBusy("33 pictures", 1), 429, {"Retry-After": "1"}),
    ],
)
def test_an_error_is_returned_with_its_status_and_headers(
    error: HashDBError, status: int, headers: dict[str, str]
) -> None:
    response = respond(error)
    details = json.loads(response.get_data())
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert (details["status"], details["type"], details["detail"]) == (status, f"/problems/{error.slug}", str(error))
    assert {name: response.headers[name] for name in headers} == headers
    assert ("Retry-After" in response.headers) == (status in (429, 503))


def test_an_unexpected_error_is_logged_and_reveals_nothing(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> str:
        raise RuntimeError("pdq:f8f8 of a member")

    service.app.add_url_rule("/fail", view_func=fail)
    with caplog.at_level(logging.INFO, "hashdb"):
        details = problem(service.anonymous.get("/fail"), 500, "internal")
    assert set(details) == {"type", "title", "status", "detail"}
    (message,) = [record.getMessage() for record in caplog.records if record.name == "hashdb.web"]
    assert message.startswith("unexpected RuntimeError at ")
    assert "fail" in message
    assert "f8f8" not in caplog.text
