"""Reviews in a real browser: charts, lists, cases by keyboard, the match debugger, the comparison of files."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import ImageOps

from hashdb.domain.accounts.users import Role
from hashdb.service.ledger import checkpoints
from hashdb.service.stats import counts
from tests import films
from tests.builders import near, signal
from tests.hashing.samples import encode_picture
from tests.web.api.test_videos import frames, video
from tests.web.callers import Service, item, service_at
from tests.web.console.browsers import Watched, listening, page_faults
from tests.web.console.visitors import add_user
from tests.web.pictures import photo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Route

PAGES = [
    "/console/overview",
    "/console/overview?days=365",
    "/console/overview?days=x",
    "/console/contributions",
    "/console/contributions?standing=disputed&sort=severity",
    "/console/contributions?severity=9",
    "/console/contributions/1",
    "/console/contributions/4",
    "/console/contributions/4/case",
    "/console/contributions/6",
    "/console/contributions/6/shots",
    "/console/contributions/4/erasure",
    "/console/cases",
    "/console/cases?severity=4",
    "/console/cases?state=proposed",
    "/console/cases?state=decided",
    "/console/cases?pile=2",
    "/console/cases/1",
    "/console/debugger",
    "/console/compare",
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a service that the tests only read."""
    with service_at(None) as service:
        fill(service)
        with listening(service) as address:
            yield address


def fill(service: Service) -> None:
    """Fill a service with users of each role, and six contributions. Three of them are disputed."""
    for role in Role:
        add_user(service, str(role), role)
    checkpoints.start(service.db)
    alpha, beta = service.caller(name="Alpha Video"), service.caller(name="Beta")
    alpha.contribute(
        item(1, severity=4),
        item(2, severity=1),
        item(3),
        item(4, signals=[str(signal(seed)) for seed in range(40, 60)], reference="ours"),
    )
    beta.contribute(item(signals=[str(near(signal(1), 6))]), video(*range(100, 120)))
    for id in (1, 2, 3):
        dispute = {"opinion": "disputes", "reason": "edsa_context", "note": "a broadcast shows it"}
        assert beta.post(f"/v1/contributions/{id}/opinions", dispute).status_code == 201
    beta.matched(str(signal(1)))
    counts.flush(service.db)


def test_every_page_is_accessible_for_every_role(browser: Browser, address: str) -> None:
    assert page_faults(browser, address, PAGES) == {}


def test_a_reviewer_decides_a_case_by_keyboard_and_gets_the_next(browser: Browser, service: Service) -> None:
    fill(service)
    with listening(service) as address:
        decide_by_keyboard(Watched(browser, address))


def decide_by_keyboard(watched: Watched) -> None:
    """Decide the first case by keyboard, and check that the next one opens."""
    watched.sign_in("reviewer", "/console/cases?sort=severity")
    page = watched.page
    page.get_by_role("button", name="Review next").press("Enter")
    watched.wait_for_heading("Case 1")
    page.keyboard.press("j")
    watched.wait_for_heading("Case 2")
    page.keyboard.press("k")
    watched.wait_for_heading("Case 1")
    page.get_by_text("1 member matched it").wait_for()
    page.keyboard.press("r")
    assert page.get_by_role("radio", name="retire").is_checked()
    page.keyboard.press("n")
    page.keyboard.type("a broadcast; quite right")
    assert page.get_by_role("radio", name="retire").is_checked(), "text typed into the note triggers no shortcut"
    page.keyboard.press("Control+Enter")
    page.get_by_role("status").get_by_text("Case 1, on contribution 1: retire.").wait_for()
    watched.wait_for_heading("Case 2")
    page.goto("/console/contributions/1")
    page.get_by_text("a broadcast; quite right").wait_for()
    watched.close()


def test_a_decision_needs_a_reason(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("reviewer", "/console/cases/1")
    page = watched.page
    page.keyboard.press("u")
    page.keyboard.press("Control+Enter")
    note = page.get_by_label("Reason for the decision")
    assert note.evaluate("field => field.validity.valueMissing")
    assert page.url.endswith("/console/cases/1")
    note.evaluate("field => field.removeAttribute('required')")
    page.get_by_role("button", name="Decide and").click()
    page.get_by_role("alert").get_by_text("is required").wait_for()
    watched.close()


def test_charts_are_drawn_and_have_a_table_of_their_figures(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("auditor")
    page = watched.page
    page.wait_for_url("**/console/overview")
    page.locator("canvas").nth(2).wait_for()
    legend = page.locator(".u-legend").first
    assert "6" in legend.inner_text()
    box = page.locator(".u-over").first.bounding_box()
    assert box
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    assert "6" not in legend.inner_text().replace("2026-", "").partition("added")[2]
    page.get_by_text("Show as a table").first.click()
    assert page.get_by_role("row", name="2026-11-20 6 0").count() == 1
    page.get_by_role("button", name="Dark theme").click()
    page.locator("canvas").nth(2).wait_for()
    watched.close()


def test_an_auditor_filters_and_exports_contributions(browser: Browser, address: str, tmp_path: Path) -> None:
    watched = Watched(browser, address)
    watched.sign_in("auditor")
    page = watched.page
    page.get_by_role("link", name="Contributions", exact=True).click()
    page.get_by_label("Member").select_option("Alpha Video")
    page.get_by_label("Reference starts with").fill("ours")
    page.get_by_role("button", name="Filter").click()
    page.wait_for_url("**reference=ours**")
    assert page.get_by_role("row").count() == 2
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").click()
    download.value.save_as(tmp_path / "some.csv")
    assert "ours" in (tmp_path / "some.csv").read_text()
    page.get_by_role("link", name="4", exact=True).click()
    page.get_by_role("heading", name="Contribution 4").wait_for()
    assert page.get_by_role("link", name="Open a case").count() == 0
    page.get_by_role("link", name="event", exact=False).first.click()
    page.get_by_text("The proof is valid").wait_for()
    watched.close()


def test_each_form_reports_its_invalid_field(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("admin")
    page = watched.page
    forms = {
        "/console/contributions/4/case": ("Open the case", "reason"),
        "/console/contributions/4/erasure": ("Erase contribution 4 permanently", "number"),
        "/console/debugger": ("Search", "signals"),
    }
    for path, (button, field) in forms.items():
        page.goto(path)
        page.evaluate("document.querySelectorAll('[required]').forEach((field) => field.removeAttribute('required'))")
        page.get_by_role("button", name=button, exact=True).click()
        page.get_by_role("alert").get_by_role("link", name=field).wait_for()
        page.locator("[role=alert]:focus").wait_for()
        assert watched.violations() == [], path
    watched.close()


@pytest.fixture
def debugger(browser: Browser, address: str) -> Iterator[Watched]:
    """The match debugger of a reviewer, with a signal in its field."""
    watched = Watched(browser, address)
    watched.sign_in("reviewer", "/console/debugger")
    watched.page.get_by_label("Signals").fill(str(signal(1)))
    yield watched
    watched.close()


def test_a_radius_moved_before_the_script_loads_counts(debugger: Watched) -> None:
    page = debugger.page
    held_requests: list[Route] = []
    page.route("**/neighbors.js*", lambda route: held_requests.append(route))
    page.get_by_role("button", name="Search", exact=True).click(no_wait_after=True)
    page.get_by_role("heading", name="2 would match").wait_for()
    page.get_by_role("slider", name="pdq of 256").focus()
    page.keyboard.press("Home")
    for request in held_requests:
        request.continue_()
    page.get_by_role("heading", name="1 would match").wait_for()


def test_moving_the_radius_changes_the_verdicts(debugger: Watched) -> None:
    page = debugger.page
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("heading", name="2 would match").wait_for()
    slider = page.get_by_role("slider", name="pdq of 256")
    slider.press("Home")
    page.get_by_role("heading", name="1 would match").wait_for()
    assert page.locator("[data-verdict]").all_inner_texts() == ["yes, by pdq", "no, too far"]
    for _ in range(6):
        slider.press("ArrowRight")
    page.get_by_role("heading", name="2 would match").wait_for()
    assert debugger.violations() == []
    page.get_by_label("Or a picture").set_input_files({"name": "a.png", "mimeType": "image/png", "buffer": photo()})
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_text("Nothing is within the widest radius.").wait_for()
    assert page.get_by_label("Signals").input_value().startswith("pdq:")


def test_the_time_lines_of_a_pasted_video_are_accessible(debugger: Watched) -> None:
    page = debugger.page
    query = {"frames": frames(*range(300, 310), *range(105, 115), away=4), "duration": 20.0}
    page.get_by_label("Signals").fill(json.dumps(query))
    page.get_by_role("button", name="Search", exact=True).click()
    page.get_by_role("heading", name="1 would match").wait_for()
    page.get_by_role("img", name="Two time lines, of 0:20 and 0:20, joined by 1 segment").wait_for()
    page.get_by_text("10 frames near contribution 6").press("Enter")
    page.get_by_role("row", name="0:10 0:05 pdq 4 none 1").wait_for()
    assert debugger.faults_in_all_views() == []


def _brightness(page: Page) -> float:
    """The mean brightness of the two files laid over each other, 0 to 255."""
    return float(
        page.locator("[data-stage]").evaluate(
            """stage => { const small = document.createElement("canvas");
            const context = small.getContext("2d", { willReadFrequently: true });
            context.drawImage(stage, 0, 0, small.width, small.height);
            const { data } = context.getImageData(0, 0, small.width, small.height);
            return data.reduce((sum, value, at) => at % 4 === 3 ? sum : sum + value, 0) / data.length * 4 / 3; }"""
        )
    )


def test_a_user_drops_two_files_and_lays_them_over_each_other(browser: Browser, address: str) -> None:
    watched = Watched(browser, address)
    watched.sign_in("auditor")
    page = watched.page
    page.goto("/console/compare")
    picture = films.pictures(1, 2.0, (320, 180))[0]
    files = [picture, ImageOps.mirror(picture.crop((20, 10, 310, 175)))]
    dropped = page.evaluate_handle(
        """files => { const data = new DataTransfer();
        for (const file of files) {
          const octets = Uint8Array.from(atob(file), (character) => character.charCodeAt(0));
          data.items.add(new File([octets], "a.png", { type: "image/png" }));
        } return data; }""",
        [base64.b64encode(encode_picture(picture)).decode() for picture in files],
    )
    page.dispatch_event("main", "drop", {"dataTransfer": dropped})
    page.get_by_role("heading", name="Would match: ").wait_for()
    page.get_by_text("the second shows a part of the first").wait_for()
    page.get_by_role("slider", name="Strength").press("Home")
    aligned = _brightness(page)
    page.locator("[data-overlay]").evaluate("overlay => { overlay.dataset.turn = 'whole'; }")
    page.get_by_role("slider", name="Strength").press("ArrowRight")
    assert _brightness(page) > 3 * aligned, "unaligned pictures differ everywhere"
    page.get_by_role("radio", name="Difference").press("ArrowRight")
    assert page.get_by_role("radio", name="Blend").is_checked()
    page.get_by_role("slider", name="Strength").press("End")
    page.get_by_text("100 %").wait_for()
    assert watched.faults_in_all_views(menu=False) == []
    page.get_by_role("button", name="Swap").press("Enter")
    page.get_by_text("the first shows a part of the second").wait_for()
    clips = [films.pictures(2, 2.0) + films.pictures(1, 4.0), films.pictures(1, 4.0)]
    for name, clip in zip(("First", "Second"), clips, strict=True):
        octets = films.encoded(clip, container="webm", codec="libvpx")
        page.get_by_label(name, exact=True).set_input_files(
            {"name": "a.webm", "mimeType": "video/webm", "buffer": octets}
        )
    page.get_by_role("button", name="Show segment 1 of both").press("Enter")
    page.wait_for_function("document.querySelectorAll('video')[1]?.currentTime > 0")
    first, second = page.locator("video").evaluate_all("videos => videos.map((video) => video.currentTime)")
    assert first - second == pytest.approx(2.0, abs=0.3)
    watched.close()
