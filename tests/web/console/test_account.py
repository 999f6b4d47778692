"""The pages of a user's own account: password, second factor, sessions and mail."""

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

NEW_PASSWORD = "a new one that is long"


def test_a_new_password_ends_the_other_sessions(service: Service, ada: Visitor) -> None:
    other = Visitor(service, "ada")
    other.sign_in()
    change = {"present": PASSWORD, "password": NEW_PASSWORD, "again": NEW_PASSWORD}
    assert ada.post("/console/account/password", change).status_code == 303
    assert ada.get("/console/account").status_code == 200
    assert other.get("/console/account").status_code == 303
    assert other.sign_in(PASSWORD).status_code == 422
    assert other.sign_in(NEW_PASSWORD).status_code == 303


@pytest.mark.parametrize(
    ("present", "password", "again", "invalid"),
    [
        ("wrong", NEW_PASSWORD, NEW_PASSWORD, "present"),
        (PASSWORD, NEW_PASSWORD, NEW_PASSWORD + "x", "again"),
        (PASSWORD, "shortest", "shortest", "password"),
        (PASSWORD, "a" * 20, "a" * 20, "password"),
        (PASSWORD, "ada is my name, yes", "ada is my name, yes", "password"),
        (PASSWORD, PASSWORD, PASSWORD, "password"),
        (PASSWORD, "x" * 201, "x" * 201, "password"),
    ],
)
def test_an_invalid_password_change_is_reported_at_its_field(
    ada: Visitor, present: str, password: str, again: str, invalid: str
) -> None:
    page = ada.post("/console/account/password", {"present": present, "password": password, "again": again})
    labels = {"present": "Current password", "password": "New password", "again": "Repeat the new password"}
    assert set(faults(page)) == {labels[invalid]}
    assert f'<a href="#f-{invalid}">{labels[invalid]}</a>' in page.text
    assert password not in page.text
    assert ada.sign_in(PASSWORD).status_code == 303


def test_a_user_sets_up_and_removes_a_second_factor(service: Service, ada: Visitor) -> None:
    page = ada.get("/console/account/second-factor")
    match = re.search(r'name="secret" value="([A-Z2-7]{32})"', page.text)
    assert match and "<svg" in page.text
    code = pyotp.TOTP(match[1]).at(service.clock())
    fields = {"secret": match[1], "present": PASSWORD, "code": f"{code[:3]} {code[3:]}"}
    recovery_codes = re.findall(
        r"<li>([a-z2-9]{5}-[a-z2-9]{5})</li>", ada.post("/console/account/second-factor", fields).text
    )
    assert len(set(recovery_codes)) == 10
    assert "<dd>on · <a" in ada.get("/console/account").text
    sign_in_by_recovery_code(service, recovery_codes[0], 303)
    sign_in_by_recovery_code(service, recovery_codes[0], 422)
    sign_in_by_recovery_code(service, recovery_codes[1].upper().replace("-", ""), 303)
    assert set(faults(ada.post("/console/account/second-factor/removal", {"present": "x"}))) == {"present"}
    assert ada.post("/console/account/second-factor/removal", {"present": PASSWORD}).status_code == 303
    assert Visitor(service, "ada").sign_in().headers["Location"] == "/console"


def sign_in_by_recovery_code(service: Service, code: str, status: int) -> None:
    visitor = Visitor(service, "ada")
    visitor.sign_in()
    visitor.secret = form_secret(visitor.get("/console/sign-in/code"))
    assert visitor.post("/console/sign-in/code", {"code": code}).status_code == status


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/console/account/password", {"password": NEW_PASSWORD, "again": NEW_PASSWORD}),
        ("/console/account/second-factor", {"secret": "A" * 32, "code": "000000"}),
        ("/console/account/second-factor/removal", {}),
    ],
)
def test_the_fifth_wrong_present_password_ends_the_session(
    service: Service, ada: Visitor, path: str, fields: dict[str, str]
) -> None:
    pages = [ada.post(path, {**fields, "present": f"guess {number}"}) for number in range(40)]
    assert [page.status_code for page in pages[:6]] == [422] * 5 + [303]
    assert "this session has ended" in pages[4].text
    assert pages[5].headers["Location"] == "/console/sign-in"
    assert {page.status_code for page in pages[6:]} == {403}
    with service.db.store.read() as tx:
        refusals = [event.details for event in tx.audit.since(0, 999) if event.action == "user.refused"]
    assert refusals == [{"reason": "present"}] * 5


@pytest.mark.parametrize(
    ("secret", "code", "present", "invalid"),
    [("A" * 32, "000000", "x", "present"), ("A" * 32, "", PASSWORD, "code"), ("short", "1", PASSWORD, "code")],
)
def test_a_second_factor_needs_a_valid_secret_code_and_password(
    ada: Visitor, secret: str, code: str, present: str, invalid: str
) -> None:
    fields = {"secret": secret, "code": code, "present": present}
    assert set(faults(ada.post("/console/account/second-factor", fields))) == {invalid}


def test_a_service_can_require_a_second_factor() -> None:
    with service_at(None, require_second_factor=True) as service:
        ada = sign_in_new_user(service, "ada", Role.ADMIN)
        assert ada.get("/console/members").headers["Location"] == "/console/account/second-factor"
        assert heading(ada.get("/console/account/second-factor")) == "Set up a second factor"


def test_a_user_ends_all_other_sessions(service: Service, ada: Visitor) -> None:
    others = [Visitor(service, "ada") for _ in range(2)]
    for other in others:
        other.sign_in()
    assert "2 other sessions ended." in ada.follow(ada.post("/console/account/sessions")).text
    assert [other.get("/console/account").status_code for other in others] == [303, 303]


def test_a_reviewer_sets_and_deletes_a_mail_address(service: Service, rosa: Visitor, otto: Visitor) -> None:
    assert "This service sends no mail" in rosa.get("/console/account").text
    service.db.rules = replace(service.db.rules, mails=True)
    page = rosa.post("/console/account/mail", {"address": "rosa@example.org\nBcc: all@example.org"})
    assert set(faults(page)) == {"address"}
    assert "You get mail" in rosa.follow(rosa.post("/console/account/mail", {"address": "rosa@example.org"})).text
    alpha = service.caller(name="Alpha")
    alpha.contribute(item())
    cases.open_case(service.db, COMMAND_LINE, 1, "other", holds=False)
    service.clock.advance(hours=60)
    due.mail(service.db, lambda mail, now: MailTrouble.NOT_CONNECTED)
    rosa.sign_in()
    text = rosa.get("/console/account").text
    assert 'value="rosa@example.org"' in text
    assert "The mail server could not be reached. The service tries again." in text
    service.db.rules = replace(service.db.rules, mails=False)
    assert "Delete your address rosa@example.org" in rosa.get("/console/account").text
    assert "You get no mail" in rosa.follow(rosa.post("/console/account/mail", {"address": "x", "stop": "1"})).text
    assert "rosa@example.org" not in rosa.get("/console/account").text
    # An auditor decides no case.
    otto.sign_in()
    assert "due soon" not in otto.get("/console/account").text
