"""The console in a real browser: a scenario for each role, keyboard, screen reader, small screens, both themes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hashdb.domain.accounts.users import Role
from hashdb.domain.sharing.webhooks import ATTEMPT_LEASE, Attempt, DeliveryOutcome, Trouble
from hashdb.service.ledger import checkpoints
from hashdb.store.ledger.witnesses import WitnessState
from tests import published
from tests.web.callers import Service, item, service_at
from tests.web.console.browsers import Watched, listening, page_faults
from tests.web.console.visitors import PASSWORD, add_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAGES = [
    "/console/members",
    "/console/members/1",
    "/console/members/1/status",
    "/console/members/1/keys/1/revocation",
    "/console/webhooks",
    "/console/webhooks/1",
    "/console/events",
    "/console/events?follow=1",
    "/console/events?subject=x",
    "/console/events?actor=a",
    "/console/events?actor=cli&action=case.decided",
    "/console/events/3",
    "/console/events/verification",
    "/console/settings",
    "/console/find",
    "/console/views",
    "/console/users",
    "/console/users/2",
    "/console/account",
    "/console/account/password",
    "/console/account/second-factor",
    "/console/nowhere",
]


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    """A service with users of each role, two members, and a log."""
    with service_at(None) as service:
        fill(service)
        yield service


@pytest.fixture(scope="module")
def address(service: Service) -> Iterator[str]:
    """The address of the service."""
    with listening(service) as address:
        yield address


def fill(service: Service) -> None:
    """Fill a service with what the pages show."""
    for role in Role:
        add_user(service, str(role), role)
    checkpoints.start(service.db)
    service.db.rules = replace(service.db.rules, mails=True)
    alpha = service.caller(name="Alpha Video")
    alpha.contribute(item(1), item(2))
    alpha.post("/v1/webhooks", {"url": "https://example.org/hook", "topics": ["case.opened"]})
    # One delivery failed, and one waits.
    alpha.post("/v1/webhooks/1/test")
    now = service.clock()
    with service.db.store.begin() as tx:
        (claimed,) = tx.deliveries.claim([1], now, now + ATTEMPT_LEASE)
        assert tx.deliveries.record_attempt(
            claimed, Attempt(None, 10_000, Trouble.TOO_SLOW), DeliveryOutcome.FAILED, now, None
        )
    alpha.post("/v1/webhooks/1/test")
    service.caller(name="Beta")
    published.sign(service.db)
    _record_refusal_by_witness(service)


def _record_refusal_by_witness(service: Service) -> None:
    """Record that the witness of the log refused it."""
    policy, now = service.db.rules.witnesses, service.clock()
    assert policy
    with service.db.store.begin() as tx:
        tx.witness_states.set(
            policy.keys[0].named_id, WitnessState(1, now, now, now, "the log was restored to an earlier state", True)
        )


def test_every_page_is_accessible_for_every_role(browser: Browser, address: str) -> None:
    assert page_faults(browser, address, PAGES) == {}


def test_an_admin_adds_a_member_by_keyboard_and_copies_its_key(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = watched.page
    page.goto("/console/sign-in")
    page.locator("[name=name]:focus").wait_for()  # Chromium may focus it after the load
    page.keyboard.type("admin")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url("**/console/overview")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to the content"
    page.keyboard.press("Enter")
    page.locator("#main:focus").wait_for()
    page.get_by_role("link", name="Members and keys").press("Enter")
    page.get_by_label("Name").fill("Gamma")
    page.keyboard.press("Enter")
    page.get_by_role("status").get_by_text("Gamma was added").wait_for()
    page.get_by_label("feed read the feed").check()
    page.get_by_role("button", name="Issue the key").press("Enter")
    secret = page.locator("#copy-secret").inner_text()
    assert re.fullmatch(r"hdb_[\w-]{43}", secret)
    page.get_by_role("button", name="Copy").press("Enter")
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == secret
    page.get_by_role("link", name="I have copied it").click()
    page.get_by_role("link", name="Suspend").click()
    page.get_by_text("1 key would stop working").wait_for()
    page.get_by_role("button", name="Suspend Gamma").click()
    page.get_by_role("status").get_by_text("Gamma is now suspended").wait_for()
    watched.close()


def test_invalid_input_is_reported_in_a_focused_alert(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("admin", "/console/members")
    page = watched.page
    page.get_by_label("Name").fill("12345")
    page.get_by_label("Contributions per day").fill("many")
    page.get_by_role("button", name="Add the member").click()
    alert = page.get_by_role("alert")
    alert.wait_for()
    page.locator("[role=alert]:focus").wait_for()
    alert.get_by_role("link", name="name").click()
    field = page.get_by_label("Name")
    assert field.get_attribute("aria-invalid") == "true"
    assert "Must not be a number" in page.locator(f"#{field.get_attribute('aria-describedby')}").inner_text()
    assert field.input_value() == "12345"
    watched.close()


def test_an_auditor_follows_the_log_and_verifies_it(browser: Browser, service: Service, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("auditor")
    page = watched.page
    assert page.get_by_role("button", name="Suspend").count() == 0
    page.goto("/console/events")
    page.get_by_role("link", name="Follow live").click()
    page.get_by_text("Following the log").wait_for()
    service.caller(name="Delta")
    page.get_by_role("link", name=f"{service.db.store.head().seq}", exact=True).wait_for()
    page.get_by_role("link", name="Verify").click()
    page.get_by_role("button", name="Verify now").click()
    page.get_by_text("The log is valid.").wait_for()
    watched.close()


def test_the_dark_theme_stays_on_the_next_page(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("reviewer")
    page, theme = watched.page, "document.documentElement.dataset.bsTheme"
    assert page.evaluate(theme) == "light"
    page.get_by_role("button", name="Dark theme").click()
    page.get_by_role("button", name="Dark theme", pressed=True).wait_for()
    page.goto("/console/users")
    assert page.evaluate(theme) == "dark"
    watched.close()


def test_a_button_opens_the_menu_on_a_small_screen(browser: Browser, address: str) -> None:
    watched = Watched(browser, address, width=390)
    watched.sign_in("auditor")
    page = watched.page
    link = page.get_by_role("link", name="Users")
    assert not link.is_visible()
    page.get_by_label("Menu").click()
    link.click()
    page.get_by_role("heading", name="Users").wait_for()
    watched.close()


def test_the_filter_is_folded_on_a_small_screen(browser: Browser, address: str) -> None:
    watched = Watched(browser, address, width=390)
    watched.sign_in("auditor", "/console/contributions?severity=4")
    page = watched.page
    reference = page.get_by_label("Reference starts with")
    assert not reference.is_visible()
    page.get_by_text("Filter (1 set)").click()
    reference.fill("case")
    page.set_viewport_size({"width": 1280, "height": 900})
    reference.wait_for()
    assert not page.get_by_text("Filter (1 set)").is_visible()
    watched.close()


def test_the_console_works_without_scripts(browser: Browser, address: str) -> None:
    context = browser.new_context(base_url=address, java_script_enabled=False)
    page = context.new_page()
    page.goto("/console/sign-in")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.goto("/console/events/verification")
    page.get_by_role("button", name="Verify now").click()
    page.goto("/console/users")
    page.get_by_label("Name").fill("new")
    page.get_by_role("button", name="Add the user").click()
    assert re.fullmatch(r"[a-z2-9-]{23}", page.locator("#copy-password").inner_text())
    context.close()
