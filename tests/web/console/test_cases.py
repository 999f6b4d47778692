"""The pages of cases."""

from __future__ import annotations

import re

import pytest

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
    assert re.findall(pattern, otto.get("/console/cases?order=severity").text) == ["2", "1", "3"]
    assert "No case is decided yet." in otto.get("/console/cases?state=decided").text
    assert set(faults(otto.get("/console/cases?order=x&state=y"))) == {"order", "state"}
    assert "Begin with the first" not in otto.get("/console/cases").text


def test_a_reviewer_decides_with_a_reason_and_comes_to_the_next(
    service: Service, disputed: Caller, rosa: Visitor
) -> None:
    service.caller(name="Gamma").contribute(item(signals=[str(near(signal(1), 4))]))
    page = rosa.get("/console/cases/1")
    assert "a broadcast, 1" in page.text
    assert 'href="/console/contributions/4"' in page.text
    assert "disputed → <b>retired</b>: matches for nobody any more" in page.text
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
    assert "Signals that hold others once it is retired: 1 of 3 are ticked" in page
    ticked = r'name="signals" value="(\d)" checked'
    assert re.findall(ticked, page) == ["0"]
    sent = {"decision": "retire", "boxes": "1", "signals": ["1", "2"]}
    again = rosa.post("/console/cases/1", sent)
    assert (set(faults(again)), re.findall(ticked, again.text)) == ({"note"}, ["1", "2"])
    assert set(faults(rosa.post("/console/cases/1", {**sent, "note": "x", "signals": ["7"]}))) == {"signals[0]"}
    assert set(faults(rosa.post("/console/cases/1", {**sent, "note": "x", "signals": ["x"]}))) == {"signals[0]"}
    rosa.follow(rosa.post("/console/cases/1", {**sent, "note": "a broadcast"}))
    assert "signals 1, 2, counted from 0" in rosa.get("/console/cases/1").text
    found = beta.contribute(*(item(signals=[str(signal(seed))]) for seed in (1, 2, 3)))
    assert [one["standing"] for one in found] == ["unreviewed", "quarantined", "quarantined"]


def test_signals_count_for_a_decision_to_retire_only(disputed: Caller, rosa: Visitor) -> None:
    said = {"decision": "uphold", "note": "it stands", "boxes": "1", "signals": "0"}
    assert rosa.follow(rosa.post("/console/cases/1", said)).status_code == 200


def test_the_order_stays_from_case_to_case_and_the_last_leads_back(disputed: Caller, rosa: Visitor) -> None:
    said = {"decision": "uphold", "note": "it stands"}
    answer = rosa.post("/console/cases/2?order=severity", said)
    assert answer.headers["Location"] == "/console/cases/1?order=severity"
    rosa.post("/console/cases/1?order=severity", said)
    page = rosa.follow(rosa.post("/console/cases/3?order=severity", said))
    assert (heading(page), "Nothing else waits." in page.text) == ("Cases", True)
    assert "Nothing waits." in page.text


def test_an_auditor_sees_and_decides_nothing(service: Service, disputed: Caller, otto: Visitor) -> None:
    page = otto.get("/console/cases/1")
    assert (page.status_code, "A reviewer decides." in page.text, "data-decide" in page.text) == (200, True, False)
    before = service.rows()
    assert otto.post("/console/cases/1", {"decision": "retire", "note": "x"}).status_code == 403
    assert service.rows() == before
    assert otto.get("/console/cases/9").status_code == 404
