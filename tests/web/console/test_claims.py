"""Claims on cases, the next case of a queue, and notes between reviewers."""

from __future__ import annotations

import re

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role
from hashdb.service.contributions import contributions
from hashdb.service.review import queues
from tests.web.callers import Caller, Service, item, service_at
from tests.web.console.visitors import Visitor, faults, heading, sign_in_new_user

UPHOLD = {"decision": "uphold", "note": "it stands"}


@pytest.fixture
def lin(service: Service) -> Visitor:
    """Another reviewer."""
    return sign_in_new_user(service, "lin", Role.REVIEWER)


@pytest.fixture
def disputed(service: Service) -> Caller:
    """A member with three contributions. Another member disputed each of them."""
    return dispute(service)


def dispute(service: Service) -> Caller:
    alpha, beta = service.caller(name="Alpha"), service.caller(name="Beta")
    alpha.contribute(item(1, severity=1), item(2, severity=4), item(3, labels=["recruitment"]))
    for id in (1, 2, 3):
        assert (
            beta.post(f"/v1/contributions/{id}/opinions", {"opinion": "disputes", "reason": "other"}).status_code == 201
        )
    return alpha


def test_each_reviewer_gets_a_different_case_and_sees_the_claims(
    disputed: Caller, rosa: Visitor, lin: Visitor, otto: Visitor
) -> None:
    page = rosa.follow(rosa.post("/console/cases/next?sort=severity"))
    assert (heading(page), "You have this case" in page.text) == ("Case 2", True)
    assert heading(lin.follow(lin.post("/console/cases/next?sort=severity"))) == "Case 1"
    queue = lin.get("/console/cases").text
    claims = dict(
        re.findall(
            r'<a href="/console/cases/(\d)">\d</a>.*?<td data-said="taken by">(?:<b>)?'
            r'(rosa|you|<span class="text-secondary nobody">nobody)',
            queue,
            re.S,
        )
    )
    assert claims == {"1": "you", "2": "rosa", "3": '<span class="text-secondary nobody">nobody'}
    assert 'You have taken <a href="/console/cases/1">case 1</a>.' in queue
    claimed_case = lin.get("/console/cases/2").text
    assert (
        "<b>rosa</b> has this case" in claimed_case,
        "Take over" in claimed_case,
        "data-decide" in claimed_case,
    ) == (
        True,
        True,
        False,
    )
    refused = lin.post("/console/cases/2", UPHOLD)
    assert (refused.status_code, "taken by another reviewer" in refused.text) == (422, True)
    assert lin.post("/console/cases/2/claim", {"act": "take"}).status_code == 422
    assert "You have this case" in lin.follow(lin.post("/console/cases/2/claim", {"act": "over"})).text
    assert rosa.post("/console/cases/2", UPHOLD).status_code == 422
    auditors_page = otto.get("/console/cases/2").text
    assert ("<b>lin</b> has this case" in auditors_page, "/claim" in auditors_page) == (True, False)
    assert otto.post("/console/cases/next").status_code == 403
    assert otto.post("/console/cases/3/claim", {"act": "take"}).status_code == 403


def test_a_page_renews_its_claim_and_reports_its_loss(
    service: Service, disputed: Caller, rosa: Visitor, lin: Visitor
) -> None:
    rosa.post("/console/cases/next")
    service.clock.advance(minutes=10)
    assert rosa.post("/console/cases/1/claim/renewal").status_code == 204
    service.clock.advance(minutes=10)
    assert heading(lin.follow(lin.post("/console/cases/next"))) == "Case 2"
    assert "You have this case" in rosa.get("/console/cases/1").text, "loading the page again renews the claim, too"
    service.clock.advance(minutes=16)
    lin.post("/console/cases/1/claim", {"act": "take"})
    assert "lin has taken this case" in rosa.post("/console/cases/1/claim/renewal").text
    lin.follow(lin.post("/console/cases/1", UPHOLD))
    assert "lin has decided this case: uphold" in rosa.post("/console/cases/1/claim/renewal").text


def test_skipping_releasing_and_signing_out_free_a_case(disputed: Caller, rosa: Visitor, lin: Visitor) -> None:
    rosa.post("/console/cases/next?severity=4")
    page = rosa.follow(rosa.post("/console/cases/2/claim?severity=4", {"act": "skip"}))
    assert (heading(page), "Case 2 is free for another reviewer." in page.text) == ("Cases", True)
    assert "is free for another" in rosa.follow(rosa.post("/console/cases/2/claim", {"act": "release"})).text
    assert "Nobody has taken this case." in lin.get("/console/cases/2").text
    rosa.post("/console/cases/1/claim", {"act": "take"})
    rosa.post("/console/sign-in/out")
    assert "Nobody has taken this case." in lin.get("/console/cases/1").text


def test_the_next_case_stays_within_the_filter_of_the_queue(disputed: Caller, rosa: Visitor, lin: Visitor) -> None:
    page = rosa.get("/console/cases?label=glorification").text
    assert re.findall(r'<td class="number"><a href="/console/cases/(\d)', page) == ["1", "2"]
    assert '<a href="/console/cases?label=glorification&amp;severity=4">4</a> <span>1</span>' in page
    assert 'aria-label="Label: all, not only glorification"' in page
    lin.post("/console/cases/2/claim", {"act": "take"})
    rosa.post("/console/cases/next?label=glorification")
    last_page = rosa.follow(rosa.post("/console/cases/1?label=glorification", UPHOLD))
    assert (heading(last_page), "No other case of this queue is free." in last_page.text) == ("Cases", True)
    lin.post("/console/cases/2", UPHOLD)
    assert "No other case is open." in rosa.follow(rosa.post("/console/cases/next?label=glorification")).text
    assert "No open case is in this queue." in rosa.get("/console/cases?label=glorification").text


def test_only_console_users_see_notes_and_an_erasure_deletes_them(
    service: Service, disputed: Caller, rosa: Visitor, otto: Visitor
) -> None:
    page = rosa.follow(rosa.post("/console/cases/1/notes", {"text": "<script>seen before?"}))
    assert "&lt;script&gt;seen before?" in page.text
    assert "seen before?" in otto.get("/console/cases/1").text
    assert "Add the note" not in otto.get("/console/cases/1").text
    assert otto.post("/console/cases/1/notes", {"text": "x"}).status_code == 403
    assert set(faults(rosa.post("/console/cases/1/notes", {"text": " "}))) == {"text"}
    assert set(faults(rosa.post("/console/cases/1/notes", {"text": "x" * 2_001}))) == {"text"}
    for path in ("/v1/cases/1", "/v1/contributions/1", "/v1/contributions/1/opinions", "/v1/events"):
        assert "seen before" not in disputed.get(path).text
    contributions.erase(service.db, COMMAND_LINE, 1)
    assert "seen before" not in rosa.get("/console/cases/1").text


def test_the_second_person_finds_proposed_decisions_apart_from_the_queue(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with service_at(None, two_persons=True) as service:
        dispute(service)
        rosa, lin = (sign_in_new_user(service, name, Role.REVIEWER) for name in ("rosa", "lin"))
        rosa.post("/console/cases/next")
        next_case = rosa.follow(rosa.post("/console/cases/1", {"decision": "retire", "note": "a news report"}))
        assert heading(next_case) == "Case 2", "the first person does not get the case again"
        for reviewer in (rosa, lin):
            assert 'href="/console/cases/1"' not in reviewer.get("/console/cases").text
        page = lin.get("/console/cases?state=proposed").text
        assert re.findall(r'href="/console/cases/(\d)\?state=proposed"', page) == ["1"]
        assert ("a news report" in page, "Waits for a second person (1)" in page) == (True, True)
        rosa.post("/console/cases/2", {"decision": "retire", "note": "another"})
        assert "These are the first" not in lin.get("/console/cases?state=proposed").text
        monkeypatch.setattr(queues, "_MOST_PROPOSED", 1)
        assert "These are the first 1 of 2 cases." in re.sub(
            r"<[^>]*>", "", lin.get("/console/cases?state=proposed").text
        )
        rosa.post("/console/proposals/2/removal")
        case = lin.get("/console/cases/1?state=proposed").text
        assert "<b>rosa</b> proposed to retire the contribution: “a news report” <a" in case
        assert "a news report" in lin.get("/console/proposals/1").text
        decided = lin.follow(lin.post("/console/cases/1?state=proposed", {"decision": "retire", "note": "so it is"}))
        assert (
            "No case waits for a second person." in decided.text,
            "Case 1, on contribution 1: retire." in decided.text,
        ) == (
            True,
            True,
        )
