"""The console as a whole: headers, forms of other sites, refusals, errors, redirects and notices."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.domain.accounts.users import Role
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.incidents import IncidentDraft
from hashdb.domain.stats.counts import lines
from hashdb.service.accounts import members
from hashdb.service.matching import benign
from hashdb.service.review import cases, incidents
from hashdb.service.stats import counts
from tests.builders import signal
from tests.web.callers import Service, item
from tests.web.console.visitors import Visitor, form_secret, heading, sign_in_new_user


def addresses(service: Service, method: str) -> Iterator[str]:
    """Return every address of the console that accepts a method, with 1 for each id."""
    for rule in service.app.url_map.iter_rules():
        if str(rule).startswith("/console") and method in (rule.methods or ()) and "path:" not in str(rule):
            yield re.sub(r"<[^>]+>", "1", str(rule))


@pytest.fixture
def full_service(service: Service, ada: Visitor) -> Service:
    """A service with one of each thing that has a page."""
    ada.post("/console/members", {"name": "Alpha", "kind": "platform"})
    ada.post("/console/members/1/keys", {"scopes": ["match"]})
    service.key(1, Scope.CONTRIBUTE).contribute(item(1))
    cases.open_case(service.db, COMMAND_LINE, 1, "other", holds=False)
    incidents.add(service.db, COMMAND_LINE, IncidentDraft("CI:example", service.clock()))
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(9),)))
    service.db.rules = replace(service.db.rules, two_persons=True)
    members.change(service.db, COMMAND_LINE, 1, MemberChange(status=MemberStatus.SUSPENDED))
    return service


def test_every_page_has_security_headers_and_loads_only_from_its_host(full_service: Service, ada: Visitor) -> None:
    for path in addresses(full_service, "GET"):
        answer = ada.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Cache-Control"] == "no-store"
        if answer.mimetype == "text/html":
            assert not re.search(r'(?:src|href|action)="(?:https?:)?//', answer.text), path
            assert not re.search(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", answer.text), path


def test_an_empty_page_says_what_to_do_first(service: Service, ada: Visitor, otto: Visitor) -> None:
    for entry in benign.page(service.db, COMMAND_LINE, 0, 1_000):
        benign.delete(service.db, COMMAND_LINE, entry.id)
    lists = ("members", "contributions", "cases", "cases?state=decided", "proposals", "incidents", "benign", "webhooks")
    for path in (*lists, "reports", "batches", "overview"):
        for visitor in (ada, otto):
            (note,) = re.findall(r'<p class="empty-note">(.*?)</p>', visitor.get(f"/console/{path}").text)
            statement, _, advice = re.sub(r"<[^>]+>", "", note).partition(". ")
            assert re.match(r"No |The benign list is empty", statement) and advice.endswith("."), path
        for address in re.findall(r'href="(/[^"#]+)', note):
            assert ada.get(address).status_code == 200


def test_an_auditor_sees_no_form_that_changes_something(full_service: Service, otto: Visitor) -> None:
    for path in ("/console/members", "/console/members/1", "/console/users", "/console/users/1"):
        forms = re.findall(r'action="([^"]+)"', otto.get(path).text)
        assert set(forms) == {"/console/find", "/console/theme", "/console/sign-in/out"}


def test_refused_requests_are_counted(service: Service, otto: Visitor, ada: Visitor) -> None:
    for _ in range(3):
        assert otto.post("/console/members", {"name": "A", "kind": "platform"}).status_code == 403
    assert ada.post("/console/members", {"name": "A"}).status_code == 422
    assert ada.client.post("/console/members", data={"csrf": "x"}).status_code == 403
    assert ada.get("/console/events?before=x").status_code == 422
    counts.flush(service.db)
    counted = lines(counts.get(service.db, COMMAND_LINE, service.clock().date()).counts)
    assert counted == ("access 0 any form-refused 1", "access 0 any scope-missing 3", "form 0 any invalid-input 1")
    page = ada.get("/console/events?action=auth.refused").text
    assert (page.count("scope-missing"), "otto" in page) == (1, True)


def test_the_form_secret_of_another_session_is_rejected(service: Service, ada: Visitor) -> None:
    other = sign_in_new_user(service, "other", Role.ADMIN)
    for secret in ("", "x", "é\x00", form_secret(other.get("/console/account"))):
        answer = ada.client.post("/console/members", data={"csrf": secret, "name": "Alpha", "kind": "platform"})
        assert (answer.status_code, heading(answer)) == (403, "Form refused")
    assert service.rows()["members"] == 0


def test_a_form_from_another_site_is_rejected(service: Service, ada: Visitor) -> None:
    for site in ("cross-site", "same-site"):
        answer = ada.post("/console/members", {"name": "A", "kind": "platform"}, headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    assert service.rows()["members"] == 0


def test_an_unknown_address_returns_an_html_page_with_status_404(ada: Visitor) -> None:
    for path in ("/console/nowhere", "/console/members/99", "/console/members/", "/console/x/y"):
        answer = ada.get(path)
        assert (answer.status_code, answer.mimetype, heading(answer)) == (404, "text/html", "Not found"), path
    assert ada.post("/console/members/99/status").status_code == 404
    assert ada.post("/console/nowhere").status_code == 404


def test_an_invalid_query_string_is_rejected(ada: Visitor) -> None:
    for path in ("/console/members?after=x", "/console/members?after=1&after=2", "/console/members?what=1"):
        assert ada.get(path).status_code == 422


def test_an_internal_error_is_shown_without_its_message(
    service: Service, ada: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the message of the error")

    monkeypatch.setattr("hashdb.service.accounts.members.page", broken)
    answer = ada.get("/console/members")
    assert (answer.status_code, answer.mimetype) == (500, "text/html")
    assert "the message of the error" not in answer.text


def test_the_root_redirects_to_the_console(service: Service) -> None:
    answer = Visitor(service).get("/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/console")


def test_choosing_a_theme_stores_it_and_redirects_back(ada: Visitor) -> None:
    for theme, attribute in (("dark", 'data-bs-theme="dark"'), ("light", 'data-bs-theme="light"'), ("system", None)):
        answer = ada.post("/console/theme", {"theme": theme, "next": "/console/members?after=0"})
        assert answer.headers["Location"] == "/console/members?after=0"
        assert ("data-bs-theme" in ada.get("/console/members").text) == (attribute is not None)
        assert attribute is None or attribute in ada.get("/console/members").text
    assert ada.post("/console/theme", {"theme": "pink"}).status_code == 422


@pytest.mark.parametrize(
    "address",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/consolex", "javascript:1", "/console/\r\nX: y", ""],
)
def test_choosing_a_theme_never_redirects_to_another_site(ada: Visitor, address: str) -> None:
    answer = ada.post("/console/theme", {"theme": "dark", "next": address})
    assert answer.headers["Location"] == "/console"


def test_a_notice_is_shown_once_and_to_its_session_only(service: Service, ada: Visitor, otto: Visitor) -> None:
    response = ada.post("/console/members", {"name": "Alpha", "kind": "platform"})
    cookie = next(header for header in response.headers.getlist("Set-Cookie") if header.startswith("hashdb_notice="))
    otto.client.set_cookie("hashdb_notice", cookie.partition("=")[2].partition(";")[0])
    assert "Alpha was added" not in otto.get("/console/users").text
    assert "Alpha was added" in ada.follow(response).text
    assert "Alpha was added" not in ada.get("/console/members/1").text


def test_every_static_file_of_a_page_is_served(service: Service, ada: Visitor) -> None:
    page = ada.get("/console/members").text
    files = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(files) >= 9
    assert all(ada.get(file.replace("&amp;", "&")).status_code == 200 for file in files)
