"""The pages of cases."""

from __future__ import annotations

import re

import pytest

from hashdb.domain.review.queues import PILE
from tests.builders import near, signal
from tests.web.callers import Caller, Service, item
from tests.web.console.visitors import Visitor, faults, heading


@pytest.fixture
def disputed(service: Service) -> Caller:
    """Who contributed three items, of which another disputed each."""
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(item(1, severity=1), item(2, severity=4), item(3))
    for id in (1, 2, 3):
        said = {"opinion": "disputes", "reason": "edsa_context", "note": f"a broadcast, {id}"}
        assert beta.post(f"/v1/contributions/{id}/opinions", said).status_code == 201
    return alpha


def test_cases_wait_by_clock_or_severity(disputed: Caller, otto: Visitor) -> None:
    pattern = r'<td class="number"><a href="/console/cases/(\d+)'
    assert re.findall(pattern, otto.get("/console/cases").text) == ["1", "2", "3"]
    assert re.findall(pattern, otto.get("/console/cases?sort=severity").text) == ["2", "1", "3"]
    older = otto.get("/console/cases?order=severity")
    assert re.findall(pattern, older.text) == ["2", "1", "3"], "an address of version 0.1.0"
    assert re.findall(pattern, otto.get("/console/cases?state=open&order=clock").text) == ["1", "2", "3"]
    assert "No case has been decided yet." in otto.get("/console/cases?state=decided").text
    assert set(faults(otto.get("/console/cases?order=x&state=y&severity=9&age=old"))) == {
        "order",
        "state",
        "severity",
        "age",
    }
    assert "Review next" not in otto.get("/console/cases").text


def test_a_reviewer_decides_with_a_reason_and_comes_to_the_next(
    service: Service, disputed: Caller, rosa: Visitor
) -> None:
    service.caller(name="Gamma").contribute(item(signals=[str(near(signal(1), 4))]))
    page = rosa.get("/console/cases/1")
    assert "a broadcast, 1" in page.text
    assert 'href="/console/contributions/4"' in page.text
    assert "disputed → <b>retired</b>: stops matching for everyone" in page.text
    before = service.rows()
    assert set(faults(rosa.post("/console/cases/1", {"decision": "retire"}))) == {"note"}
    assert set(faults(rosa.post("/console/cases/1", {"decision": "burn", "note": "x"}))) == {"decision"}
    assert set(faults(rosa.post("/console/cases/1", {"note": "x"}))) == {"decision"}
    assert set(faults(rosa.post("/console/cases/1", {"decision": "retire", "note": "x" * 2_001}))) == {"note"}
    assert service.rows() == before
    page = rosa.follow(rosa.post("/console/cases/1", {"decision": "retire", "note": "a broadcast"}))
    assert (heading(page), "Case 1, on contribution 1: retire." in page.text) == ("Case 2", True)
    assert 1 not in disputed.matched(str(signal(1)))
    again = rosa.post("/console/cases/1", {"decision": "uphold", "note": "x"})
    assert (again.status_code, "Case 1 is already decided." in again.text) == (422, True)
    assert "a broadcast" in rosa.get("/console/cases?state=decided").text


def test_a_reviewer_chooses_the_signals_that_hold_others(service: Service, rosa: Visitor) -> None:
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(item(signals=[str(signal(seed)) for seed in (1, 2, 3)]))
    beta.post("/v1/contributions/1/opinions", {"opinion": "disputes", "reason": "other"})
    page = rosa.get("/console/cases/1").text
    assert "Signals that quarantine later contributions, if you retire this one: 1 of 3 by default" in page
    ticked = r'name="signals" value="(\d)" checked'
    assert re.findall(ticked, page) == ["0"]
    sent = {"decision": "retire", "boxes": "1", "signals": ["1", "2"]}
    again = rosa.post("/console/cases/1", sent)
    assert (set(faults(again)), re.findall(ticked, again.text)) == ({"note"}, ["1", "2"])
    assert set(faults(rosa.post("/console/cases/1", {**sent, "note": "x", "signals": ["7"]}))) == {"signals[0]"}
    assert set(faults(rosa.post("/console/cases/1", {**sent, "note": "x", "signals": ["x"]}))) == {"signals[0]"}
    rosa.follow(rosa.post("/console/cases/1", {**sent, "note": "a broadcast"}))
    assert "signals 1, 2 (counted from 0)" in rosa.get("/console/cases/1").text
    found = beta.contribute(*(item(signals=[str(signal(seed))]) for seed in (1, 2, 3)))
    assert [one["standing"] for one in found] == ["unreviewed", "quarantined", "quarantined"]


def test_signals_count_for_a_decision_to_retire_only(disputed: Caller, rosa: Visitor) -> None:
    said = {"decision": "uphold", "note": "it stands", "boxes": "1", "signals": "0"}
    assert rosa.follow(rosa.post("/console/cases/1", said)).status_code == 200


def test_the_order_stays_from_case_to_case_and_the_last_leads_back(disputed: Caller, rosa: Visitor) -> None:
    said = {"decision": "uphold", "note": "it stands"}
    answer = rosa.post("/console/cases/2?sort=severity", said)
    assert answer.headers["Location"] == "/console/cases/1?sort=severity"
    rosa.post("/console/cases/1?sort=severity", said)
    page = rosa.follow(rosa.post("/console/cases/3?sort=severity", said))
    assert (heading(page), "No other case is open." in page.text) == ("Cases", True)
    assert "No open cases." in page.text


def test_an_auditor_sees_and_decides_nothing(service: Service, disputed: Caller, otto: Visitor) -> None:
    page = otto.get("/console/cases/1")
    assert (page.status_code, "Only a reviewer can decide." in page.text, "data-decide" in page.text) == (
        200,
        True,
        False,
    )
    before = service.rows()
    assert otto.post("/console/cases/1", {"decision": "retire", "note": "x"}).status_code == 403
    assert service.rows() == before
    assert otto.get("/console/cases/9").status_code == 404


def test_while_the_index_is_built_a_case_is_shown_without_what_is_near_and_can_be_decided(
    service: Service, disputed: Caller, rosa: Visitor
) -> None:
    service.make_index_unready()
    for path in (
        "/console/overview",
        "/console/cases",
        "/console/contributions/1",
        "/console/events",
        "/console/account",
    ):
        assert rosa.get(path).status_code == 200, path
    for path in ("/console/cases/1", "/console/contributions/1/neighbors"):
        page = rosa.get(path)
        assert (page.status_code, "The index is being built." in page.text) == (200, True), path
    page = rosa.follow(rosa.post("/console/cases/1", {"decision": "uphold", "note": "it stands"}))
    assert "Case 1, on contribution 1: uphold." in page.text


@pytest.fixture
def piled(service: Service) -> Caller:
    """Who disputed so many contributions that its cases are a pile, beside one case of another."""
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(*(item(seed, severity=1 if seed < 4 else 2) for seed in range(1, PILE + 2)))
    for id in range(1, PILE + 2):
        beta.post(f"/v1/contributions/{id}/opinions", {"opinion": "disputes", "reason": "other"})
    (one,) = beta.contribute(item(500))
    alpha.post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    return beta


def test_a_pile_is_one_row_at_the_end_of_the_queue_and_is_opened(piled: Caller, rosa: Visitor) -> None:
    page = rosa.get("/console/cases?sort=severity").text
    rows = re.findall(r'<td class="number"><a href="([^"]+)">([^<]+)</a>', page)
    assert rows == [
        (f"/console/cases/{PILE + 2}?sort=severity", str(PILE + 2)),
        (f"/console/cases?pile={piled.member}&amp;sort=severity&amp;order=down&amp;limit=50", f"{PILE + 1} cases"),
    ]
    opened = rosa.get(f"/console/cases?pile={piled.member}").text
    assert f"Pile of Beta: {PILE + 1} cases" in opened
    assert len(re.findall(r'<td class="number"><a', opened)) == PILE + 1
    shown = rosa.get(f"/console/cases/1?pile={piled.member}")
    assert f"/console/cases/2?pile={piled.member}" in shown.text
    said = {"decision": "uphold", "note": "it stands"}
    answer = rosa.post(f"/console/cases/1?pile={piled.member}", said)
    assert answer.headers["Location"] == f"/console/cases/2?pile={piled.member}"
    assert len(re.findall(r'<td class="number"><a', rosa.get("/console/cases").text)) == PILE + 1


def test_the_next_case_is_one_of_a_pile_once_nothing_else_is_left(piled: Caller, rosa: Visitor) -> None:
    done = rosa.follow(rosa.post(f"/console/cases/{PILE + 2}", {"decision": "uphold", "note": "it stands"}))
    assert (heading(done), "You have this case" in done.text) == ("Case 1", True)


def test_a_pile_is_upheld_with_one_reason(piled: Caller, service: Service, rosa: Visitor, otto: Visitor) -> None:
    url = f"/console/cases/piles/{piled.member}"
    assert "Uphold all of them" not in otto.get(f"/console/cases?pile={piled.member}").text
    before = service.rows()
    assert set(faults(rosa.post(url, {"note": "", "upto": "9"}))) == {"note"}
    assert set(faults(rosa.post(url, {"note": "news", "upto": "x"}))) == {"upto"}
    assert set(faults(rosa.post(url, {"note": "x" * 2_001}))) == {"note", "upto"}
    assert service.rows() == before
    done = rosa.follow(rosa.post(url, {"note": "news reports", "upto": "3"}))
    assert (heading(done), "3 cases upheld." in done.text) == ("Cases", True)
    last = re.search(r'name="upto" value="(\d+)"', rosa.get("/console/cases?pile=7").text)
    assert last is None, "nothing waits in that pile"
    assert "news reports" in rosa.get("/console/cases?state=decided").text


def test_of_a_pile_only_what_the_filter_lets_through_is_upheld(piled: Caller, rosa: Visitor) -> None:
    page = rosa.get(f"/console/cases?pile={piled.member}&severity=1").text
    assert "Uphold 3 cases" in page
    (url,) = re.findall(r'action="(/console/cases/piles/[^"]+)"', page)
    url = url.replace("&amp;", "&")
    sent = {"note": "news reports", "upto": str(PILE + 2)}
    assert set(faults(rosa.post(url.replace("severity=1", "severity=9"), sent))) == {"severity"}
    assert f"Uphold {PILE + 1} cases" in rosa.get(f"/console/cases?pile={piled.member}").text
    assert "3 cases upheld." in rosa.follow(rosa.post(url, sent)).text
    assert f"Uphold {PILE - 2} cases" in rosa.get(f"/console/cases?pile={piled.member}").text
