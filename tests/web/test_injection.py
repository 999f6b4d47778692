"""Input can inject no header, no log line and no redirect; no cache keeps secrets."""

from __future__ import annotations

import io
import json

from hashdb.domain.accounts.users import Role
from hashdb.web.console import pages
from tests.web.callers import Caller, Service, body, item, service_at
from tests.web.console.visitors import PASSWORD, Visitor, add_user, form_secret, sign_in_new_user
from tests.web.test_logs import log_output

__all__ = ["log_output"]

OTHER_SITES = [
    "https://evil.example",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "/console\\@evil.example",
    "/console/\\..\\//evil.example",
    "https:evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/consolex",
    "/console.evil.example",
    "@evil.example",
    "evil.example/console/",
    "/console/\r\nSet-Cookie: a=b",
    "/console/\x00",
    "/console/\u2028x",
    "/console/\uff0f\uff0fevil.example",
    "%2f%2fevil.example",
    "/console/" + "a" * 2000,
]
INJECTED_LINES = 'x\r\nSet-Cookie: a=b\r\n\r\n<script>\x1b[2J\u2028{"level": "error"}'


def test_sign_in_never_redirects_to_another_site(service: Service) -> None:
    add_user(service, "ada", Role.ADMIN)
    with service.app.test_request_context("/console"):
        assert {pages.local_address(address) for address in OTHER_SITES} == {"/console"}
    for address in OTHER_SITES[:3]:
        response = Visitor(service, "ada").sign_in(next=address)
        assert (response.status_code, response.headers["Location"]) == (303, "/console"), address


def test_no_address_in_an_answer_comes_from_the_host_header(service: Service) -> None:
    ada = sign_in_new_user(service, "ada", Role.ADMIN)
    session = ada.client.get_cookie("hashdb_session")
    assert session is not None
    headers = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "Forwarded": "host=evil.example"}
    headers |= {"Cookie": f"hashdb_session={session.value}"}
    browser = service.app.test_client(use_cookies=False)
    for path in ("/", "//", "/console", "/console/sign-in", "/console/members", "/console/account", "/docs", "/v1/me"):
        answer = browser.get(path, headers=headers, buffered=True)
        assert "evil.example" not in answer.text + str(answer.headers), path
    fields = {"theme": "dark", "csrf": form_secret(ada.get("/console/account"))}
    posted = browser.post("/console/theme", data=fields, headers=headers)
    assert posted.headers["Location"] == "/console"
    signed_in = browser.post("/tat/token-auth/tcap", data={"username": "x", "password": "x"}, headers=headers)
    assert (signed_in.status_code, "Location" in signed_in.headers) == (401, False)


def test_only_a_trusted_proxy_can_mark_a_request_as_https(service: Service) -> None:
    headers = {"X-Forwarded-Proto": "https"}
    cookie = Visitor(service).get("/console/sign-in", headers=headers).headers["Set-Cookie"]
    assert "Secure" not in cookie
    with service_at(None, proxies=1) as behind_proxy:
        cookie = Visitor(behind_proxy).get("/console/sign-in", headers=headers).headers["Set-Cookie"]
        assert cookie.startswith("__Host-hashdb_visit=")
        assert all(part in cookie for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"))
        assert "Domain" not in cookie


def test_input_cannot_inject_a_response_header(service: Service, platform: Caller) -> None:
    ada = sign_in_new_user(service, "ada", Role.ADMIN)
    answers = [
        ada.post("/console/members", {"name": "A\u2028", "kind": "platform", "contact": INJECTED_LINES}),
        ada.post("/console/theme", {"theme": INJECTED_LINES, "next": INJECTED_LINES}),
        ada.get("/console/contributions/export", query_string={"label": INJECTED_LINES, "form": INJECTED_LINES}),
        ada.get("/console/events/download", query_string={"first": INJECTED_LINES}),
        platform.post("/v1/contributions", {"contributions": [item(1)]}, headers={"Idempotency-Key": "a\tb\x1b"}),
        platform.get("/v1/contributions", query_string={INJECTED_LINES: INJECTED_LINES}),
        platform.get("/v1/reports/transparency", headers={"Accept": "text/csv;\x0bq=1"}),
        platform.get(f"/graph/1/?access_token={'%0d%0aX: y'}"),
    ]
    for answer in answers:
        assert answer.status_code < 500
        for name, value in answer.headers:
            assert not set("\r\n\0") & set(name + value)
            assert "a=b" not in value


def test_input_cannot_inject_a_log_line(log_output: io.StringIO, service: Service, platform: Caller) -> None:
    for path in ("/v1/\r\nx", "/\x1b[2J", "/console/\u2028x", "/hma/c/bank/a%0ab", "/v1/contributions?label=%0a{}"):
        platform.get(path)
    platform.request("X\x1b", "/v1/me")
    platform.get("/v1/me", headers={"User-Agent": "\x1b[2J", "X-Request-Id": "a\x0bb", "Referer": "\x1b"})
    Visitor(service, INJECTED_LINES).sign_in(INJECTED_LINES)
    lines = log_output.getvalue().splitlines()
    assert len(lines) >= 9, "each request has one line"
    for line in lines:
        assert line.isascii() and line.isprintable()
        assert set(json.loads(line)) >= {"at", "level", "message"}
    assert "2J" not in log_output.getvalue()


def test_answers_with_a_secret_are_not_cached(service: Service, admin: Caller) -> None:
    ada = sign_in_new_user(service, "ada", Role.ADMIN)
    issued = admin.post(f"/v1/members/{admin.member}/keys", {"scopes": ["match"]})
    form = {"username": f"Member {admin.member}", "password": body(issued)["secret"]}
    responses = [
        issued,
        ada.post(f"/console/members/{admin.member}/keys", {"scopes": ["match"]}),
        ada.post("/console/users", {"name": "zoe", "role": "auditor"}),
        ada.post("/console/users/1/password"),
        ada.get("/console/account/second-factor"),
        service.anonymous.post("/tat/token-auth/tcap/", data=form),
    ]
    for answer in responses:
        assert answer.headers["Cache-Control"] == "no-store"
        assert "ETag" not in answer.headers
        assert answer.headers["Referrer-Policy"] in ("no-referrer", "same-origin")


def test_each_sign_in_starts_a_new_session_and_sign_out_ends_it(service: Service) -> None:
    ada = sign_in_new_user(service, "ada", Role.ADMIN)
    first = ada.client.get_cookie("hashdb_session")
    secret = form_secret(ada.get("/console/account"))
    repeated = ada.sign_in(PASSWORD)
    second = ada.client.get_cookie("hashdb_session")
    assert repeated.status_code == 303
    assert first is not None and second is not None and first.value != second.value
    assert (
        ada.client.post("/console/members", data={"csrf": secret, "name": "A", "kind": "platform"}).status_code == 403
    )
    ada.post("/console/sign-in/out")
    thief = Visitor(service)
    thief.client.set_cookie("hashdb_session", second.value)
    assert thief.get("/console/members").status_code == 303
