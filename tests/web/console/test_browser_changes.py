"""Changes in a real browser, each with its effect shown first: benign entries, incidents, proposals, reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role
from hashdb.domain.jobs import JobOutcome
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import Decision
from hashdb.domain.review.incidents import IncidentDraft
from hashdb.domain.times import Period
from hashdb.service.matching import benign
from hashdb.service.review import cases, incidents
from hashdb.service.stats import reports
from hashdb.wire.stats import ReportOut
from tests.builders import NOON, signal
from tests.web.callers import Service, item, service_at
from tests.web.console.browsers import Watched, listening, page_faults
from tests.web.console.visitors import add_user
from tests.web.pictures import photo

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = [
    "/console/benign",
    "/console/benign?text=nothing",
    "/console/benign?whose=x",
    "/console/benign/new",
    "/console/benign/1",
    "/console/benign/1/deletion",
    "/console/incidents",
    "/console/incidents/1",
    "/console/proposals",
    "/console/proposals/1",
    "/console/vocabulary",
    "/console/reports",
    "/console/reports/1",
]
LABEL = "CIP:example-2026"


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service where a second person must confirm changes, with one of each thing."""
    with service_at(None) as service:
        for role in Role:
            add_user(service, str(role), role)
        add_user(service, "eva", Role.ADMIN)
        alpha = service.caller(name="Alpha Video")
        alpha.contribute(item(1), item(2, incident=LABEL), item(3))
        for id in (1, 3):
            cases.open_case(service.db, COMMAND_LINE, id, "other", holds=False)
        benign.add(service.db, COMMAND_LINE, BenignDraft((signal(9),), note="a test card"))
        incidents.add(service.db, COMMAND_LINE, IncidentDraft(LABEL, NOON))
        service.db.rules = replace(service.db.rules, two_persons=True)
        cases.decide(service.db, COMMAND_LINE, 1, Decision.RETIRE)
        reports.start(
            service.db, COMMAND_LINE, None, None, None, lambda report: ReportOut.from_domain(report).json_text()
        )
        yield service


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[str]:
    """The address of the service."""
    with listening(service) as address:
        yield address


def test_every_page_is_accessible_for_every_role(browser: Browser, address: str) -> None:
    assert page_faults(browser, address, PAGES) == {}


def test_one_admin_proposes_a_benign_picture_and_another_confirms_it(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("admin")
    page = watched.page
    page.get_by_role("link", name="Benign list").click()
    page.get_by_role("link", name="Propose an entry").click()
    page.get_by_label("Description").fill("our splash screen")
    page.get_by_label("Or a picture").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": photo()})
    page.get_by_role("button", name="Show the effect").click()
    page.get_by_text("0 contributions would be affected").wait_for()
    assert watched.violations() == []
    page.get_by_role("button", name="Propose this entry").click()
    page.get_by_text("(you)").wait_for()
    assert page.get_by_role("button", name="Confirm").count() == 0
    watched.close()
    watched = Watched(browser, address)
    watched.sign_in("eva", "/console/proposals")
    page = watched.page
    page.get_by_role("row", name="our splash screen").get_by_role("link").first.click()
    page.get_by_role("button", name="Confirm: add a benign entry").click()
    page.get_by_role("status").get_by_text("Done: add a benign entry.").wait_for()
    page.goto("/console/benign?text=splash")
    page.get_by_role("cell", name="our splash screen").wait_for()
    watched.close()


def test_an_incident_shows_first_how_many_contributions_would_expire(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("admin")
    page = watched.page
    page.get_by_role("link", name="Incidents").click()
    page.get_by_role("link", name=LABEL).click()
    page.get_by_label("Ends, UTC").fill("2026-11-21T08:00")
    page.get_by_label("expire when the incident ends").check()
    page.get_by_role("button", name="Save changes").click()
    alert = page.get_by_role("alert")
    alert.get_by_text("1 contribution").wait_for()
    page.locator("[role=alert]:focus").wait_for()
    assert watched.violations() == []
    page.get_by_role("button", name="Confirm the change").click()
    page.get_by_role("status").get_by_text("was changed").wait_for()
    watched.close()


def test_a_reviewer_must_give_a_reason_to_confirm_a_retirement(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("reviewer", "/console/cases/1")
    page = watched.page
    page.get_by_role("link", name="Proposal 1").click()
    page.get_by_label("Reason for the decision").evaluate("field => field.removeAttribute('required')")
    page.get_by_role("button", name="Confirm: retire a contribution").click()
    page.get_by_role("alert").get_by_role("link", name="note").wait_for()
    assert watched.violations() == []
    page.get_by_label("Reason for the decision").fill("a broadcast")
    page.get_by_role("button", name="Confirm: retire a contribution").click()
    page.get_by_role("status").get_by_text("Done: retire a contribution.").wait_for()
    watched.close()


def test_each_form_reports_its_invalid_field(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("admin")
    page = watched.page
    for path, button, field in (
        ("/console/benign/new", "Show the effect", "signals"),
        ("/console/incidents", "Open the incident", "label"),
    ):
        page.goto(path)
        page.evaluate("document.querySelectorAll('[required]').forEach((field) => field.removeAttribute('required'))")
        page.get_by_role("button", name=button).click()
        page.get_by_role("alert").get_by_role("link", name=field).wait_for()
        page.locator("[role=alert]:focus").wait_for()
        assert watched.violations() == [], path
    watched.close()


def test_a_user_navigates_by_single_keys_and_can_turn_them_off(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("auditor")
    page = watched.page
    page.keyboard.press("g")
    page.keyboard.press("c")
    page.wait_for_url("**/console/contributions")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator(":focus").inner_text() == "2"
    page.keyboard.press("k")
    assert page.locator(":focus").inner_text() == "3"
    page.keyboard.press("w")
    assert page.locator(":focus").inner_text() == "glorification"
    assert page.get_by_role("tooltip").inner_text().startswith("Praises an attack")
    page.keyboard.press("j")
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Contribution 3").wait_for()
    page.go_back()
    page.keyboard.press("f")
    assert page.locator(":focus").get_attribute("name") == "member"
    page.get_by_label("Reference starts with").fill("gj?")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("heading", name="Keyboard").wait_for()
    assert watched.violations() == []
    page.get_by_label("Use single-letter keys").uncheck()
    page.get_by_role("button", name="Close").click()
    page.reload()
    page.keyboard.press("j")
    assert page.locator(":focus").count() == 0
    watched.close()


def test_an_auditor_makes_a_report_sees_its_progress_and_downloads_it(
    browser: Browser, service: Service, address: str, tmp_path: Path
) -> None:
    watched = Watched(browser, address)
    watched.sign_in("auditor")
    page = watched.page
    page.get_by_role("link", name="Reports").click()
    page.get_by_label("From").fill("2026-11-20")
    page.get_by_label("To, included").fill("2026-11-01")
    page.get_by_role("button", name="Make the report").click()
    page.get_by_role("alert").get_by_role("link", name="to").wait_for()
    assert watched.violations() == []
    days = Period(date(2026, 11, 1), date(2026, 11, 2))
    with service.db.store.begin() as tx:
        job = tx.report_jobs.add("system:cli", days, None, 100, service.clock())
    page.goto(f"/console/reports/{job.id}")
    page.get_by_text("Read 0 of at most 100 events").wait_for()
    with service.db.store.begin() as tx:
        tx.report_jobs.end(job.id, JobOutcome.STOPPED, 40, None, service.clock())
    page.get_by_text("The report stopped").wait_for()
    page.get_by_role("link", name="New report").click()
    page.get_by_role("button", name="This month").click()
    page.get_by_role("heading", name="Report on all members").wait_for()
    page.get_by_role("heading", name="Reappearances").wait_for()
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    download.value.save_as(tmp_path / "report.csv")
    assert "contributions.added,3" in (tmp_path / "report.csv").read_text()
    watched.close()
