"""The pages of cases."""

from __future__ import annotations

import re

import pytest

from hashdb.domain.review.queues import MOST_WITHOUT_PILE
from tests.builders import near, signal
from tests.web.callers import Caller, Service, item
from tests.web.console.visitors import Visitor, faults, heading


@pytest.fixture
def disputed(service: Service) -> Caller:
    """A member with three contributions. Another member disputed each of them."""
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(item(1, severity=1), item(2, severity=4), item(3))
    for id in (1, 2, 3):
        dispute = {"opinion": "disputes", "reason": "edsa_context", "note": f"a broadcast, {id}"}
        assert beta.post(f"/v1/contributions/{id}/opinions", dispute).status_code == 201
    return alpha


def test_the_queue_is_sorted_by_time_or_severity(disputed: Caller, otto: Visitor) -> None:
    pattern = r'<td class="number"><a href="/console/cases/(\d+)'
    assert re.findall(pattern, otto.get("/console/cases").text) == ["1", "2", "3"]
    assert re.findall(pattern, otto.get("/console/cases?sort=severity").text) == ["2", "1", "3"]
    old_address = otto.get("/console/cases?order=severity")
    assert re.findall(pattern, old_address.text) == ["2", "1", "3"], "an address of version 0.1.0"
    assert re.findall(pattern, otto.get("/console/cases?state=open&order=clock").text) == ["1", "2", "3"]
    assert "No case has been decided yet." in otto.get("/console/cases?state=decided").text
    assert set(faults(otto.get("/console/cases?order=x&state=y&severity=9&age=old"))) == {
        "order",
        "state",
        "severity",
        "age",
    }
    assert "Review next" not in otto.get("/console/cases").text


def test_a_reviewer_decides_with_a_reason_and_gets_the_next_case(
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
    repeated = rosa.post("/console/cases/1", {"decision": "uphold", "note": "x"})
    assert (repeated.status_code, "Case 1 is already decided." in repeated.text) == (422, True)
    assert "a broadcast" in rosa.get("/console/cases?state=decided").text


def test_a_reviewer_chooses_the_signals_that_quarantine_later_items(service: Service, rosa: Visitor) -> None:
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(item(signals=[str(signal(seed)) for seed in (1, 2, 3)]))
    beta.post("/v1/contributions/1/opinions", {"opinion": "disputes", "reason": "other"})
    page = rosa.get("/console/cases/1").text
    assert "Signals that quarantine later contributions, if you retire this one: 1 of 3 by default" in page
    ticked = r'name="signals" value="(\d)" checked'
    assert re.findall(ticked, page) == ["0"]
    decision = {"decision": "retire", "boxes": "1", "signals": ["1", "2"]}
    invalid = rosa.post("/console/cases/1", decision)
    assert (set(faults(invalid)), re.findall(ticked, invalid.text)) == ({"note"}, ["1", "2"])
    assert set(faults(rosa.post("/console/cases/1", {**decision, "note": "x", "signals": ["7"]}))) == {"signals[0]"}
    assert set(faults(rosa.post("/console/cases/1", {**decision, "note": "x", "signals": ["x"]}))) == {"signals[0]"}
    too_long = {**decision, "note": "x", "signals": ["9" * 5_000]}
    assert set(faults(rosa.post("/console/cases/1", too_long))) == {"signals[0]"}
    rosa.follow(rosa.post("/console/cases/1", {**decision, "note": "a broadcast"}))
    assert "signals 1, 2 (counted from 0)" in rosa.get("/console/cases/1").text
    contributions = beta.contribute(*(item(signals=[str(signal(seed))]) for seed in (1, 2, 3)))
    assert [contribution["standing"] for contribution in contributions] == ["unreviewed", "quarantined", "quarantined"]


def test_a_decision_to_uphold_ignores_the_chosen_signals(disputed: Caller, rosa: Visitor) -> None:
    decision = {"decision": "uphold", "note": "it stands", "boxes": "1", "signals": "0"}
    assert rosa.follow(rosa.post("/console/cases/1", decision)).status_code == 200


def test_the_next_case_keeps_the_order_and_the_last_returns_to_the_list(disputed: Caller, rosa: Visitor) -> None:
    decision = {"decision": "uphold", "note": "it stands"}
    answer = rosa.post("/console/cases/2?sort=severity", decision)
    assert answer.headers["Location"] == "/console/cases/1?sort=severity"
    rosa.post("/console/cases/1?sort=severity", decision)
    page = rosa.follow(rosa.post("/console/cases/3?sort=severity", decision))
    assert (heading(page), "No other case is open." in page.text) == ("Cases", True)
    assert "No open cases." in page.text


def test_an_auditor_sees_a_case_and_cannot_decide_it(service: Service, disputed: Caller, otto: Visitor) -> None:
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


def test_a_case_can_be_decided_while_the_index_is_being_built(
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
    """A member whose disputes are so many that their cases form a pile, and one case by another member."""
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(*(item(seed, severity=1 if seed < 4 else 2) for seed in range(1, MOST_WITHOUT_PILE + 2)))
    for id in range(1, MOST_WITHOUT_PILE + 2):
        beta.post(f"/v1/contributions/{id}/opinions", {"opinion": "disputes", "reason": "other"})
    (contribution,) = beta.contribute(item(500))
    alpha.post(f"/v1/contributions/{contribution['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    return beta


def test_a_pile_is_one_row_at_the_end_of_the_queue(piled: Caller, rosa: Visitor) -> None:
    page = rosa.get("/console/cases?sort=severity").text
    rows = re.findall(r'<td class="number"><a href="([^"]+)">([^<]+)</a>', page)
    assert rows == [
        (f"/console/cases/{MOST_WITHOUT_PILE + 2}?sort=severity", str(MOST_WITHOUT_PILE + 2)),
        (
            f"/console/cases?pile={piled.member}&amp;sort=severity&amp;order=down&amp;limit=50",
            f"{MOST_WITHOUT_PILE + 1} cases",
        ),
    ]
    opened = rosa.get(f"/console/cases?pile={piled.member}").text
    assert f"Pile of Beta: {MOST_WITHOUT_PILE + 1} cases" in opened
    assert len(re.findall(r'<td class="number"><a', opened)) == MOST_WITHOUT_PILE + 1
    case = rosa.get(f"/console/cases/1?pile={piled.member}")
    assert f"/console/cases/2?pile={piled.member}" in case.text
    decision = {"decision": "uphold", "note": "it stands"}
    answer = rosa.post(f"/console/cases/1?pile={piled.member}", decision)
    assert answer.headers["Location"] == f"/console/cases/2?pile={piled.member}"
    assert len(re.findall(r'<td class="number"><a', rosa.get("/console/cases").text)) == MOST_WITHOUT_PILE + 1


def test_the_next_case_comes_from_a_pile_if_no_other_is_left(piled: Caller, rosa: Visitor) -> None:
    page = rosa.follow(
        rosa.post(f"/console/cases/{MOST_WITHOUT_PILE + 2}", {"decision": "uphold", "note": "it stands"})
    )
    assert (heading(page), "You have this case" in page.text) == ("Case 1", True)


def test_a_reviewer_upholds_a_pile_with_one_reason(
    piled: Caller, service: Service, rosa: Visitor, otto: Visitor
) -> None:
    url = f"/console/cases/piles/{piled.member}"
    assert "Uphold all of them" not in otto.get(f"/console/cases?pile={piled.member}").text
    before = service.rows()
    assert set(faults(rosa.post(url, {"note": "", "upto": "9"}))) == {"note"}
    assert set(faults(rosa.post(url, {"note": "news", "upto": "x"}))) == {"upto"}
    assert set(faults(rosa.post(url, {"note": "x" * 2_001}))) == {"note", "upto"}
    assert service.rows() == before
    page = rosa.follow(rosa.post(url, {"note": "news reports", "upto": "3"}))
    assert (heading(page), "3 cases upheld." in page.text) == ("Cases", True)
    form = re.search(r'name="upto" value="(\d+)"', rosa.get("/console/cases?pile=7").text)
    assert form is None, "the pile of member 7 is empty"
    assert "news reports" in rosa.get("/console/cases?state=decided").text


def test_only_the_filtered_cases_of_a_pile_are_upheld(piled: Caller, rosa: Visitor) -> None:
    page = rosa.get(f"/console/cases?pile={piled.member}&severity=1").text
    assert "Uphold 3 cases" in page
    (url,) = re.findall(r'action="(/console/cases/piles/[^"]+)"', page)
    url = url.replace("&amp;", "&")
    decision = {"note": "news reports", "upto": str(MOST_WITHOUT_PILE + 2)}
    assert set(faults(rosa.post(url.replace("severity=1", "severity=9"), decision))) == {"severity"}
    assert f"Uphold {MOST_WITHOUT_PILE + 1} cases" in rosa.get(f"/console/cases?pile={piled.member}").text
    assert "3 cases upheld." in rosa.follow(rosa.post(url, decision)).text
    assert f"Uphold {MOST_WITHOUT_PILE - 2} cases" in rosa.get(f"/console/cases?pile={piled.member}").text
