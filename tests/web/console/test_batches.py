"""The pages of batches: selection of rows, preview, progress and undo."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE as ADMIN
from hashdb.domain.accounts.users import Role
from hashdb.domain.contributions import Standing
from hashdb.domain.review.bulk import MOST_ITEMS
from hashdb.service.contributions import contributions
from hashdb.service.review import batches, bulk
from tests.builders import NOON
from tests.web.callers import Caller, Service, item
from tests.web.console.browsers import Watched, listening
from tests.web.console.visitors import Visitor, faults, heading, sign_in_new_user

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture
def alpha(service: Service) -> Caller:
    """A member with four contributions. The last one is withdrawn."""
    caller = service.caller(name="Alpha")
    caller.contribute(*map(item, range(1, 5)))
    caller.post("/v1/contributions/4/withdrawal", {"reason": "other"})
    return caller


def preview_address(visitor: Visitor, action: str, *ids: int, picks: str = "contribution", **more: str) -> str:
    """Select rows for an action, and return the address of the preview."""
    answer = visitor.post("/console/batches", {"picks": picks, "action": action, "id": list(ids), **more})
    assert answer.status_code == 303, answer.text
    return answer.headers["Location"]


def run_batch(service: Service, visitor: Visitor, address: str, **fields: str) -> str:
    """Start a batch, carry it out, and return the text of its page."""
    assert visitor.post(address, fields).status_code == 303
    batches.carry_out(service.db)
    return main_text(visitor.get(address).text)


def main_text(html: str) -> str:
    main = html.partition("<main")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", main).split())


def standings(service: Service) -> list[Standing]:
    return [contributions.get(service.db, ADMIN, id).standing for id in range(1, 5)]


def test_a_reviewer_retires_rows_in_a_batch_and_undoes_it(
    service: Service, rosa: Visitor, otto: Visitor, alpha: Caller
) -> None:
    assert 'value="retire"' in rosa.get("/console/contributions").text
    assert "batch-action" not in otto.get("/console/contributions").text
    address = preview_address(rosa, "retire", 1, 2, 4)
    preview = main_text(rosa.get(address).text)
    assert "2 contributions would change." in preview
    assert "1 contribution would not change: withdrawn, expired or suspended (4)" in preview
    assert otto.get(address).status_code == 404
    assert set(faults(rosa.post(address))) == {"reason", "note"}
    decision = {"reason": "other", "note": "it is news"}
    result = run_batch(service, rosa, address, **decision)
    assert "2 contributions changed 1 contribution not changed: withdrawn, expired or suspended" in result
    assert standings(service)[:3] == [Standing.RETIRED, Standing.RETIRED, Standing.UNREVIEWED]
    assert rosa.post(address, decision).status_code == 422
    assert "(you)" not in otto.get(address).text
    undo = rosa.post(f"{address}/undo").headers["Location"]
    undo_result = run_batch(service, rosa, undo, reason="other", note="a mistake")
    assert "2 rows changed" in undo_result
    assert "Contribution Outcome Why Result At 1 done" in undo_result
    assert standings(service)[:2] == [Standing.UNREVIEWED] * 2
    assert heading(rosa.get("/console/batches")) == "Batches"
    assert "Undo …" not in rosa.get(undo).text


def test_a_batch_of_a_filter_takes_no_row_added_after_the_page(service: Service, rosa: Visitor, alpha: Caller) -> None:
    page = rosa.get("/console/contributions?status=active").text
    assert 'name="upto" value="4"' in page and 'name="filter" value="status=active"' in page
    alpha.contribute(item(5))
    address = preview_address(rosa, "hold", all="1", filter="status=active", upto="4")
    assert "3 contributions would change." in main_text(rosa.get(address).text)
    assert "Quarantine until a decision (3 contributions)" in rosa.get(address).text
    run_batch(service, rosa, address, reason="other")
    cases = preview_address(rosa, "uphold", all="1", filter="sort=clock", upto="2", picks="case")
    assert "2 cases changed" in run_batch(service, rosa, cases, note="looked at")
    assert standings(service)[:3].count(Standing.QUARANTINED) == 1


def test_an_invalid_selection_is_rejected(service: Service, rosa: Visitor, alpha: Caller) -> None:
    def invalid_fields(**fields: str) -> list[str]:
        return [*faults(rosa.post("/console/batches", {"picks": "contribution", "action": "uphold", **fields}))]

    assert invalid_fields() == ["id"]
    assert invalid_fields(id="x") == ["id"]
    assert invalid_fields(id="1", action="erase") == ["action"]
    assert invalid_fields(id="1", action="confirm") == ["action"]
    assert invalid_fields(id="1", picks="member") == ["picks"]
    assert invalid_fields(all="1", filter="status=gone", upto="9") == ["status"]
    assert invalid_fields(all="1", filter="since=2026-11-20&until=2026-11-01", upto="9") == ["until"]
    many = rosa.post(
        "/console/batches", {"picks": "contribution", "action": "uphold", "id": list(range(1, MOST_ITEMS + 2))}
    )
    assert "selects 10001 rows: a batch takes at most 10000" in faults(many)["id"]
    assert rosa.post("/console/batches", {"picks": "contribution", "action": "withdraw", "id": "1"}).status_code == 403


def test_a_batch_changes_an_expiry_only_as_previewed(service: Service, ada: Visitor, alpha: Caller) -> None:
    address = preview_address(ada, "expiry", 1, 2)
    assert "Effect" not in main_text(ada.get(address).text)
    assert set(faults(ada.post(address, {"how": "extend"}))) == {"days"}
    assert set(faults(ada.post(address, {"how": "set", "expires_at": "soon"}))) == {"expires_at"}
    assert set(faults(ada.post(address, {"how": "set", "expires_at": "2020-01-01"}))) == {"expires_at"}
    change = {"how": "set", "expires_at": "2027-01-01"}
    preview = ada.post(address, change).text
    assert "2 contributions would change." in main_text(preview)
    (preview_token,) = re.findall(r'name="seen" value="(\w+)"', preview)
    other = ada.post(address, {**change, "expires_at": "2027-02-01", "seen": preview_token})
    assert other.status_code == 200 and bulk.page(service.db, ADMIN, 0, 9) == ()
    assert "2 contributions changed" in run_batch(service, ada, address, **change, seen=preview_token)
    at = contributions.get(service.db, ADMIN, 1).expires_at
    assert at is not None and (at.year, at.day) == (NOON.year + 1, 1)


def test_a_second_person_confirms_a_batch_of_proposals(
    service: Service, rosa: Visitor, ada: Visitor, alpha: Caller
) -> None:
    service.db.rules = replace(service.db.rules, two_persons=True)
    assert "Propose to retire" in rosa.get("/console/contributions").text
    address = preview_address(rosa, "retire", 1, 2)
    preview = main_text(rosa.get(address).text)
    assert "2 proposals would be made. Nothing changes until a second person confirms" in preview
    assert "Propose: retire (2)" in preview
    result = run_batch(service, rosa, address, reason="other", note="it is news")
    assert "2 proposals made; 2 still wait for a second person" in result
    assert "as a second person …" not in result
    confirm = ada.post(f"{address}/confirmation").headers["Location"]
    assert "2 of them confirm another person’s proposal" in main_text(ada.get(confirm).text)
    assert "2 proposals changed" in run_batch(service, ada, confirm, note="I agree")
    assert standings(service)[:2] == [Standing.RETIRED] * 2
    assert ada.post(f"{address}/confirmation").status_code == 422


def test_only_the_user_of_a_batch_can_stop_it(service: Service, rosa: Visitor, alpha: Caller) -> None:
    eva = sign_in_new_user(service, "eva", Role.REVIEWER)
    address = preview_address(rosa, "quarantine", 1, 2)
    assert rosa.post(f"{address}/stop").status_code == 422
    rosa.post(address, {"reason": "other", "note": "it is news"})
    progress = rosa.get(address, headers={"HX-Request": "true"}).text
    assert 'hx-trigger="every 1s"' in progress and "<html" not in progress
    assert ("Stop" in progress, "Stop" in main_text(eva.get(address).text)) == (True, False)
    assert eva.post(f"{address}/stop").status_code == 403
    assert "was stopped" in rosa.follow(rosa.post(f"{address}/stop")).text
    assert batches.carry_out(service.db) == 0
    assert "2 contributions not reached before the batch was stopped" in main_text(rosa.get(address).text)


def test_a_reviewer_runs_a_batch_by_keyboard_and_sees_its_progress(
    browser: Browser, service: Service, rosa: Visitor, alpha: Caller
) -> None:
    with listening(service) as address:
        watched = Watched(browser, address)
        watched.sign_in("rosa", "/console/contributions")
        page, press = watched.page, watched.page.keyboard.press
        page.get_by_text("0 selected").wait_for()
        select_by_keyboard(page)
        page.reload()
        page.get_by_text("0 selected").wait_for()
        for key in ("j", "x", "j", "j", "Shift+X"):
            press(key)
        page.get_by_text("3 selected").wait_for()
        press("a")
        page.keyboard.type("Retire")
        assert watched.violations() == []
        press("Tab")
        press("Enter")
        watched.wait_for_heading("Retire (3 contributions)")
        assert watched.faults_in_all_views(menu=False) == []
        page.get_by_label("Reason of each new case").select_option("other")
        page.get_by_label("Reason for the decision").fill("it is news")
        press("Tab")
        press("Enter")
        watched.wait_for_heading("Batch 1: retire (3 contributions)")
        page.get_by_text("0 of 3 contributions finished").wait_for()
        batches.carry_out(service.db)
        page.get_by_text("2 contributions changed").wait_for()
        assert watched.faults_in_all_views(menu=False) == []
        page.get_by_role("link", name="Batches").click()
        watched.wait_for_heading("Batches")
        assert watched.faults_in_all_views(menu=False) == []
        page.get_by_role("link", name="1", exact=True).click()
        page.get_by_role("button", name="Undo …").click()
        watched.wait_for_heading("Undo batch 1, retire (2 rows)")
        watched.close()


def select_by_keyboard(page: Page) -> None:
    """Select all rows of the page, all but one, all rows of the filter, a range, and in the end none."""
    page_box, filter_box = (
        page.get_by_label("Select all rows on this page"),
        page.get_by_label("that match the filter"),
    )
    third_row, preview = page.get_by_label("Select contribution 3"), page.get_by_role("button", name="Preview")
    page_box.press("Space")
    page.get_by_text("4 selected").wait_for()
    third_row.press("Space")
    page.get_by_text("3 selected").wait_for()
    assert page_box.evaluate("box => box.indeterminate")
    filter_box.press("Space")
    assert (third_row.is_disabled(), page_box.is_disabled(), preview.is_enabled()) == (True, True, True)
    filter_box.press("Space")
    page_box.press("Space")
    page.get_by_text("4 selected").wait_for()
    page_box.press("Space")
    page.get_by_text("0 selected").wait_for()
    assert preview.is_disabled()
    page.get_by_label("Select contribution 1").press("Space")
    page.get_by_label("Select contribution 3").press("Shift+Space")
    page.get_by_text("3 selected").wait_for()
    page.get_by_label("Select contribution 1").press("Shift+Space")
    page.get_by_text("0 selected").wait_for()
