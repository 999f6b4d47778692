"""The pages of proposals: changes that a second person must confirm."""

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
    """A member with a contribution that has a case, in a service where a second person must confirm changes."""
    service.db.rules = replace(service.db.rules, two_persons=True)
    caller = service.caller(name="Alpha")
    caller.contribute(item(1))
    cases.open_case(service.db, COMMAND_LINE, 1, "other", holds=False)
    return caller


def test_a_second_admin_confirms_the_suspension_of_a_member(service: Service, ada: Visitor, alpha: Caller) -> None:
    page = ada.follow(ada.post("/console/members/1/status", {"status": "suspended"}))
    assert "Nothing changes until a second person confirms it" in page.text
    assert 'href="/console/proposals/1"' in ada.get("/console/members/1").text
    own_proposal = ada.get("/console/proposals/1")
    assert ("Confirm" in own_proposal.text, "(you)" in own_proposal.text) == (False, True)
    own_confirmation = ada.post("/console/proposals/1")
    assert (own_confirmation.status_code, "another person must confirm it" in own_confirmation.text) == (422, True)
    assert alpha.get("/v1/me").status_code == 200
    eva = sign_in_new_user(service, "eva", Role.ADMIN)
    proposal = eva.get("/console/proposals/1").text
    assert ("Confirm: suspend a member" in proposal, "<b>1 key</b> would stop working" in proposal) == (True, True)
    proposals = eva.follow(eva.post("/console/proposals/1"))
    assert (heading(proposals), "Done: suspend a member." in proposals.text) == ("Proposals", True)
    assert alpha.get("/v1/me").status_code == 403
    assert eva.get("/console/proposals/1").status_code == 404


def test_a_confirmation_carries_out_exactly_the_proposed_change(service: Service, ada: Visitor, alpha: Caller) -> None:
    change = MemberChange(status=MemberStatus.SUSPENDED, limits=MemberLimits(7), contact="c@example.org")
    members.change(service.db, COMMAND_LINE, 1, change)
    ada.follow(ada.post("/console/proposals/1"))
    member = members.get(service.db, COMMAND_LINE, 1)
    assert (member.status, member.limits, member.contact) == (MemberStatus.SUSPENDED, MemberLimits(7), "c@example.org")


def test_a_second_person_confirms_a_benign_entry(service: Service, ada: Visitor, alpha: Caller) -> None:
    benign.add(service.db, COMMAND_LINE, BenignDraft((signal(1),), note="a test card"))
    proposal = ada.get("/console/proposals/1").text
    assert ("a test card" in proposal, "would be affected" in proposal) == (True, True)
    ada.follow(ada.post("/console/proposals/1"))
    assert alpha.matched(str(signal(1))) == []


def test_a_retirement_has_the_reason_of_the_second_person(
    service: Service, rosa: Visitor, otto: Visitor, alpha: Caller
) -> None:
    cases.decide(service.db, COMMAND_LINE, 1, Decision.RETIRE, "a first look")
    assert 'href="/console/proposals/1"' in rosa.get("/console/cases/1").text
    assert set(faults(rosa.post("/console/proposals/1"))) == {"note"}
    assert "Confirm" not in otto.get("/console/proposals/1").text
    assert otto.post("/console/proposals/1", {"note": "x"}).status_code == 403
    rosa.follow(rosa.post("/console/proposals/1", {"note": "it is news"}))
    assert cases.get(service.db, COMMAND_LINE, 1).note == "it is news"


def test_a_reviewer_sees_proposals_for_admins_and_cannot_change_them(
    service: Service, rosa: Visitor, alpha: Caller
) -> None:
    members.change(service.db, COMMAND_LINE, 1, MemberChange(status=MemberStatus.SUSPENDED))
    assert "suspend a member" in rosa.get("/console/proposals").text
    page = rosa.get("/console/proposals/1").text
    assert ("Confirm" in page, "Drop" in page) == (False, False)
    assert rosa.post("/console/proposals/1").status_code == 403
    assert rosa.post("/console/proposals/1/removal").status_code == 404


def test_an_admin_drops_a_proposal(service: Service, ada: Visitor, alpha: Caller) -> None:
    ada.post("/console/members/1/status", {"status": "suspended"})
    assert "Proposal 1 was dropped." in ada.follow(ada.post("/console/proposals/1/removal")).text
    assert "No proposal waits for a second person." in ada.get("/console/proposals").text


def test_an_expired_proposal_is_not_found(service: Service, ada: Visitor, alpha: Caller) -> None:
    ada.post("/console/members/1/status", {"status": "suspended"})
    assert "in 3 d" in ada.get("/console/proposals").text
    service.clock.advance(hours=73)
    ada.sign_in()
    assert ada.post("/console/proposals/1").status_code == 404
