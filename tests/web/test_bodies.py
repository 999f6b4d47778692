"""Bodies that are too large, endless, or made to be hard to read: every route that takes one refuses them in order."""

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
from tests.web.test_authorisation import without_id_names
from tests.web.test_hostile import REJECTION_STATUSES

MEGABYTE = 1024 * 1024
CAP = 32 * 1024
"""Of every body here."""
WIDE = "changes=1000000"
"""The clock stands still here, so that no budget renews."""
MANY = 10_000
GROWTH = 160 * MEGABYTE
"""By which the memory of this process may grow while it reads what is as hard as it can be."""

JSON, FORM, FIELDS = "application/json", "multipart/form-data; boundary=b", "application/x-www-form-urlencoded"


def _kind(route: str) -> str | None:
    """The Content-Type of the body that a route reads, if it reads one."""
    sends = RIGHTS[route].sends
    if route == "POST /tat/token-auth/tcap/":
        return FIELDS
    if sends is None:
        return None
    if not callable(sends):
        return JSON
    sent = str(sends().get("content_type", ""))
    return FORM if sent.startswith("multipart") else sent or FIELDS


KINDS = {route: kind for route in RIGHTS if (kind := _kind(route))}
WITHOUT = {
    "POST /v1/webhooks/<id>/secret",
    "POST /v1/webhooks/<id>/test",
    "POST /v1/webhooks/<id>/deliveries/<id>/redelivery",
    "PUT /hma/c/bank/<name>",  # refused whatever is sent
}
"""Those that read no body."""
of_every_route_with_a_body = pytest.mark.parametrize("route", KINDS)
of_every_route_with_json = pytest.mark.parametrize("route", [route for route, kind in KINDS.items() if kind == JSON])

HARD: dict[str, str] = {
    "deep lists": "[" * MANY + "]" * MANY,
    "deep objects": '{"a":' * MANY + "1" + "}" * MANY,
    "deep and cut": "[" * 300_000,
    "a number of many digits": "1" * MANY,
    "a fraction of many digits": "0." + "1" * MANY,
    "a number too large": "1e400",
    "minus nothing": "-",
    "not a number": "NaN",
    "infinite": "-Infinity",
    "many numbers": json.dumps([0] * MANY),
    "many lists": json.dumps([[]] * MANY),
    "many objects": json.dumps([{}] * MANY),
    "many strings": json.dumps(["pdq:"] * MANY),
    "many keys": json.dumps({str(n): n for n in range(MANY)}),
    "one key many times": "{" + '"a":1,' * MANY + '"a":1}',
    "a long key": json.dumps({"x" * 300_000: 1}),
    "a long text": json.dumps("x" * 300_000),
    "half a surrogate": '"\\ud800"',
    "a zero": '"\\u0000"',
    "spaces": " " * 300_000,
}


class Endless(io.RawIOBase):
    """A stream that never ends, and knows how much was read of it."""

    def __init__(self, start: bytes) -> None:
        super().__init__()
        self.start = start
        self.taken = 0

    def readable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return 0

    def tell(self) -> int:
        return 0

    def readinto(self, buffer: Any) -> int:
        part = (self.start[self.taken :] or b"a" * len(buffer))[: len(buffer)]
        buffer[: len(part)] = part
        self.taken += len(part)
        return len(part)


def _opened(service: Service) -> Caller:
    return service.caller(*Scope, name="Platform")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A key of all scopes at a service that takes little."""
    url = f"sqlite:///{tmp_path_factory.mktemp('small')}/hashdb.sqlite"
    caps = {"max_body": CAP, "video_max_body": CAP, "media_max_bytes": CAP // 2, "media_max_request": CAP}
    with service_at(url, interop_label="glorification", budgets=WIDE, **caps) as service:
        opened = _opened(service)
        opened.contribute(item(1))
        yield opened


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A key of all scopes at a service that takes what is usual."""
    url = f"sqlite:///{tmp_path_factory.mktemp('usual')}/hashdb.sqlite"
    with service_at(url, interop_label="glorification", budgets=WIDE) as service:
        yield _opened(service)


def _asked(caller: Caller, route: str, content_type: str, **more: Any) -> TestResponse:
    """The answer to a request, its key in every place where a protocol has it."""
    method, _, rule = route.partition(" ")
    path = without_id_names(rule).replace("<id>", "1").replace("<name>", "PLATFORM")
    headers = {"x-functions-key": str(caller.secret), **more.pop("headers", {})}
    if path.startswith("/graph"):
        path += f"?access_token={caller.member}|{caller.secret}"
    return caller.request(method, path, headers=headers, content_type=content_type, **more)


def test_every_route_that_takes_a_body_is_tried() -> None:
    taking = {route for route in RIGHTS if route.startswith(("POST", "PATCH", "PUT"))}
    assert taking - KINDS.keys() == WITHOUT
    assert KINDS.keys() <= taking


@of_every_route_with_a_body
def test_a_body_that_is_too_large_is_refused_by_its_length(small: Caller, route: str) -> None:
    stream = Endless(b"")
    too_much = {"CONTENT_LENGTH": str(CAP + 1)}
    answer = _asked(small, route, KINDS[route], input_stream=stream, environ_overrides=too_much)
    assert answer.status_code == 413, answer.text
    assert stream.taken <= CAP + 1


@of_every_route_with_a_body
def test_a_body_without_an_end_is_refused(small: Caller, route: str) -> None:
    start = {JSON: b'{"a": "', FORM: b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'}
    stream = Endless(start.get(KINDS[route], b"a="))
    sent = {name: value for name, value in CHUNKED.items() if name != "data"}
    answer = _asked(small, route, KINDS[route], input_stream=stream, **sent)
    assert answer.status_code == 413, answer.text
    assert stream.taken <= 4 * CAP


def _texts(valid: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Each hard text alone, and those with many parts in the place of each field, also of the first in its lists."""
    for name, hard in HARD.items():
        yield name, hard
        if "many" not in name and name != "deep lists":
            continue
        for field, value in valid.items():
            others = {other: said for other, said in valid.items() if other != field}
            rest = f", {json.dumps(others)[1:]}" if others else "}"
            yield name, f'{{"{field}": {hard}{rest}'
            yield name, f'{{"{field}": [{hard}]{rest}'
            if isinstance(value, list) and isinstance(value[0], dict):
                for inner in value[0]:
                    yield name, f'{{"{field}": [{{"{inner}": {hard}}}]{rest}'


@of_every_route_with_json
def test_what_is_hard_to_read_is_refused(usual: Caller, route: str) -> None:
    for name, text in _texts(RIGHTS[route].sends):
        answer = _asked(usual, route, JSON, data=text.encode())
        assert answer.status_code in REJECTION_STATUSES, (name, text[:100], answer.text[:300])
        assert len(answer.data) < MEGABYTE, name


def _holding(*parts: str) -> str:
    return '{"contributions": ' + "".join(parts) + "}"


def _large() -> dict[str, str]:
    """Bodies within the cap of 16 MB."""
    return {
        "unknown fields": _holding("[{", ",".join(f'"{n:x}": 0' for n in range(MAX_FIELD_NAMES - 1)), "}]"),
        "more unknown fields": _holding("[{", ",".join(f'"{n:x}":0' for n in range(1_000_000)), "}]"),
        "one field again and again": "{" + '"a":0,' * 2_000_000 + '"a": 0}',
        "lists": _holding("[", "[]," * (MAX_VALUES // 2 - 3), "[]]"),
        "more lists": _holding("[", "[]," * 5_000_000, "[]]"),
        "numbers": _holding('[{"labels": [', "0," * (MAX_VALUES - 9), "0]}]"),
        "a text": _holding('"', "a" * 15 * MEGABYTE, '"'),
        "colons": _holding('"', ":" * 15 * MEGABYTE, '"'),
        "quotes": _holding("[", '"":' * 5_000_000),
        "backslashes": _holding('"', "\\" * 15 * MEGABYTE),
    }


def test_what_is_large_is_refused_in_little_memory(usual: Caller) -> None:
    large = _large()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, text in large.items():
        answer = _asked(usual, "POST /v1/contributions", JSON, data=text.encode())
        assert answer.status_code in REJECTION_STATUSES, (name, answer.text[:300])
        assert len(answer.data) < MEGABYTE, name
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < GROWTH


def test_what_is_large_with_frames_is_refused_in_bounded_memory(usual: Caller) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for content in ("[]," * 700_000, "0," * 1_400_000, "[]," * 2_000_000):
        text = f'{{"contributions": [{{"frames": [{content[:-1]}]}}]}}'
        answer = _asked(usual, "POST /v1/contributions", JSON, data=text.encode())
        assert answer.status_code in REJECTION_STATUSES, answer.text[:300]
        assert len(answer.data) < MEGABYTE
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < 3 * GROWTH


def test_only_a_body_with_frames_may_be_larger_than_others() -> None:
    with service_at(None, max_body=4_000, video_max_body=20_000) as service:
        caller = service.caller()
        video = {"labels": ["glorification"], "removed_at": REMOVED, "media": "video", "signals": []}
        frames = [{"at": float(n), "quality": 90, "signals": [pdq(n)]} for n in range(100)]
        (made,) = caller.contribute({**video, "duration": 100.0, "frames": frames})
        asked = {"queries": [{"signals": [], "duration": 100.0, "frames": frames}]}
        answer = caller.post("/v1/matches", asked)
        assert [match["contribution"] for match in answer.get_json()["results"][0]["matches"]] == [made["id"]]
        many = {"queries": [{"signals": [pdq(n) for n in range(60)]}]}
        assert problem(caller.post("/v1/matches", many), 413, "too-large")["limit"] == 4_000
        assert problem(caller.post("/v1/matches", {"queries": asked["queries"] * 3}), 413)["limit"] == 20_000
        assert problem(caller.post("/v1/members", {"name": "frames" * 1_000}), 413)["limit"] == 4_000


def test_the_largest_request_that_there_is_is_taken() -> None:
    full = item(1, severity=2, tco_ground="2.7.a", context=["synthetic"], reference="," * 190, entity="UN:example")
    full |= {"basis": "terms", "media": "image", "incident": None, "notified_at": REMOVED, "expires_at": None}
    with service_at(None) as service:
        caller = service.caller()
        made = caller.contribute(*[{**full, "signals": [pdq(n * 64 + k) for k in range(64)]} for n in range(40)])
    parts = 25  # Twenty-five times as much is a thousand items.
    text = json.dumps({"contributions": [full] * 40})
    assert len(made) == 40
    assert parts * (text.count(",") + text.count("{") + text.count("[") + 40 * 64) < MAX_VALUES
    assert parts * 40 * len(full) < MAX_FIELD_NAMES


def test_of_a_field_that_is_there_twice_the_last_counts(usual: Caller) -> None:
    twice = b'{"severity": 9, "severity": 2, "name": "A", "name": "B", "kind": "platform"}'
    answer = usual.post("/v1/members", data=twice, content_type=JSON)
    assert answer.get_json(force=True)["errors"] == [{"at": "severity", "reason": "is not a field of this request"}]
    twice = twice.replace(b'"severity": 9, "severity": 2, ', b"")
    assert usual.post("/v1/members", data=twice, content_type=JSON).get_json()["name"] == "B"
