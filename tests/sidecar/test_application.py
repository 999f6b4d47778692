"""The sidecar answers like the service, and rejects every other request with an error of hashdb."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from hashdb.domain.matching.testing import TEST_SIGNALS
from hashdb.sidecar.application import AGE, ROUTES
from tests.builders import near, signal
from tests.sidecar.conftest import Pair, same_answer
from tests.web.callers import pdq, problem

MATCHES = "/v1/matches"
QUERY = {"signals": [pdq(1)]}
BODIES: list[Any] = [
    {"queries": [QUERY]},
    {"queries": [{"id": "a", "signals": [pdq(1), pdq(99)], "radius": {}}, {"signals": [str(near(signal(1), 20))]}]},
    {"queries": [{"signals": list(map(str, TEST_SIGNALS[:3]))}]},
    {"queries": [{"signals": [pdq(1)], "radius": {"pdq": 0}}]},
    {"queries": [{"signals": [str(near(signal(1), 4))], "transforms": {"mirror": [pdq(1)]}, "min_score": 1.0}]},
    {"queries": [{"signals": [pdq(99)]}] * 1_000},
    {"queries": [{"signals": [], "duration": 9.5, "frames": [{"at": 0.5, "quality": 90, "signals": [pdq(1)]}]}]},
    # Bodies that both reject.
    {"queries": []},
    {"queries": [{"signals": []}]},
    {"queries": [{"signals": ["pdq:12"], "id": 7, "x": None}]},
    {"queries": [{"signals": [pdq(1)], "radius": {"pdq": 200, "md5": 1}}]},
    {"queries": [QUERY] * 1_001},
    {"queries": [{"signals": [pdq(1)] * 65}]},
    [],
    None,
]


@pytest.mark.parametrize("body", BODIES, ids=lambda body: json.dumps(body)[:60])
def test_the_sidecar_matches_like_the_service(filled: Pair, body: Any) -> None:
    content = same_answer(filled.ask_both("POST", MATCHES, json=body))
    assert "results" in content or content["status"] in (400, 413, 422)


@pytest.mark.parametrize(
    "request_arguments",
    [
        {"data": b"{", "content_type": "application/json"},
        {"data": b"\xff\xfe", "content_type": "application/json"},
        {"data": b'{"queries": [{"signals": [NaN]}]}', "content_type": "application/json"},
        {"data": b"queries=1", "content_type": "application/x-www-form-urlencoded"},
        {"data": b"{}", "content_type": "application/json", "headers": {"Content-Encoding": "gzip"}},
        {"data": b"{}" + b" " * 16 * 2**20, "content_type": "application/json"},
        {"data": b"[" * 600_000, "content_type": "application/json"},
        {"json": {"queries": [QUERY]}, "query_string": "exclude=1"},
        {"json": {"queries": [QUERY]}, "query_string": "include=all&include=none"},
    ],
)
def test_the_sidecar_rejects_an_invalid_body_like_the_service(filled: Pair, request_arguments: dict[str, Any]) -> None:
    assert same_answer(filled.ask_both("POST", MATCHES, **request_arguments))["status"] in (400, 413, 415, 422)


def test_random_requests_cause_no_server_error(filled: Pair) -> None:
    random_numbers = random.Random(20)
    body = json.dumps({"queries": [{"id": "a", "remember": "b", **QUERY}], "uploads": [], "number": 1}).encode()
    paths = [*ROUTES, "/", "/hma/as/X/c/banks", "/hma/c/bank/x%00%ff", "//v1/matches", "/v1/matches/"]
    for number in range(300):
        octets = bytearray(body)
        for _ in range(random_numbers.randrange(6)):
            octets[random_numbers.randrange(len(octets))] = random_numbers.randrange(256)
        cut = octets[: random_numbers.randrange(len(octets) + 1)]
        kind = random_numbers.choice(["application/json", "multipart/form-data; boundary=b", "text/plain", "x", ""])
        method = random_numbers.choice(["GET", "POST", "PUT", "HEAD", "DELETE", "BREW"])
        answer = filled.ask(
            method,
            paths[number % len(paths)],
            data=bytes(cut),
            content_type=kind,
            query_string=cut[:20].decode("latin-1"),
        )
        assert answer.status_code < 500, (method, paths[number % len(paths)], kind, bytes(cut), answer.text)


def test_unknown_addresses_and_methods_are_rejected(filled: Pair) -> None:
    refused = problem(filled.ask("GET", "/v1/contributions"), 404, "not-found")
    assert refused["detail"].startswith("this address (the sidecar only matches and remembers uploads)")
    answer = filled.ask("GET", MATCHES)
    problem(answer, 405, "method-not-allowed")
    assert answer.headers["Allow"] == "POST"
    assert filled.ask("DELETE", "/healthz").headers["Allow"] == "GET, HEAD"
    head = filled.ask("HEAD", "/healthz")
    assert (head.status_code, head.data, int(head.headers["Content-Length"])) == (200, b"", len('{"status":"alive"}'))


def test_every_answer_from_the_copy_has_the_age_of_the_copy(filled: Pair) -> None:
    filled.service.clock.advance(seconds=42)
    for answer in (filled.ask("POST", MATCHES, json={"queries": [QUERY]}), filled.ask("GET", "/hma/c/banks")):
        assert answer.headers[AGE] == "42"
    assert AGE not in filled.ask("GET", "/healthz").headers


def test_no_answer_can_be_read_by_another_origin_or_cached(filled: Pair) -> None:
    for path in ("/healthz", "/nowhere"):
        headers = filled.ask("GET", path).headers
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert not [name for name, _ in headers if name.startswith("Access-Control")]


def test_an_old_copy_is_reported_at_readyz_and_still_answers(filled: Pair) -> None:
    ready = filled.ask("GET", "/readyz")
    checkpoint = filled.client.changes(0).checkpoint
    assert json.loads(ready.data) == {"status": "ready", "checkpoint": checkpoint, "age": 0, "contributions": 5}
    filled.service.clock.advance(seconds=300)
    assert filled.ask("GET", "/readyz").status_code == 200
    filled.service.clock.advance(seconds=1)
    error = problem(filled.ask("GET", "/readyz"), 503, "copy-too-old")
    assert (error["age"], error["max_age"]) == (301, 300)
    assert filled.ask("GET", "/hma/status").status_code == 503
    assert filled.ask("POST", MATCHES, json={"queries": [QUERY]}).status_code == 200
    assert filled.ask("GET", "/healthz").status_code == 200


@pytest.mark.parametrize("path", ["/readyz", MATCHES, "/hma/status", "/hma/c/banks", "/v1/signals"])
def test_a_sidecar_without_a_copy_answers_503(pair: Pair, path: str) -> None:
    method = "POST" if path.startswith("/v1") else "GET"
    answer = pair.ask(method, path, json={"queries": [QUERY]}) if method == "POST" else pair.ask(method, path)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert "no complete local copy" in answer.text


def test_the_sidecar_ignores_keys(filled: Pair) -> None:
    for key in ("Bearer hdb_wrong", "Basic x", "nonsense"):
        answer = filled.ask("POST", MATCHES, json={"queries": [QUERY]}, headers={"Authorization": key})
        assert answer.status_code == 200
