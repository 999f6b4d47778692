"""Signing in and out, as a browser does it."""

from __future__ import annotations

import pyotp
import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role, UserChange, UserDraft, UserStatus
from hashdb.service.accounts import users
from hashdb.service.ledger import events
from tests.web.callers import Service, service_at
from tests.web.console.visitors import PASSWORD, Visitor, add_user, form_secret, heading, sign_in_new_user


def logged_events(service: Service) -> list[tuple[str, str, dict[str, object]]]:
    page = events.page(service.db, COMMAND_LINE, events.EventFilter(), 0, 1000)
    return [(event.action, event.subject, dict(event.details)) for event in page]


def set_cookies(answer: TestResponse) -> list[str]:
    return answer.headers.getlist("Set-Cookie")


def test_a_user_signs_in_reaches_the_requested_page_and_signs_out(service: Service) -> None:
    add_user(service, "ada", Role.ADMIN)
    ada = Visitor(service, "ada")
    redirect = ada.get("/console/events?action=member.added")
    assert redirect.headers["Location"] == "/console/sign-in?next=/console/events?action%3Dmember.added"
    response = ada.sign_in(next="/console/events?action=member.added")
    assert response.headers["Location"] == "/console/events?action=member.added"
    assert ada.follow(response).status_code == 200
    assert ada.post("/console/sign-in/out").headers["Location"] == "/console/sign-in"
    assert ada.get("/console/members").status_code == 303
    assert [action for action, _, _ in logged_events(service)][-2:] == ["user.signed-in", "user.signed-out"]


def test_signing_in_replaces_the_session_secret(service: Service) -> None:
    add_user(service, "ada", Role.ADMIN)
    ada = Visitor(service, "ada")
    ada.client.set_cookie("hashdb_session", "chosen-by-somebody-else")
    response = ada.sign_in()
    (session,) = [cookie for cookie in set_cookies(response) if cookie.startswith("hashdb_session=")]
    assert "chosen-by-somebody-else" not in session
    assert all(part in session for part in ("HttpOnly", "SameSite=Lax", "Path=/"))


@pytest.mark.parametrize(("address", "secure"), [("https://hashes.example", True), ("http://hashes.example", False)])
def test_cookies_are_secure_if_the_console_uses_https(address: str, secure: bool) -> None:
    with service_at(None, console_url=address) as service:
        for cookie in set_cookies(Visitor(service).get("/console/sign-in")):
            assert ("Secure" in cookie, cookie.startswith("__Host-")) == (secure, secure)


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "another one"), ("ada", ""), ("nobody", PASSWORD), ("", ""), ("ada\x00", PASSWORD), ("ADA", PASSWORD)],
)
def test_a_wrong_name_and_a_wrong_password_give_the_same_error(service: Service, name: str, password: str) -> None:
    add_user(service, "ada", Role.ADMIN)
    visitor = Visitor(service, name)
    answer = visitor.sign_in(password)
    assert answer.status_code == 422
    assert "The name or the password is wrong." in answer.text
    assert password not in answer.text or not password
    # An unknown name is logged in no event.
    assert logged_events(service)[-1][0] == ("user.refused" if name == "ada" else "user.added")


def test_wrong_passwords_make_the_user_wait_longer_and_longer(service: Service) -> None:
    add_user(service, "ada", Role.ADMIN)
    guesser = Visitor(service, "ada")
    assert [guesser.sign_in("wrong").status_code for _ in range(6)] == [422] * 5 + [429]
    assert "failed sign-ins" in guesser.sign_in(PASSWORD).text
    service.clock.advance(seconds=31)
    assert guesser.sign_in("wrong").status_code == 422
    service.clock.advance(seconds=31)
    assert guesser.sign_in(PASSWORD).status_code == 429
    service.clock.advance(seconds=30)
    assert guesser.sign_in(PASSWORD).status_code == 303
    assert guesser.sign_in("wrong").status_code == 422


def test_a_disabled_user_is_signed_out_and_cannot_sign_in(service: Service, ada: Visitor) -> None:
    otto = sign_in_new_user(service, "otto", Role.AUDITOR)
    assert otto.get("/console/members").status_code == 200
    ada.post("/console/users/2/status", {"status": "disabled"})
    assert otto.get("/console/members").status_code == 303
    assert otto.sign_in().status_code == 422
    assert logged_events(service)[-1] == ("user.refused", "user:2", {"reason": "disabled"})
    users.change(service.db, COMMAND_LINE, 2, UserChange(status=UserStatus.ACTIVE))
    assert otto.sign_in().status_code == 303


def test_a_session_ends_after_an_idle_time_and_a_maximum_time(service: Service, ada: Visitor) -> None:
    for _ in range(20):
        service.clock.advance(minutes=30)
        assert ada.get("/console/members").status_code == 200
    service.clock.advance(minutes=61)
    assert ada.get("/console/members").status_code == 303
    assert ada.sign_in().status_code == 303
    for _ in range(23):
        service.clock.advance(minutes=31)
        assert ada.get("/console/members").status_code == 200
    service.clock.advance(minutes=31)
    assert ada.get("/console/members").status_code == 303


def test_automatic_requests_of_a_page_do_not_extend_a_session(service: Service, ada: Visitor) -> None:
    automatic = {"HX-Request": "true", "HX-Trigger": "poll-events"}
    for _ in range(2):
        service.clock.advance(minutes=25)
        assert ada.get("/console/events/new?after=0", headers=automatic).status_code == 200
    service.clock.advance(minutes=25)
    answer = ada.get("/console/events/new?after=0", headers=automatic)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/console/sign-in")


def test_the_second_factor_is_requested_after_the_password(service: Service, ada: Visitor) -> None:
    secret = pyotp.random_base32()
    code = pyotp.TOTP(secret).at(service.clock())
    fields = {"secret": secret, "present": PASSWORD, "code": code}
    assert "Recovery codes" in ada.post("/console/account/second-factor", fields).text
    visitor = Visitor(service, "ada")
    response = visitor.sign_in()
    assert response.headers["Location"] == "/console/sign-in/code"
    assert visitor.get("/console/members").status_code == 303
    visitor.name = ""
    visitor.secret = ""
    page = visitor.get("/console/sign-in/code")
    assert heading(page) == "Second factor"
    visitor.secret = form_secret(page)
    assert visitor.post("/console/sign-in/code", {"code": code}).status_code == 422
    service.clock.advance(seconds=60)
    response = visitor.post("/console/sign-in/code", {"code": pyotp.TOTP(secret).at(service.clock())})
    assert response.status_code == 303
    assert visitor.get("/console/members").status_code == 200
    action, subject, details = logged_events(service)[-1]
    assert (action, subject, details["by"], details["second"]) == ("user.signed-in", "user:1", "password", "code")


def test_a_user_must_change_a_provisional_password_first(service: Service) -> None:
    created = users.add(service.db, COMMAND_LINE, UserDraft("new", Role.ADMIN))
    new = Visitor(service, "new")
    assert new.sign_in(created.password or "").status_code == 303
    for path in ("/console", "/console/members", "/console/account"):
        assert new.get(path).headers["Location"] == "/console/account/password"
    assert new.client.post("/console/members", data={"csrf": ""}).status_code == 403
    new.secret = form_secret(new.get("/console/account/password"))
    change = {"present": created.password, "password": PASSWORD, "again": PASSWORD}
    assert new.post("/console/account/password", change).status_code == 303
    assert new.get("/console/members").status_code == 200


def test_a_failed_sign_in_logs_neither_address_nor_name(service: Service) -> None:
    stranger = Visitor(service, "perhaps-a-password")
    stranger.sign_in("x")
    text = " ".join(event.text for event in events.page(service.db, COMMAND_LINE, events.EventFilter(), 0, 10))
    assert "127.0.0.1" not in text
    assert "perhaps-a-password" not in text
