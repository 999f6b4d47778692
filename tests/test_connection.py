"""Connection: a request is sent again where that does no harm, and not where it may."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import httpx
import pytest

from hashdb import errors
from hashdb.connection import ClientRequest, Connection
from hashdb.web.problems import status_of
from hashdb.wire.problems import problem

GET, ONCE = ClientRequest("GET", "/v1/me"), ClientRequest("POST", "/v1/contributions/7/withdrawal", "{}", safe=False)
Answer = Callable[[httpx.Request], httpx.Response]


def of(error: errors.HashDBError) -> Answer:
    """What a service answers that raises an error."""
    status = status_of(type(error))
    return lambda request: httpx.Response(status, content=json.dumps(problem(error, status)))


def fine(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=b"{}")


def lost(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadError("lost", request=request)


def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused", request=request)


class Service:
    """Answers one request after the other, and counts them."""

    def __init__(self, *answers: Answer) -> None:
        self.left, self.count = iter(answers), 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.count += 1
        return next(self.left)(request)

    def connection(self, retries: int = 2) -> Connection:
        return Connection("http://hashdb.test", "hdb_x", 5, retries, httpx.MockTransport(self))


def plain(status: int, **headers: str) -> Answer:
    return lambda request: httpx.Response(status, content=b"<html>", headers=headers)


@pytest.mark.parametrize(
    "answer",
    [
        of(errors.StoreBusy(0)),
        of(errors.LimitReached("requests", 0)),
        of(errors.TooManyAtOnce("5 large requests", 0)),
        of(errors.HashingBusy("33 pictures", 0)),
        lost,
        refused,
        plain(502),
        plain(503, **{"Retry-After": "0"}),
    ],
)
def test_a_safe_request_is_sent_again(answer: Answer) -> None:
    service = Service(answer, fine)
    assert service.connection().send(GET).status_code == 200
    assert service.count == 2


@pytest.mark.parametrize(
    ("answer", "kind", "count"),
    [
        (lost, errors.ServiceUnreachable, 1),
        (plain(504), errors.ServiceError, 1),
        (refused, errors.ServiceUnreachable, 2),
        (of(errors.StoreBusy(0)), errors.StoreBusy, 2),
        (of(errors.TooManyAtOnce("5 large requests", 0)), errors.TooManyAtOnce, 2),
    ],
)
def test_what_must_not_come_twice_is_sent_again_only_where_it_was_not_carried_out(
    answer: Answer, kind: type[errors.HashDBError], count: int
) -> None:
    service = Service(answer, answer)
    with pytest.raises(kind):
        service.connection(retries=1).send(ONCE)
    assert service.count == count


@pytest.mark.parametrize("answer", [of(errors.NotFound("it")), of(errors.ScopeMissing("match")), plain(500)])
def test_a_refusal_is_not_asked_for_again(answer: Answer) -> None:
    service = Service(answer)
    with pytest.raises(errors.HashDBError):
        service.connection().send(GET)
    assert service.count == 1


def test_who_is_told_to_come_again_much_later_is_told_so_at_once() -> None:
    service = Service(of(errors.LimitReached("contributions a day", 3_600)))
    with pytest.raises(errors.LimitReached):
        service.connection().send(GET)
    assert service.count == 1


def test_who_finds_no_place_to_wait_at_the_service_waits_here(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = list[float]()
    monkeypatch.setattr("hashdb.connection.time.sleep", slept.append)
    full = plain(200, **{"Retry-After": "5"})
    service = Service(full, full, fine, full)
    connection = service.connection()
    for request in (
        ClientRequest("GET", "/v1/changes", extra_seconds=20),
        ClientRequest("GET", "/v1/changes", extra_seconds=2),
    ):
        connection.send(request)
    assert slept == [5, 2]
    assert list(connection.lines(ClientRequest("GET", "/v1/changes", extra_seconds=20))) == []
    connection.send(GET)
    assert (slept, service.count) == ([5, 2], 4)


def test_lines_come_whole_however_they_are_cut() -> None:
    def parts() -> Iterator[bytes]:
        yield from (b"one\ntw", b"o\nthr", b"ee", b"\n")

    service = Service(lambda request: httpx.Response(200, content=parts()))
    lines = [line for some in service.connection().lines(GET) for line in some.splitlines()]
    assert lines == [b"one", b"two", b"three"]


def test_a_stream_that_breaks_off_is_told() -> None:
    def broken() -> Iterator[bytes]:
        yield b"one\ntwo"
        raise httpx.ReadError("broken")

    lines = Service(lambda request: httpx.Response(200, content=broken())).connection().lines(GET)
    assert next(lines) == b"one"
    with pytest.raises(errors.ServiceUnreachable):
        next(lines)
