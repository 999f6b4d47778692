"""Documents, texts and addresses in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role
from hashdb.domain.matching.benign import BenignDraft
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import benign
from tests.web.callers import Service, service_at
from tests.web.console.browsers import Watched, listening, page_faults
from tests.web.console.documents import address, document, pages, window, windows
from tests.web.console.test_documents import prose
from tests.web.console.visitors import add_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = [
    "/console/overview",
    "/console/contributions?media=document",
    "/console/contributions?algorithm=simhash256",
    "/console/contributions/1",
    "/console/contributions/1/shots",
    "/console/contributions/2",
    "/console/contributions/3",
    "/console/cases/1",
    "/console/benign",
    "/console/benign/1",
    "/console/benign/new",
    "/console/members/1",
]
ADDRESS = "https://riverbank.org/a"


def fill(service: Service) -> None:
    """Fill a service with users of each role, a document, a text with a case, and an address."""
    for role in Role:
        add_user(service, str(role), role)
    checkpoints.start(service.db)
    benign.add(service.db, COMMAND_LINE, BenignDraft((window(135),), note="Text of a licence"))
    alpha, beta = service.caller(name="Alpha Video"), service.caller(name="Beta")
    document_pages = pages(*range(1, 9))
    document_pages[4]["quality"] = 20
    alpha.contribute(document(*document_pages, *windows(*range(100, 140)), reference="ticket-1"))
    beta.contribute(document(*windows(*range(200, 208), *range(110, 120))))
    alpha.contribute(address(ADDRESS, reference="link-1"))
    dispute = {"opinion": "disputes", "reason": "edsa_context", "note": "a court's ruling has it"}
    assert alpha.post("/v1/contributions/2/opinions", dispute).status_code == 201


@pytest.fixture(scope="module")
def service_address() -> Iterator[str]:
    """The address of a service that accepts texts."""
    with service_at(None, accept_text=True) as service:
        fill(service)
        with listening(service) as address:
            yield address


def test_every_page_of_a_document_is_accessible_for_every_role(browser: Browser, service_address: str) -> None:
    assert page_faults(browser, service_address, PAGES) == {}


def test_an_auditor_pastes_a_document_and_sees_its_matches(browser: Browser, service_address: str) -> None:
    watched = Watched(browser, service_address)
    watched.sign_in("auditor", "/console/debugger")
    page = watched.page
    query = {"frames": [*pages(70, 2, 3, away=4), *windows(*range(300, 310), *range(120, 130), away=9)]}
    page.get_by_label("Signals").fill(json.dumps(query))
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("heading", name="1 would match").wait_for()
    page.get_by_role("img", name="Two lines, of 3 pages and 8 pages, joined by 1 segment").wait_for()
    page.get_by_role("img", name="Two lines, of 2100 words and 4100 words, joined by 1 segment").wait_for()
    page.get_by_text("12 parts near contribution 1").press("Enter")
    page.get_by_role("row", name="words 1000 to 1200 words 2000 to 2200 simhash256 9 none 1").wait_for()
    assert watched.faults_in_all_views() == []
    watched.close()


def test_a_searched_address_is_in_no_url_of_the_console(browser: Browser, service_address: str) -> None:
    watched = Watched(browser, service_address)
    watched.sign_in("reviewer")
    page = watched.page
    requested_urls: list[str] = []
    page.on("request", lambda request: requested_urls.append(request.url))
    page.keyboard.press("/")
    page.keyboard.type(f"{ADDRESS}?utm_source=mail")
    page.keyboard.press("Enter")
    watched.wait_for_heading("Match debugger")
    page.get_by_text("yes, by url").wait_for()
    assert not any("riverbank" in url for url in [*requested_urls, page.url])
    assert "riverbank" not in page.content()
    assert watched.faults_in_all_views() == []
    watched.close()


def test_an_admin_searches_compares_and_adds_texts_to_the_benign_list(browser: Browser, service_address: str) -> None:
    watched = Watched(browser, service_address)
    watched.sign_in("admin", "/console/debugger")
    page = watched.page
    page.get_by_label("Or a text").fill(prose(2, 1))
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("img", name="Line of 2000 words").wait_for()
    assert page.get_by_label("Or a text").input_value() == ""
    page.goto("/console/compare")
    for name, text in (("First", prose(2, 1)), ("Second", prose(1))):
        page.get_by_label(name, exact=True).set_input_files(
            {"name": "a.txt", "mimeType": "text/plain", "buffer": text.encode()}
        )
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_role("img", name="Two lines, of 2000 words and 1000 words, joined by 1 segment").wait_for()
    assert watched.faults_in_all_views(menu=False) == []
    page.goto("/console/benign/new")
    page.get_by_label("Or a text").fill(prose(1))
    page.get_by_label("Description").fill("A licence")
    page.get_by_role("button", name="Show the effect").press("Enter")
    page.get_by_role("heading", name="Effect").wait_for()
    assert watched.faults_in_all_views(menu=False) == []
    watched.close()
