"""The pages of what takes two persons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberLimits, MemberStatus
from hashdb.domain.accounts.users import Role
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.review.cases import Decision
from hashdb.service.accounts import members
from hashdb.service.matching import benign
from hashdb.service.review import cases
from tests.builders import signal
from tests.web.callers import Caller, Service, item
from tests.web.console.visitors import Visitor, faults, heading, sign_in_new_user


@pytest.fixture
def alpha(service: Service) -> Caller:
    """A member with a contribution that has a case, where everything takes two persons."""
    service.db.rules = replace(service.db.rules, two_persons=True)
    caller = service.caller(name="Alpha")
    caller.contribute(item(1))
    cases.open_case(service.db, COMMAND_LINE, 1, "other", holds=False)
    return caller


def test_a_member_is_suspended_by_another_admin(service: Service, ada: Visitor, alpha: Caller) -> None:
    told = ada.follow(ada.post("/console/members/1/status", {"status": "suspended"}))
    assert "Nothing changes until a second person confirms it" in told.text
    assert 'href="/console/proposals/1"' in ada.get("/console/members/1").text
    own = ada.get("/console/proposals/1")
    assert ("Confirm" in own.text, "(you)" in own.text) == (False, True)
    again = ada.post("/console/proposals/1")
    assert (again.status_code, "another person must confirm it" in again.text) == (422, True)
    assert alpha.get("/v1/me").status_code == 200
    eva = sign_in_new_user(service, "eva", Role.ADMIN)
    asked = eva.get("/console/proposals/1").text
    assert ("Confirm: suspend a member" in asked, "<b>1 key</b> would stop working" in asked) == (True, True)
    done = eva.follow(eva.post("/console/proposals/1"))
    assert (heading(done), "Done: suspend a member." in done.text) == ("Proposals", True)
    assert alpha.get("/v1/me").status_code == 403
    assert eva.get("/console/proposals/1").status_code == 404


def test_the_same_is_asked_to_the_letter(service: Service, ada: Visitor, alpha: Caller) -> None:
    asked = MemberChange(status=MemberStatus.SUSPENDED, limits=MemberLimits(7), contact="c@example.org")
    members.change(service.db, COMMAND_LINE, 1, asked)
    ada.follow(ada.post("/console/proposals/1"))
    member = members.get(service.db, COMMAND_LINE, 1)
    assert (member.status, member.limits, member.contact) == (MemberStatus.SUSPENDED, MemberLimits(7), "c@example.org")


def test_a_benign_signal_is_added_by_a_second_person(service: Service, ada: Visitor, alpha: Caller) -> None:
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(1),), note="a test card"))
    asked = ada.get("/console/proposals/1").text
    assert ("a test card" in asked, "would be affected" in asked) == (True, True)
    ada.follow(ada.post("/console/proposals/1"))
    assert alpha.matched(str(signal(1))) == []


def test_a_contribution_is_retired_with_the_second_ones_reason(
    service: Service, rosa: Visitor, otto: Visitor, alpha: Caller
) -> None:
    cases.decide(service.db, COMMAND_LINE, 1, Decision.RETIRE, "a first look")
    assert 'href="/console/proposals/1"' in rosa.get("/console/cases/1").text
    assert set(faults(rosa.post("/console/proposals/1"))) == {"note"}
    assert "Confirm" not in otto.get("/console/proposals/1").text
    assert otto.post("/console/proposals/1", {"note": "x"}).status_code == 403
    rosa.follow(rosa.post("/console/proposals/1", {"note": "it is news"}))
    assert cases.get(service.db, COMMAND_LINE, 1).note == "it is news"


def test_a_reviewer_sees_what_is_for_admins_and_leaves_it(service: Service, rosa: Visitor, alpha: Caller) -> None:
    members.change(service.db, COMMAND_LINE, 1, MemberChange(status=MemberStatus.SUSPENDED))
    assert "suspend a member" in rosa.get("/console/proposals").text
    page = rosa.get("/console/proposals/1").text
    assert ("Confirm" in page, "Drop" in page) == (False, False)
    assert rosa.post("/console/proposals/1").status_code == 403
    assert rosa.post("/console/proposals/1/removal").status_code == 404


def test_a_proposal_is_dropped(service: Service, ada: Visitor, alpha: Caller) -> None:
    ada.post("/console/members/1/status", {"status": "suspended"})
    assert "Proposal 1 was dropped." in ada.follow(ada.post("/console/proposals/1/removal")).text
    assert "No proposal waits for a second person." in ada.get("/console/proposals").text


def test_what_has_expired_is_gone(service: Service, ada: Visitor, alpha: Caller) -> None:
    ada.post("/console/members/1/status", {"status": "suspended"})
    assert "in 3 d" in ada.get("/console/proposals").text
    service.clock.go(hours=73)
    ada.sign_in()
    assert ada.post("/console/proposals/1").status_code == 404
