"""What users look after themselves."""

from __future__ import annotations

import re
from dataclasses import replace

import pyotp
import pytest

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role
from hashdb.domain.review.due import MailTrouble
from hashdb.service.review import cases, due
from tests.web.callers import Service, item, service_at
from tests.web.console.visitors import PASSWORD, Visitor, faults, form_secret, heading, sign_in_new_user

NEW = "a new one that is long"


def test_a_password_is_changed_and_other_sessions_end(service: Service, ada: Visitor) -> None:
    other = Visitor(service, "ada")
    other.sign_in()
    sent = {"present": PASSWORD, "password": NEW, "again": NEW}
    assert ada.post("/console/account/password", sent).status_code == 303
    assert ada.get("/console/account").status_code == 200
    assert other.get("/console/account").status_code == 303
    assert other.sign_in(PASSWORD).status_code == 422
    assert other.sign_in(NEW).status_code == 303


@pytest.mark.parametrize(
    ("present", "password", "again", "wrong"),
    [
        ("wrong", NEW, NEW, "present"),
        (PASSWORD, NEW, NEW + "x", "again"),
        (PASSWORD, "shortest", "shortest", "password"),
        (PASSWORD, "a" * 20, "a" * 20, "password"),
        (PASSWORD, "ada is my name, yes", "ada is my name, yes", "password"),
        (PASSWORD, PASSWORD, PASSWORD, "password"),
        (PASSWORD, "x" * 201, "x" * 201, "password"),
    ],
)
def test_a_password_that_may_not_be_is_told(ada: Visitor, present: str, password: str, again: str, wrong: str) -> None:
    page = ada.post("/console/account/password", {"present": present, "password": password, "again": again})
    assert set(faults(page)) == {wrong}
    assert password not in page.text
    assert ada.sign_in(PASSWORD).status_code == 303


def test_a_second_factor_is_set_up_shown_as_a_picture_and_removed(service: Service, ada: Visitor) -> None:
    page = ada.get("/console/account/second-factor")
    found = re.search(r'name="secret" value="([A-Z2-7]{32})"', page.text)
    assert found and "<svg" in page.text
    code = pyotp.TOTP(found[1]).at(service.clock())
    sent = {"secret": found[1], "present": PASSWORD, "code": f"{code[:3]} {code[3:]}"}
    codes = re.findall(r"<li>([a-z2-9]{5}-[a-z2-9]{5})</li>", ada.post("/console/account/second-factor", sent).text)
    assert len(set(codes)) == 10
    assert "on" in ada.get("/console/account").text
    by_recovery(service, codes[0], 303)
    by_recovery(service, codes[0], 422)
    by_recovery(service, codes[1].upper().replace("-", ""), 303)
    assert set(faults(ada.post("/console/account/second-factor/removal", {"present": "x"}))) == {"present"}
    assert ada.post("/console/account/second-factor/removal", {"present": PASSWORD}).status_code == 303
    assert Visitor(service, "ada").sign_in().headers["Location"] == "/console"


def by_recovery(service: Service, code: str, status: int) -> None:
    again = Visitor(service, "ada")
    again.sign_in()
    again.secret = form_secret(again.get("/console/sign-in/code"))
    assert again.post("/console/sign-in/code", {"code": code}).status_code == status


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/console/account/password", {"password": NEW, "again": NEW}),
        ("/console/account/second-factor", {"secret": "A" * 32, "code": "000000"}),
        ("/console/account/second-factor/removal", {}),
    ],
)
def test_forty_guesses_of_the_present_password_are_stopped(
    service: Service, ada: Visitor, path: str, fields: dict[str, str]
) -> None:
    came = [ada.post(path, {**fields, "present": f"guess {number}"}) for number in range(40)]
    assert [page.status_code for page in came[:6]] == [422] * 5 + [303]
    assert "this session has ended" in came[4].text
    assert came[5].headers["Location"] == "/console/sign-in"
    assert {page.status_code for page in came[6:]} == {403}
    with service.db.store.read() as tx:
        told = [event.details for event in tx.audit.since(0, 999) if event.action == "user.refused"]
    assert told == [{"reason": "present"}] * 5


@pytest.mark.parametrize(
    ("secret", "code", "present", "wrong"),
    [("A" * 32, "000000", "x", "present"), ("A" * 32, "", PASSWORD, "code"), ("short", "1", PASSWORD, "code")],
)
def test_a_second_factor_that_is_not_shown_to_work_is_refused(
    ada: Visitor, secret: str, code: str, present: str, wrong: str
) -> None:
    sent = {"secret": secret, "code": code, "present": present}
    assert set(faults(ada.post("/console/account/second-factor", sent))) == {wrong}


def test_a_second_factor_may_be_required() -> None:
    with service_at(None, require_second_factor=True) as service:
        ada = sign_in_new_user(service, "ada", Role.ADMIN)
        assert ada.get("/console/members").headers["Location"] == "/console/account/second-factor"
        assert heading(ada.get("/console/account/second-factor")) == "Set up a second factor"


def test_all_other_sessions_are_ended(service: Service, ada: Visitor) -> None:
    others = [Visitor(service, "ada") for _ in range(2)]
    for other in others:
        other.sign_in()
    assert "2 other sessions ended." in ada.follow(ada.post("/console/account/sessions")).text
    assert [other.get("/console/account").status_code for other in others] == [303, 303]


def test_a_reviewer_gets_mail_changes_the_address_and_stops_it(service: Service, rosa: Visitor, otto: Visitor) -> None:
    assert "This service sends no mail" in rosa.get("/console/account").text
    service.db.rules = replace(service.db.rules, mails=True)
    page = rosa.post("/console/account/mail", {"address": "rosa@example.org\nBcc: all@example.org"})
    assert set(faults(page)) == {"address"}
    assert "You get mail" in rosa.follow(rosa.post("/console/account/mail", {"address": "rosa@example.org"})).text
    alpha = service.caller(name="Alpha")
    alpha.contribute(item())
    cases.open_case(service.db, COMMAND_LINE, 1, "other", holds=False)
    service.clock.go(hours=60)
    due.mail(service.db, lambda mail, now: MailTrouble.NOT_CONNECTED)
    rosa.sign_in()
    shown = rosa.get("/console/account").text
    assert 'value="rosa@example.org"' in shown
    assert "The mail server could not be reached. The service tries again." in shown
    service.db.rules = replace(service.db.rules, mails=False)
    assert "Delete your address rosa@example.org" in rosa.get("/console/account").text
    assert "You get no mail" in rosa.follow(rosa.post("/console/account/mail", {"address": "x", "stop": "1"})).text
    assert "rosa@example.org" not in rosa.get("/console/account").text
    # An auditor decides no case.
    otto.sign_in()
    assert "due soon" not in otto.get("/console/account").text
