"""Two reviewers at one queue, each in a separate real browser: no case is decided twice, and none is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role
from hashdb.domain.review.cases import CaseState
from hashdb.service.ledger import events
from hashdb.service.ledger.events import EventFilter
from hashdb.service.review import cases
from tests.web.callers import Service, item
from tests.web.console.browsers import Watched, listening
from tests.web.console.visitors import add_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CASES = 5


@pytest.fixture
def address(service: Service) -> Iterator[str]:
    """The address of a service with two reviewers and open cases."""
    for name in ("rosa", "lin"):
        add_user(service, name, Role.REVIEWER)
    for contribution in service.caller(name="Alpha").contribute(
        *(item(seed, severity=seed % 5) for seed in range(CASES))
    ):
        cases.open_case(service.db, COMMAND_LINE, contribution["id"], "other", holds=False)
    with listening(service) as address:
        yield address


def test_two_reviewers_decide_each_case_of_a_queue_once(browser: Browser, address: str, service: Service) -> None:
    rosa, lin = Watched(browser, address), Watched(browser, address)
    both = [rosa, lin]
    for reviewer, name in zip(both, ("rosa", "lin"), strict=True):
        reviewer.sign_in(name)
        reviewer.page.goto("/console/cases?sort=severity")
    # Both click before either gets a response.
    for reviewer in both:
        reviewer.page.get_by_role("button", name="Review next").click(no_wait_after=True)
    while deciding := {reviewer: case for reviewer in both if (case := case_of(reviewer))}:
        for reviewer, case in deciding.items():
            reviewer.page.get_by_role("radio", name="uphold").check()
            reviewer.page.get_by_label("Reason for the decision").fill(f"{case} stands")
        for reviewer in deciding:
            reviewer.page.get_by_role("button", name="Decide and review next").click(no_wait_after=True)
        for reviewer, case in deciding.items():
            reviewer.page.get_by_role("status").filter(has_text=f"{case}, on contribution").wait_for()
    decisions = events.page(service.db, COMMAND_LINE, EventFilter(action="case.decided"), 0, 99)
    assert Counter(event.id for event in decisions) == Counter(range(1, CASES + 1)), "each case is decided once"
    assert cases.page(service.db, COMMAND_LINE, CaseState.OPEN, 0, 9) == ()
    notes = {case.id: case.note for case in cases.page(service.db, COMMAND_LINE, CaseState.DECIDED, 0, 99)}
    assert notes == {id: f"Case {id} stands" for id in range(1, CASES + 1)}, "each case has the note from its own page"
    assert len({event.actor for event in decisions}) == 2, "both reviewers decided cases"
    for reviewer in both:
        reviewer.close()


def test_using_a_page_renews_its_claim_and_shows_a_takeover(browser: Browser, address: str) -> None:
    rosa, lin = Watched(browser, address), Watched(browser, address)
    rosa.sign_in("rosa")
    lin.sign_in("lin")
    rosa.page.goto("/console/cases/1")
    rosa.page.get_by_role("button", name="Take", exact=True).press("Enter")
    rosa.page.get_by_text("You have this case").wait_for()
    lin.page.goto("/console/cases/1")
    lin.page.get_by_text("rosa has this case").wait_for()
    assert lin.page.locator("form[data-decide]").count() == 0
    lin.page.get_by_role("button", name="Take over").click()
    lin.page.get_by_text("You have this case").wait_for()
    # The page shows the text before its scripts have loaded.
    lin.page.wait_for_load_state("load")
    with lin.page.expect_response("**/claim/renewal") as renewed:
        lin.page.keyboard.press("Shift")
    assert renewed.value.status == 204
    rosa.page.wait_for_load_state("load")
    rosa.page.mouse.click(5, 5)
    rosa.page.get_by_role("alert").get_by_text("lin has taken this case").wait_for()
    rosa.close()
    lin.close()


def case_of(reviewer: Watched) -> str | None:
    """Return the case that a browser shows, or None if it is back at the queue because no case is left."""
    heading = reviewer.page.locator("main:has(form[data-decide]) h1, main:has([role=status]) h1").first
    heading.wait_for()
    return None if heading.inner_text() == "Cases" else heading.inner_text()
