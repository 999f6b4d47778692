"""The guard of the console: which pages are open without a session, and which roles may use each page."""

from __future__ import annotations

import hashlib
import re
import time
import zlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from itsdangerous import Signer
from itsdangerous.encoding import base64_encode

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.bulk import BatchAction, BatchChoices, RowKind
from hashdb.domain.review.incidents import IncidentDraft
from hashdb.domain.review.proposals import ProposedChange, TwoPersonAction
from hashdb.service.accounts import users
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import benign
from hashdb.service.review import bulk, cases, incidents
from hashdb.service.sharing import webhooks
from hashdb.service.stats import reports
from hashdb.web.console import guard
from tests.builders import signal
from tests.web.callers import Service, item, pdq, service_at
from tests.web.console.visitors import Visitor, form_secret, heading, sign_in_new_user

ADMINS = frozenset({Role.ADMIN})
REVIEWERS = ADMINS | {Role.REVIEWER}
EVERYBODY = frozenset(Role)

POSTS: dict[str, tuple[frozenset[Role], dict[str, Any]]] = {
    "/account/password": (EVERYBODY, {}),
    "/account/second-factor": (EVERYBODY, {}),
    "/account/second-factor/removal": (EVERYBODY, {}),
    "/account/sessions": (EVERYBODY, {}),
    "/account/mail": (REVIEWERS, {"address": ""}),
    "/batches": (REVIEWERS, {"picks": "contribution", "action": "hold", "id": "1"}),
    "/batches/1": (REVIEWERS, {}),
    "/batches/1/confirmation": (REVIEWERS, {}),
    "/batches/1/stop": (ADMINS, {}),
    "/batches/1/undo": (REVIEWERS, {}),
    "/benign/1/deletion": (ADMINS, {}),
    "/benign/new": (ADMINS, {"signals": pdq(77), "note": "a test card"}),
    "/cases/1": (REVIEWERS, {"decision": "uphold", "note": "looked at"}),
    "/cases/1/claim": (REVIEWERS, {"act": "take"}),
    "/cases/1/claim/renewal": (REVIEWERS, {}),
    "/cases/1/notes": (REVIEWERS, {"text": "seen before?"}),
    "/cases/next": (REVIEWERS, {}),
    "/cases/piles/1": (REVIEWERS, {"note": "looked at", "upto": "9"}),
    "/compare": (EVERYBODY, {}),
    "/contributions/1/case": (REVIEWERS, {"reason": "other"}),
    "/contributions/1/erasure": (ADMINS, {"number": "2"}),
    "/debugger": (EVERYBODY, {}),
    "/events/verification": (EVERYBODY, {}),
    "/find": (EVERYBODY, {}),
    "/incidents": (ADMINS, {"label": "CI:x", "start": "2026-11-20T10:00"}),
    "/incidents/1": (ADMINS, {"start": "2026-11-20T11:00"}),
    "/members": (ADMINS, {"name": "X", "kind": "platform"}),
    "/members/1": (ADMINS, {"name": "Y", "kind": "platform"}),
    "/members/1/keys": (ADMINS, {"scopes": ["match"]}),
    "/members/1/keys/1/revocation": (ADMINS, {}),
    "/members/1/status": (ADMINS, {"status": "suspended"}),
    "/proposals/1": (ADMINS, {}),
    "/proposals/1/removal": (ADMINS, {}),
    "/reports": (EVERYBODY, {}),
    "/sign-in/out": (EVERYBODY, {}),
    "/theme": (EVERYBODY, {"theme": "dark"}),
    "/users": (ADMINS, {"name": "zoe", "role": "auditor"}),
    "/users/1": (ADMINS, {"role": "auditor"}),
    "/users/1/password": (ADMINS, {}),
    "/users/1/provider": (ADMINS, {}),
    "/users/1/status": (ADMINS, {"status": "active"}),
    "/views": (EVERYBODY, {"page": "cases", "name": "mine", "query": "order=severity"}),
    "/views/1": (EVERYBODY, {"name": "my own", "shared": "yes"}),
    "/views/1/removal": (EVERYBODY, {}),
    "/webhooks/1/deliveries/1": (ADMINS, {}),
    "/webhooks/1/status": (ADMINS, {"enabled": "no"}),
    "/webhooks/1/test": (ADMINS, {}),
}
"""The addresses that change something, with the roles that may use them and the fields that are sent."""

GETS = {
    "",
    "/account",
    "/account/password",
    "/account/second-factor",
    "/batches",
    "/batches/1",
    "/benign",
    "/benign/1",
    "/benign/1/deletion",
    "/benign/new",
    "/cases",
    "/cases/1",
    "/compare",
    "/contributions",
    "/contributions/1",
    "/contributions/1/case",
    "/contributions/1/erasure",
    "/contributions/1/neighbors",
    "/contributions/1/shots",
    "/contributions/export",
    "/debugger",
    "/events",
    "/find",
    "/events/1",
    "/events/download",
    "/events/new",
    "/events/verification",
    "/incidents",
    "/incidents/1",
    "/members",
    "/members/1",
    "/members/1/keys/1/revocation",
    "/members/1/status",
    "/members/keys/1",
    "/overview",
    "/proposals",
    "/proposals/1",
    "/reports",
    "/reports/1",
    "/reports/1/download",
    "/settings",
    "/users",
    "/users/1",
    "/views",
    "/vocabulary",
    "/webhooks",
    "/webhooks/1",
}
"""The pages that every signed-in user may see."""

OPEN = {
    ("GET", "/sign-in"),
    ("GET", "/sign-in/code"),
    ("GET", "/sign-in/provider"),
    ("GET", "/sign-in/provider/back"),
    ("POST", "/sign-in"),
    ("POST", "/sign-in/code"),
}
"""The addresses for signing in, which need no session. The code is requested only after a correct password."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with one of each thing that has a page."""
    with service_at(f"sqlite:///{tmp_path_factory.mktemp('guard')}/hashdb.sqlite") as service:
        checkpoints.start(service.db)
        service.caller(Scope.CONTRIBUTE).contribute(item(1))
        cases.open_case(service.db, COMMAND_LINE, 1, "other", holds=False)
        benign.add(service.db, COMMAND_LINE, BenignDraft((signal(99),)))
        incidents.add(service.db, COMMAND_LINE, IncidentDraft("CI:first", service.clock()))
        rosa = users.add(service.db, COMMAND_LINE, UserDraft("rosa", Role.REVIEWER), local=False).user.actor
        batch = bulk.select(service.db, rosa, BatchAction.UPHOLD, RowKind.CASE, [1])
        bulk.start(service.db, rosa, batch.id, BatchChoices(note="x"))
        change = ProposedChange(TwoPersonAction.SUSPEND, "member", 1, {"status": "suspended"})
        with service.db.store.begin() as tx:
            tx.proposals.add(change, "key:1", "member:1", service.clock(), service.clock() + timedelta(hours=1))
        service.caller().post("/v1/webhooks", {"url": "https://example.org/", "topics": ["case.opened"]})
        webhooks.test(service.db, COMMAND_LINE, 1)
        sign_in_new_user(service, "first", Role.AUDITOR).post("/console/reports")
        for _ in range(400):
            if reports.get(service.db, COMMAND_LINE, 1).outcome is not None:
                break
            time.sleep(0.02)
        yield service


def test_every_name_in_the_guard_is_a_view(service: Service) -> None:
    names = (
        guard.OPEN
        | guard.BEFORE_SECOND_FACTOR
        | guard.ALWAYS
        | {name for pages in guard.FIRST_PAGES.values() for name in pages}
    )
    assert names <= set(service.app.view_functions)


def test_every_address_is_in_one_of_the_tables(console: Service) -> None:
    served = {
        (method, re.sub(r"<[^>]+>", "1", str(rule)).removeprefix("/console"))
        for rule in console.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if str(rule).startswith("/console") and "path:" not in str(rule)
    }
    assert served == {("GET", path) for path in GETS} | {("POST", path) for path in POSTS} | OPEN


def test_a_request_without_session_redirects_to_the_sign_in(console: Service) -> None:
    stranger, before = Visitor(console), console.rows()
    for path in GETS:
        assert stranger.get(f"/console{path}").headers["Location"].startswith("/console/sign-in"), path
    for path, (_, fields) in POSTS.items():
        assert stranger.post(f"/console{path}", fields).headers["Location"] == "/console/sign-in", path
        assert stranger.client.post(f"/console{path}", data=fields).status_code == 403, path
    assert console.rows() == before


def _newest_view(console: Service) -> int:
    with console.db.store.read() as tx:
        return max((view.id for user in range(1, 99) for view in tx.saved_views.visible(user)), default=1)


def _await_verification(visitor: Visitor) -> None:
    """Wait until the verification has ended, because it appends an event at its end."""
    for _ in range(200):
        page = visitor.get("/console/events/verification", headers={"HX-Request": "true"}).text
        if "The log is valid" in page or "The log is not valid" in page:
            return
        time.sleep(0.05)
    raise AssertionError(page)


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.REVIEWER, Role.ADMIN])
def test_each_role_may_do_only_what_the_tables_say(console: Service, role: Role) -> None:
    visitor = sign_in_new_user(console, f"a {role}", role)
    for path in GETS:
        assert visitor.get(f"/console{path}").status_code in (200, 303), path
    for path, (roles, fields) in sorted(POSTS.items(), key=lambda entry: entry[0] == "/sign-in/out"):
        before = console.rows() if role not in roles else None
        # Users can change only their own views: take the one that this user has just saved.
        place = path.replace("/views/1", f"/views/{_newest_view(console)}")
        answer = visitor.post(f"/console{place}", fields)
        if role in roles:
            assert answer.status_code in (200, 303, 409, 422), (path, answer.status, answer.text)
            if path == "/events/verification":
                _await_verification(visitor)
        else:
            # A reviewer can drop only proposals about cases; other proposals are not found.
            hidden = role is Role.REVIEWER and path == "/proposals/1/removal"
            expected = (404, "Not found") if hidden else (403, "Scope missing")
            assert (answer.status_code, heading(answer)) == expected, path
            assert console.rows() == before, path


def test_a_form_without_the_secret_of_its_session_is_rejected(console: Service) -> None:
    ada, other = sign_in_new_user(console, "ada", Role.ADMIN), sign_in_new_user(console, "eve", Role.ADMIN)
    stolen, before = form_secret(other.get("/console/account")), console.rows()
    for path, (_, fields) in POSTS.items():
        for secret in ({}, {"csrf": ""}, {"csrf": stolen}):
            assert ada.client.post(f"/console{path}", data={**fields, **secret}).status_code == 403, path
        answer = ada.post(f"/console{path}", fields, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code == 403, path
    assert console.rows() == before


@pytest.mark.parametrize(
    ("content_type", "octets"),
    [
        ("application/x-www-form-urlencoded", b"name=ada&note=\xff"),
        ("multipart/form-data", b"name=ada"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nada'),
    ],
    ids=["not UTF-8", "no boundary", "cut short"],
)
def test_a_form_that_cannot_be_read_is_malformed(console: Service, content_type: str, octets: bytes) -> None:
    ada, before = sign_in_new_user(console, f"ada of {content_type} {len(octets)}", Role.ADMIN), console.rows()
    for visitor, path in ((Visitor(console), "/sign-in"), (ada, "/members"), (ada, "/find"), (ada, "/nowhere")):
        answer = visitor.client.post(f"/console{path}", data=octets, content_type=content_type)
        assert (answer.status_code, heading(answer)) == (400, "Malformed request"), path
        assert "The form does not match its headers." in answer.text
    assert console.rows() == before


@pytest.mark.parametrize("text", [b'"\\ud800"', b"[" * 5_000, b"9" * 5_000, b"\xff", b""])
def test_a_notice_that_a_browser_has_signed_itself_breaks_no_page(service: Service, text: bytes) -> None:
    # The secret of a browser that is not signed in is the value of a cookie, which it may choose.
    for payload in (base64_encode(text), b"." + base64_encode(zlib.compress(text)), text):
        for purpose in (guard.NOTICE, "notice"):
            signed = (
                Signer("secret", salt=f"hashdb.{purpose}", digest_method=hashlib.sha256).sign(payload).decode("latin-1")
            )
            headers = {"Cookie": f"{guard.VISIT}=secret; {guard.NOTICE}={signed}"}
            browser = service.app.test_client(use_cookies=False)
            assert browser.get("/console/sign-in", headers=headers).status_code == 200
            assert browser.get("/console/cases", headers=headers).status_code == 303


def test_no_method_can_replace_post(console: Service) -> None:
    ada, before = sign_in_new_user(console, "eva", Role.ADMIN), console.rows()
    secret = form_secret(ada.get("/console/account"))
    for path in POSTS:
        for method in ("GET", "HEAD", "PUT", "PATCH", "DELETE"):
            query = {"csrf": secret, "_method": "POST"}
            headers = {"X-HTTP-Method-Override": "POST", "X-HTTP-Method": "POST", "X-Method-Override": "POST"}
            answer = ada.client.open(f"/console{path}", method=method, query_string=query, headers=headers)
            assert answer.status_code in ((200, 303, 404, 422) if method in ("GET", "HEAD") else (403, 404, 405)), path
    assert console.rows() == before
