"""The search box, times, numbers and saved views in a real browser."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberLimits
from hashdb.domain.accounts.users import Role
from hashdb.service.accounts import members
from tests.builders import signal
from tests.web.callers import Service, item
from tests.web.console.browsers import Watched, listening
from tests.web.console.visitors import add_user
from tests.web.pictures import photo

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MAKE_FILE = """content => {
    const data = new DataTransfer();
    const bytes = Uint8Array.from(atob(content), (character) => character.charCodeAt(0));
    data.items.add(new File([bytes], "a.png", {type: "image/png"}));
    return data;
}"""
SELECTED_TEXT = "element => { getSelection().selectAllChildren(element); return getSelection().toString(); }"


def test_a_reviewer_searches_switches_the_time_zone_and_saves_a_view(service: Service, browser: Browser) -> None:
    alpha = service.caller(name="Alpha Video")
    alpha.contribute(item(1, reference="post/1"), item(2))
    limits = MemberChange(limits=MemberLimits(contributions_per_day=1_234_567))
    members.change(service.db, COMMAND_LINE, alpha.member, limits)
    add_user(service, str(Role.REVIEWER), Role.REVIEWER)
    with listening(service) as address:
        watched = Watched(browser, address, zone="Europe/Berlin")
        watched.sign_in("reviewer")
        page = watched.page
        page.keyboard.press("/")
        page.keyboard.type("alpha video")
        page.keyboard.press("Enter")
        watched.wait_for_heading("Alpha Video")
        limit_text = page.get_by_text("at most 1234567")
        assert limit_text.evaluate(SELECTED_TEXT) == "at most 1234567"

        page.keyboard.press("Control+k")
        page.keyboard.type("post/1")
        page.keyboard.press("Enter")
        watched.wait_for_heading("Contribution 1")
        received = page.locator("dt:text-is('Received') + dd time")
        assert (received.inner_text(), received.get_attribute("title")) == (
            "2026-11-20 13:00:00 CET",
            "2026-11-20 12:00:00 UTC",
        )
        page.keyboard.press("z")
        page.get_by_role("button", name="Times in UTC").wait_for()
        assert received.inner_text() == "2026-11-20 12:00:00 UTC"
        page.reload()
        assert received.inner_text() == "2026-11-20 12:00:00 UTC"

        page.keyboard.press("/")
        page.keyboard.insert_text(str(signal(1)))
        page.keyboard.press("Shift+Enter")
        page.keyboard.insert_text(str(signal(2)))
        page.keyboard.press("Enter")
        watched.wait_for_heading("Match debugger")
        page.get_by_text("2 would match, of 2").wait_for()

        page.goto("/console/contributions?label=glorification")
        dropped = page.evaluate_handle(MAKE_FILE, base64.b64encode(photo()).decode())
        page.dispatch_event("[data-find]", "drop", {"dataTransfer": dropped})
        watched.wait_for_heading("Match debugger")
        page.get_by_text("0 would match, of 0").wait_for()

        page.goto("/console/contributions?label=glorification")
        page.get_by_text("Save this view").click()
        page.get_by_label("Name of the view").fill("Glorification")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_role("status").get_by_text("The view Glorification was saved.").wait_for()
        page.get_by_role("navigation", name="Saved views").get_by_role("link", name="Glorification").wait_for()
        page.goto("/console/find")
        assert watched.violations() == []
        watched.close()
