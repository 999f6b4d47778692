"""The application as a whole: addresses, methods, and the headers of every answer."""

from __future__ import annotations

import pytest

from tests.web.callers import Caller, Service, body, problem


@pytest.mark.parametrize(
    "path",
    [
        "/nowhere",
        "/v1",
        "/v1/",
        "/v1/me/",
        "/v1/contributions/",
        "/v1/contributions/1/",
        "/v1//me",
        "//v1/me",
        "/V1/ME",
        "/v1/me/..",
        "/v1/contributions/%D9%A1",
        "/%00",
        "/%ff",
        "/%e2%80%a8",
        "/v1/me%00",
        "/v1/me%20",
        "/v1/me;x=1",
        "/" + "a" * 100_000,
        "/" + "/".join("a" * 5000),
        "/v1/contributions/" + "9" * 5000,
    ],
)
def test_an_unknown_address_is_not_found(service: Service, path: str) -> None:
    caller = service.caller()
    for method in ("GET", "POST", "PATCH", "DELETE", "HEAD"):
        response = caller.request(method, path)
        if method == "HEAD":
            assert response.status_code == 404
        else:
            assert problem(response, 404, "not-found")["what"] == "this address"


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/v1/me", {"GET", "HEAD", "OPTIONS"}),
        ("/v1/contributions", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/v1/contributions/1", {"GET", "HEAD", "OPTIONS", "PATCH"}),
        ("/v1/contributions/1/withdrawal", {"OPTIONS", "POST"}),
        ("/v1/contributions/1/content", {"DELETE", "OPTIONS"}),
        ("/v1/contributions/media", {"OPTIONS", "POST"}),
        ("/v1/matches", {"OPTIONS", "POST"}),
        ("/v1/members/1/keys", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("/v1/members/1/keys/1", {"DELETE", "OPTIONS"}),
        ("/healthz", {"GET", "HEAD", "OPTIONS"}),
    ],
)
def test_an_unsupported_method_is_rejected_with_the_allowed_ones(
    service: Service, path: str, allowed: set[str]
) -> None:
    caller = service.caller()
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "LINK", "X" * 1000} - allowed:
        response = caller.request(method, path)
        problem(response, 405, "method-not-allowed")
        assert set(response.headers["Allow"].split(", ")) == allowed
    options = caller.request("OPTIONS", path)
    assert options.status_code == 200
    assert set(options.headers["Allow"].split(", ")) == allowed


def test_head_answers_as_get_without_a_body(service: Service) -> None:
    caller = service.caller()
    for path in ("/healthz", "/v1/me", "/v1/contributions", "/v1/changes", "/v1/events", "/openapi.json", "/docs"):
        head, get = caller.request("HEAD", path), caller.get(path)
        assert (head.status_code, head.data) == (200, b"")
        assert head.content_type == get.content_type
    assert caller.request("HEAD", "/v1/contributions/1").status_code == 404
    assert service.anonymous.request("HEAD", "/v1/me").status_code == 401


def test_every_answer_has_the_security_headers(service: Service) -> None:
    caller = service.caller()
    responses = [caller.get(path) for path in ("/", "/docs", "/v1/me", "/nowhere", "/v1/contributions/9", "/healthz")]
    responses += [service.anonymous.get("/v1/me"), caller.post("/v1/me"), caller.post("/v1/matches", data=b"x")]
    for response in responses:
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["X-Frame-Options"] == "DENY"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert response.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in response.headers


@pytest.mark.parametrize("host", ["a b", "[", "caf\u00e9", "-", "..", "a" * 300, "x:99999999", "<script>", "a\\b", ""])
def test_an_invalid_host_is_ignored_or_rejected(service: Service, platform: Caller, host: str) -> None:
    response = platform.get("/v1/me", headers={"Host": host})
    if response.status_code != 200:
        problem(response, 400, "malformed-request")


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Long": "x" * 200_000},
        {"Accept": "text/html"},
        {"Accept": "nonsense;;;q=x"},
        {"Accept": "application/x-ndjson;q=0"},
        {"Content-Length": "-1"},
        {"Content-Length": "x"},
        {"Range": "bytes=0-3"},
        {"If-None-Match": "*"},
        {"If-Modified-Since": "yesterday"},
        {"Cookie": "a=b; \x01=\xff"},
        {"X-Forwarded-For": "nonsense"},
        {"X-HTTP-Method-Override": "DELETE"},
    ],
)
def test_unusual_headers_do_not_change_the_answer(platform: Caller, headers: dict[str, str]) -> None:
    assert body(platform.get("/v1/me", headers=headers)) == body(platform.get("/v1/me"))
    assert body(platform.get("/v1/changes", headers=headers))["more"] is False


@pytest.mark.parametrize("path", ["/openapi.json", "/static/console/console.css"])
@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Range"])
def test_a_condition_with_a_date_that_no_calendar_has_is_ignored(service: Service, path: str, name: str) -> None:
    headers = {name: "Fri, 31 Dec 99999999999 23:59:59 GMT", "Range": "bytes=0-"}
    assert service.anonymous.get(path, headers=headers).status_code in (200, 206)
