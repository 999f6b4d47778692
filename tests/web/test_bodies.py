"""Every route with a body rejects bodies that are too large, endless, or expensive to parse."""

from __future__ import annotations

import io
import json
import resource
from collections.abc import Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import Scope
from hashdb.wire import MAX_FIELD_NAMES, MAX_VALUES
from tests.web.authorisations import RIGHTS
from tests.web.callers import CHUNKED, REMOVED, Caller, Service, item, pdq, problem, service_at
from tests.web.test_authorisation import with_plain_ids
from tests.web.test_hostile import REJECTION_STATUSES

MEGABYTE = 1024 * 1024
SIZE_LIMIT = 32 * 1024
"""The size limit of every body here, in bytes."""
LARGE_BUDGET = "changes=1000000"
"""The clock of these tests does not move, so no budget renews."""
MANY = 10_000
GROWTH = 160 * MEGABYTE
"""The memory, in bytes, that this process may take while it reads the hardest bodies."""

JSON, FORM, FIELDS = "application/json", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"


def _kind(route: str) -> str | None:
    """The Content-Type of the body that a route reads, or None."""
    example = RIGHTS[route].body
    if route == "POST /tat/token-auth/tcap/":
        return FIELDS
    if example is None:
        return None
    if not callable(example):
        return JSON
    content_type = str(example().get("content_type", ""))
    return FORM if content_type.startswith("multipart") else content_type or FIELDS


KINDS = {route: kind for route in RIGHTS if (kind := _kind(route))}
WITHOUT_BODY = {
    "POST /v1/webhooks/<id>/secret",
    "POST /v1/webhooks/<id>/test",
    "POST /v1/webhooks/<id>/deliveries/<id>/redelivery",
    "PUT /hma/c/bank/<name>",  # always rejected
}
"""The routes that read no body."""
for_every_route_with_a_body = pytest.mark.parametrize("route", KINDS)
for_every_route_with_json = pytest.mark.parametrize("route", [route for route, kind in KINDS.items() if kind == JSON])

EXPENSIVE: dict[str, str] = {
    "deep lists": "[" * MANY + "]" * MANY,
    "deep objects": '{"a":' * MANY + "1" + "}" * MANY,
    "deep and truncated": "[" * 300_000,
    "a number of many digits": "1" * MANY,
    "a fraction of many digits": "0." + "1" * MANY,
    "a number too large": "1e400",
    "a minus sign alone": "-",
    "not a number": "NaN",
    "infinity": "-Infinity",
    "many numbers": json.dumps([0] * MANY),
    "many lists": json.dumps([[]] * MANY),
    "many objects": json.dumps([{}] * MANY),
    "many strings": json.dumps(["pdq:"] * MANY),
    "many keys": json.dumps({str(n): n for n in range(MANY)}),
    "the same key many times": "{" + '"a":1,' * MANY + '"a":1}',
    "a long key": json.dumps({"x" * 300_000: 1}),
    "a long text": json.dumps("x" * 300_000),
    "half a surrogate": '"\\ud800"',
    "a NUL": '"\\u0000"',
    "spaces": " " * 300_000,
}


class Endless(io.RawIOBase):
    """A stream that never ends and counts how many bytes are read."""

    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start
        self.bytes_read = 0

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def tell(self) -> int:
        return 0

    def readinto(self, buffer: Any) -> int:
        part = (self.start[self.bytes_read :] or b"a" * len(buffer))[: len(buffer)]
        buffer[: len(part)] = part
        self.bytes_read += len(part)
        return len(part)


def _caller(service: Service) -> Caller:
    return service.caller(*Scope, name="Platform")


@pytest.fixture(scope="module")
def small_limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A caller with all scopes, of a service with low size limits."""
    url = f"sqlite:///{tmp_path_factory.mktemp('small')}/hashdb.sqlite"
    limits = {
        "max_body": SIZE_LIMIT,
        "video_max_body": SIZE_LIMIT,
        "media_max_bytes": SIZE_LIMIT // 2,
        "media_max_request": SIZE_LIMIT,
    }
    with service_at(url, interop_label="glorification", budgets=LARGE_BUDGET, **limits) as service:
        caller = _caller(service)
        caller.contribute(item(1))
        yield caller


@pytest.fixture(scope="module")
def default_limits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A caller with all scopes, of a service with the default size limits."""
    url = f"sqlite:///{tmp_path_factory.mktemp('usual')}/hashdb.sqlite"
    with service_at(url, interop_label="glorification", budgets=LARGE_BUDGET) as service:
        yield _caller(service)


def _request(caller: Caller, route: str, content_type: str, **more: Any) -> TestResponse:
    """The answer to a request with the key in every place where a protocol reads it."""
    method, _, rule = route.partition(" ")
    path = with_plain_ids(rule).replace("<id>", "1").replace("<name>", "PLATFORM")
    headers = {"x-functions-key": str(caller.secret), **more.pop("headers", {})}
    if path.startswith("/graph"):
        path += f"?access_token={caller.member}|{caller.secret}"
    return caller.request(method, path, headers=headers, content_type=content_type, **more)


def test_every_route_with_a_body_is_tested() -> None:
    with_body = {route for route in RIGHTS if route.startswith(("POST", "PATCH", "PUT"))}
    assert with_body - KINDS.keys() == WITHOUT_BODY
    assert KINDS.keys() <= with_body


@for_every_route_with_a_body
def test_a_body_with_a_too_large_content_length_is_rejected(small_limits: Caller, route: str) -> None:
    stream = Endless(b"")
    declared = {"CONTENT_LENGTH": str(SIZE_LIMIT + 1)}
    response = _request(small_limits, route, KINDS[route], input_stream=stream, environ_overrides=declared)
    assert response.status_code == 413, response.text
    assert stream.bytes_read <= SIZE_LIMIT + 1


@for_every_route_with_a_body
def test_an_endless_body_is_rejected(small_limits: Caller, route: str) -> None:
    start = {JSON: b'{"a": "', FORM: b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'}
    stream = Endless(start.get(KINDS[route], b"a="))
    chunked = {name: value for name, value in CHUNKED.items() if name != "data"}
    response = _request(small_limits, route, KINDS[route], input_stream=stream, **chunked)
    assert response.status_code == 413, response.text
    assert stream.bytes_read <= 4 * SIZE_LIMIT


def _texts(valid: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each expensive text alone; and those with many parts in each field, also of the first object in a list."""
    for name, text in EXPENSIVE.items():
        yield name, text
        if "many" not in name and name != "deep lists":
            continue
        for field, value in valid.items():
            others = {name: value for name, value in valid.items() if name != field}
            rest = f", {json.dumps(others)[1:]}" if others else "}"
            yield name, f'{{"{field}": {text}{rest}'
            yield name, f'{{"{field}": [{text}]{rest}'
            if isinstance(value, list) and isinstance(value[0], dict):
                for inner in value[0]:
                    yield name, f'{{"{field}": [{{"{inner}": {text}}}]{rest}'


@for_every_route_with_json
def test_json_that_is_expensive_to_parse_is_rejected(default_limits: Caller, route: str) -> None:
    for name, text in _texts(RIGHTS[route].body):
        response = _request(default_limits, route, JSON, data=text.encode())
        assert response.status_code in REJECTION_STATUSES, (name, text[:100], response.text[:300])
        assert len(response.data) < MEGABYTE, name


def _contributions_with(*parts: str) -> str:
    return '{"contributions": ' + "".join(parts) + "}"


def _large_bodies() -> dict[str, str]:
    """Large bodies within the limit of 16 MB."""
    return {
        "unknown fields": _contributions_with("[{", ",".join(f'"{n:x}": 0' for n in range(MAX_FIELD_NAMES - 1)), "}]"),
        "more unknown fields": _contributions_with("[{", ",".join(f'"{n:x}":0' for n in range(1_000_000)), "}]"),
        "the same field two million times": "{" + '"a":0,' * 2_000_000 + '"a": 0}',
        "lists": _contributions_with("[", "[]," * (MAX_VALUES // 2 - 3), "[]]"),
        "more lists": _contributions_with("[", "[]," * 5_000_000, "[]]"),
        "numbers": _contributions_with('[{"labels": [', "0," * (MAX_VALUES - 9), "0]}]"),
        "a text": _contributions_with('"', "a" * 15 * MEGABYTE, '"'),
        "colons": _contributions_with('"', ":" * 15 * MEGABYTE, '"'),
        "quotes": _contributions_with("[", '"":' * 5_000_000),
        "backslashes": _contributions_with('"', "\\" * 15 * MEGABYTE),
    }


def test_large_json_is_rejected_with_little_memory(default_limits: Caller) -> None:
    large = _large_bodies()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, text in large.items():
        response = _request(default_limits, "POST /v1/contributions", JSON, data=text.encode())
        assert response.status_code in REJECTION_STATUSES, (name, response.text[:300])
        assert len(response.data) < MEGABYTE, name
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < GROWTH


def test_large_json_with_frames_is_rejected_within_a_memory_limit(default_limits: Caller) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in ("[]," * 700_000, "0," * 1_400_000, "[]," * 2_000_000):
        text = f'{{"contributions": [{{"frames": [{content[:-1]}]}}]}}'
        response = _request(default_limits, "POST /v1/contributions", JSON, data=text.encode())
        assert response.status_code in REJECTION_STATUSES, response.text[:300]
        assert len(response.data) < MEGABYTE
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 3 * GROWTH


def test_only_a_body_with_frames_may_exceed_the_usual_limit() -> None:
    with service_at(None, max_body=4_000, video_max_body=20_000) as service:
        caller = service.caller()
        video = {"labels": ["glorification"], "removed_at": REMOVED, "media": "video", "signals": []}
        frames = [{"at": float(n), "quality": 90, "signals": [pdq(n)]} for n in range(100)]
        (contribution,) = caller.contribute({**video, "duration": 100.0, "frames": frames})
        queries = {"queries": [{"signals": [], "duration": 100.0, "frames": frames}]}
        response = caller.post("/v1/matches", queries)
        assert [match["contribution"] for match in response.get_json()["results"][0]["matches"]] == [contribution["id"]]
        large = {"queries": [{"signals": [pdq(n) for n in range(60)]}]}
        assert problem(caller.post("/v1/matches", large), 413, "too-large")["limit"] == 4_000
        assert problem(caller.post("/v1/matches", {"queries": queries["queries"] * 3}), 413)["limit"] == 20_000
        assert problem(caller.post("/v1/members", {"name": "frames" * 1_000}), 413)["limit"] == 4_000


def test_the_largest_valid_request_is_within_the_limits_of_values() -> None:
    full = item(1, severity=2, tco_ground="2.7.a", context=["synthetic"], reference="," * 190, entity="UN:example")
    full |= {"basis": "terms", "media": "image", "incident": None, "notified_at": REMOVED, "expires_at": None}
    with service_at(None) as service:
        caller = service.caller()
        contributions = caller.contribute(
            *[{**full, "signals": [pdq(n * 64 + k) for k in range(64)]} for n in range(40)]
        )
    parts = 25  # 25 requests of 40 items have as many values as one of 1,000 items.
    text = json.dumps({"contributions": [full] * 40})
    assert len(contributions) == 40
    assert parts * (text.count(",") + text.count("{") + text.count("[") + 40 * 64) < MAX_VALUES
    assert parts * 40 * len(full) < MAX_FIELD_NAMES


def test_the_last_of_two_fields_with_one_name_wins(default_limits: Caller) -> None:
    twice = b'{"severity": 9, "severity": 2, "name": "A", "name": "B", "kind": "platform"}'
    response = default_limits.post("/v1/members", data=twice, content_type=JSON)
    assert response.get_json(force=True)["errors"] == [{"at": "severity", "reason": "is not a field of this request"}]
    twice = twice.replace(b'"severity": 9, "severity": 2, ', b"")
    assert default_limits.post("/v1/members", data=twice, content_type=JSON).get_json()["name"] == "B"
