"""Hundreds of randomly altered requests: each invalid one is rejected properly, and nothing of it is stored."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from werkzeug.test import TestResponse

from tests.web.callers import Caller, Service, item, pdq, problem, service_at
from tests.web.pictures import METADATA, NOT_A_PICTURE, multipart

CASES = 120
REJECTION_STATUSES = {400, 401, 403, 404, 405, 409, 413, 415, 422, 429}

WEBHOOK = {"url": "https://hooks.example/a?b=c", "topics": ["feed.changed", "match.reversed"], "note": "mine"}
VALID: dict[str, tuple[str, str, Any]] = {
    "contribute": (
        "POST",
        "/v1/contributions",
        {"contributions": [item(11, severity=2, context=[], reference="r"), item(12, entity="UN:example")]},
    ),
    "match": ("POST", "/v1/matches", {"queries": [{"id": "u", "signals": [pdq(1)], "radius": {"pdq": 20}}]}),
    "amend": ("PATCH", "/v1/contributions/1", {"labels": ["manifesto"], "severity": 3, "incident": None}),
    "withdraw": ("POST", "/v1/contributions/2/withdrawal", {"reason": "removal_reversed"}),
    "add a benign entry": ("POST", "/v1/benign", {"signals": [pdq(77)], "radius": {"pdq": 3}, "note": "card"}),
    "open an incident": (
        "POST",
        "/v1/incidents",
        {"label": "CI:x", "start": "2026-11-20T10:00:00Z", "end": "2027-11-20T10:00:00Z", "expires": True},
    ),
    "change an incident": ("PATCH", "/v1/incidents/1", {"start": "2026-11-20T10:00:00Z", "end": None}),
    "give an opinion": (
        "POST",
        "/v1/contributions/4/opinions",
        {"opinion": "disputes", "reason": "edsa_context", "note": "a news report"},
    ),
    "decide a case": ("POST", "/v1/cases/1/decision", {"decision": "quarantine", "note": "for now"}),
    "add a member": (
        "POST",
        "/v1/members",
        {"name": "New", "kind": "platform", "contact": "a@b", "limits": {"contributions_per_day": 5}},
    ),
    "change a member": ("PATCH", "/v1/members/1", {"contact": "c@d", "limits": {"contributions_per_day": 10_000}}),
    "issue a key": ("POST", "/v1/members/1/keys", {"scopes": ["match"], "expires_at": "2027-01-01T00:00:00Z"}),
    "make a webhook": ("POST", "/v1/webhooks", WEBHOOK),
    "change a webhook": ("PATCH", "/v1/webhooks/1", {**WEBHOOK, "topics": ["case.opened"], "enabled": True}),
}

LISTS = [
    *(f"/v1/{name}" for name in ("contributions", "events", "changes", "members", "me", "cases", "webhooks")),
    "/v1/webhooks/1/deliveries",
]

HOSTILE: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    2**31,
    2**63,
    2**64,
    10**400,
    1.5,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "\x00",
    "\ud800",
    "\u202e",
    "\uffff",
    "x" * 100_000,
    "'; DROP TABLE members; --",
    "%s%n{0}${x}",
    "../../etc/passwd",
    "pdq:",
    "pdq:" + "g" * 64,
    "PDQ:" + "0" * 64,
    "phash:" + "٣" * 16,
    "2026-13-40T99:99:99Z",
    "0000-00-00T00:00:00Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:60-23:59",
    [],
    [[]],
    [None] * 2000,
    {},
    {"": {}},
    {"__class__": "x"},
    {"x" * 1000: 1},
)


@pytest.fixture
def caller(service: Service) -> Caller:
    """A caller with all scopes. Its member has contributions 1 to 3, the last disputed; contribution 4 is another's."""
    return _caller(service)


def _caller(service: Service) -> Caller:
    caller, other = service.caller(), service.caller()
    caller.post("/v1/incidents", {"label": "CI:first", "start": "2026-11-20T10:00:00Z"})
    caller.contribute(item(1), item(2), item(3))
    other.contribute(item(4))
    other.post("/v1/contributions/3/opinions", {"opinion": "disputes", "reason": "other"})
    caller.post("/v1/webhooks", WEBHOOK)
    return caller


def _nodes(value: Any) -> Iterator[tuple[Any, Any]]:
    """Each place in a JSON value, as the container and the key or index in it."""
    pairs: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield value, key
        yield from _nodes(inner)


def _replace(rng: random.Random, value: Any) -> None:
    container, key = rng.choice(list(_nodes(value)))
    container[key] = copy.deepcopy(rng.choice(HOSTILE))


def _remove(rng: random.Random, value: Any) -> None:
    container, key = rng.choice(list(_nodes(value)))
    del container[key]


def _add(rng: random.Random, value: Any) -> None:
    container, _ = rng.choice(list(_nodes(value)))
    if isinstance(container, dict):
        container[rng.choice(["id", "admin", "", "\x00", "é" * 99, "__proto__", pdq(9)])] = copy.deepcopy(
            rng.choice(HOSTILE)
        )
    else:
        container.insert(0, copy.deepcopy(rng.choice(HOSTILE)))


def _wrap(rng: random.Random, value: Any) -> None:
    container, key = rng.choice(list(_nodes(value)))
    for _ in range(rng.choice([1, 2, 50, 150])):
        container[key] = rng.choice([[container[key]], {"a": container[key]}])


def _cut(rng: random.Random, text: bytes) -> bytes:
    return text[: rng.randrange(len(text))]


def _flip(rng: random.Random, text: bytes) -> bytes:
    at = rng.randrange(len(text))
    return text[:at] + bytes([text[at] ^ 1 << rng.randrange(8)]) + text[at + 1 :]


def _insert(rng: random.Random, text: bytes) -> bytes:
    at = rng.randrange(len(text) + 1)
    odd = [b"\x00", b"\xff", b"\xed\xa0\x80", b'"', b"{", b"]", b",", b"\\u", b"\\ud800", b"1e999", b"/**/", b"NaN"]
    return text[:at] + rng.choice(odd) + text[at:]


def _double(rng: random.Random, text: bytes) -> bytes:
    return text + text[rng.randrange(len(text)) :]


VALUES: tuple[Callable[[random.Random, Any], None], ...] = (_replace, _replace, _remove, _add, _wrap)
TEXTS: tuple[Callable[[random.Random, bytes], bytes], ...] = (_cut, _flip, _insert, _double)


def _mutated(rng: random.Random, valid: Any) -> bytes:
    value = copy.deepcopy(valid)
    for _ in range(rng.choice([1, 1, 2, 3])):
        if list(_nodes(value)):
            rng.choice(VALUES)(rng, value)
    text = json.dumps(value).encode()
    return rng.choice(TEXTS)(rng, text) if rng.random() < 0.4 else text


def _rejected(service: Service, response: TestResponse, before: dict[str, int]) -> bool:
    """Whether a request was rejected, with a well-formed answer; an altered request can also be valid and accepted."""
    if response.status_code in (200, 201):
        return False
    assert response.status_code in REJECTION_STATUSES, response.text
    details = problem(response, response.status_code)
    if response.status_code == 422:
        assert 0 < len(details["errors"]) <= 1000
        assert all(isinstance(fault["at"], str) and fault["reason"] for fault in details["errors"])
    assert len(response.data) < 500_000
    assert service.rows() == before
    return True


@pytest.mark.parametrize("name", VALID)
def test_mutated_json_is_rejected_and_not_stored(service: Service, caller: Caller, name: str) -> None:
    method, path, valid = VALID[name]
    rng = random.Random(name)
    rejected, before = 0, service.rows()
    for _ in range(CASES):
        text = _mutated(rng, valid)
        if _rejected(service, caller.request(method, path, data=text, content_type="application/json"), before):
            rejected += 1
        else:
            before = service.rows()
    assert rejected >= CASES * 2 / 3


@pytest.mark.parametrize("path", ["/v1/signals", "/v1/matches/media", "/v1/contributions/media"])
def test_mutated_forms_are_rejected_and_not_stored(service: Service, caller: Caller, path: str) -> None:
    rng = random.Random(path)
    before = service.rows()
    parts = [('name="file"; filename="a.png"', NOT_A_PICTURE), ('name="metadata"', json.dumps(METADATA).encode())]
    for _ in range(CASES // 2):
        form = multipart("b", *parts)
        form["data"] = rng.choice(TEXTS)(rng, form["data"])
        assert _rejected(service, caller.post(path, **form), before)


def test_mutated_query_strings_are_rejected(service: Service, caller: Caller) -> None:
    rng = random.Random(5)
    names = [
        "after",
        "limit",
        "status",
        "label",
        "member",
        "since",
        "wait",
        "epoch",
        "subject",
        "actor",
        "state",
        "outcome",
        "x",
        "",
    ]
    values = ["", "-1", "1", "9" * 30, "%00", "%ff", "%ed%a0%80", "x" * 5000, "1e5", "true", "%F0%9F%92%A9", "%25", "+"]
    caller.get("/v1/changes")
    before = service.rows()
    rejected = 0
    for _ in range(CASES):
        query = rng.choice("&;").join(f"{rng.choice(names)}={rng.choice(values)}" for _ in range(rng.randrange(1, 4)))
        path = rng.choice(LISTS)
        response = caller.get(f"{path}?{query}".replace("wait=1&", ""))
        if response.status_code != 200:
            assert response.status_code in {403, 410, 422}
            problem(response, response.status_code)
            rejected += 1
    assert rejected > CASES / 2
    assert service.rows() == before


@pytest.mark.parametrize("name", ["contribute", "match", "give an opinion", "add a member"])
def test_mutated_json_is_rejected_with_postgresql(postgres_url: str, name: str) -> None:
    method, path, valid = VALID[name]
    rng = random.Random(name)
    with service_at(postgres_url) as service:
        caller = _caller(service)
        before = service.rows()
        for _ in range(CASES // 2):
            text = _mutated(rng, valid)
            if not _rejected(service, caller.request(method, path, data=text, content_type="application/json"), before):
                before = service.rows()
