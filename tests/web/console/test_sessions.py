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


def actions(service: Service) -> list[tuple[str, str, dict[str, object]]]:
    found = events.page(service.db, COMMAND_LINE, events.EventFilter(), 0, 1000)
    return [(event.action, event.subject, dict(event.details)) for event in found]


def cookies(answer: TestResponse) -> list[str]:
    return answer.headers.getlist("Set-Cookie")


def test_a_user_signs_in_goes_where_it_wanted_and_signs_out(service: Service) -> None:
    add_user(service, "ada", Role.ADMIN)
    ada = Visitor(service, "ada")
    sent_away = ada.get("/console/events?action=member.added")
    assert sent_away.headers["Location"] == "/console/sign-in?next=/console/events?action%3Dmember.added"
    done = ada.sign_in(next="/console/events?action=member.added")
    assert done.headers["Location"] == "/console/events?action=member.added"
    assert ada.follow(done).status_code == 200
    assert ada.post("/console/sign-in/out").headers["Location"] == "/console/sign-in"
    assert ada.get("/console/members").status_code == 303
    assert [action for action, _, _ in actions(service)][-2:] == ["user.signed-in", "user.signed-out"]


def test_a_session_has_another_secret_than_the_visit_before_it(service: Service) -> None:
    add_user(service, "ada", Role.ADMIN)
    ada = Visitor(service, "ada")
    ada.client.set_cookie("hashdb_session", "chosen-by-somebody-else")
    done = ada.sign_in()
    (session,) = [one for one in cookies(done) if one.startswith("hashdb_session=")]
    assert "chosen-by-somebody-else" not in session
    assert all(part in session for part in ("HttpOnly", "SameSite=Lax", "Path=/"))


@pytest.mark.parametrize(("address", "secure"), [("https://hashes.example", True), ("http://hashes.example", False)])
def test_cookies_are_secure_where_the_address_is(address: str, secure: bool) -> None:
    with service_at(None, console_url=address) as service:
        for cookie in cookies(Visitor(service).get("/console/sign-in")):
            assert ("Secure" in cookie, cookie.startswith("__Host-")) == (secure, secure)


@pytest.mark.parametrize(
    ("name", "password"),
    [("ada", "another one"), ("ada", ""), ("nobody", PASSWORD), ("", ""), ("ada\x00", PASSWORD), ("ADA", PASSWORD)],
)
def test_a_wrong_name_or_password_is_told_in_one_sentence(service: Service, name: str, password: str) -> None:
    add_user(service, "ada", Role.ADMIN)
    visitor = Visitor(service, name)
    answer = visitor.sign_in(password)
    assert answer.status_code == 422
    assert "The name or the password is wrong." in answer.text
    assert password not in answer.text or not password
    # Of a name that nobody has no event tells by itself.
    assert actions(service)[-1][0] == ("user.refused" if name == "ada" else "user.added")


def test_who_guesses_has_to_wait_longer_and_longer(service: Service) -> None:
    add_user(service, "ada", Role.ADMIN)
    guesser = Visitor(service, "ada")
    assert [guesser.sign_in("wrong").status_code for _ in range(6)] == [422] * 5 + [429]
    assert "failed sign-ins" in guesser.sign_in(PASSWORD).text
    service.clock.go(seconds=31)
    assert guesser.sign_in("wrong").status_code == 422
    service.clock.go(seconds=31)
    assert guesser.sign_in(PASSWORD).status_code == 429
    service.clock.go(seconds=30)
    assert guesser.sign_in(PASSWORD).status_code == 303
    assert guesser.sign_in("wrong").status_code == 422


def test_a_disabled_user_is_out_at_once_and_not_let_in(service: Service, ada: Visitor) -> None:
    otto = sign_in_new_user(service, "otto", Role.AUDITOR)
    assert otto.get("/console/members").status_code == 200
    ada.post("/console/users/2/status", {"status": "disabled"})
    assert otto.get("/console/members").status_code == 303
    assert otto.sign_in().status_code == 422
    assert actions(service)[-1] == ("user.refused", "user:2", {"reason": "disabled"})
    users.change(service.db, COMMAND_LINE, 2, UserChange(status=UserStatus.ACTIVE))
    assert otto.sign_in().status_code == 303


def test_a_session_ends_without_requests_and_after_its_time(service: Service, ada: Visitor) -> None:
    for _ in range(20):
        service.clock.go(minutes=30)
        assert ada.get("/console/members").status_code == 200
    service.clock.go(minutes=61)
    assert ada.get("/console/members").status_code == 303
    assert ada.sign_in().status_code == 303
    for _ in range(23):
        service.clock.go(minutes=31)
        assert ada.get("/console/members").status_code == 200
    service.clock.go(minutes=31)
    assert ada.get("/console/members").status_code == 303


def test_what_a_page_asks_by_itself_does_not_keep_a_session_alive(service: Service, ada: Visitor) -> None:
    by_itself = {"HX-Request": "true", "HX-Trigger": "poll-events"}
    for _ in range(2):
        service.clock.go(minutes=25)
        assert ada.get("/console/events/new?after=0", headers=by_itself).status_code == 200
    service.clock.go(minutes=25)
    answer = ada.get("/console/events/new?after=0", headers=by_itself)
    assert (answer.status_code, answer.headers["HX-Redirect"]) == (204, "/console/sign-in")


def test_a_second_factor_is_asked_for_after_the_password(service: Service, ada: Visitor) -> None:
    secret = pyotp.random_base32()
    code = pyotp.TOTP(secret).at(service.clock())
    sent = {"secret": secret, "present": PASSWORD, "code": code}
    assert "Recovery codes" in ada.post("/console/account/second-factor", sent).text
    again = Visitor(service, "ada")
    done = again.sign_in()
    assert done.headers["Location"] == "/console/sign-in/code"
    assert again.get("/console/members").status_code == 303
    again.name = ""
    again.secret = ""
    page = again.get("/console/sign-in/code")
    assert heading(page) == "Second factor"
    again.secret = form_secret(page)
    assert again.post("/console/sign-in/code", {"code": code}).status_code == 422
    service.clock.go(seconds=60)
    done = again.post("/console/sign-in/code", {"code": pyotp.TOTP(secret).at(service.clock())})
    assert done.status_code == 303
    assert again.get("/console/members").status_code == 200
    action, subject, details = actions(service)[-1]
    assert (action, subject, details["by"], details["second"]) == ("user.signed-in", "user:1", "password", "code")


def test_a_provisional_password_is_changed_before_anything_else(service: Service) -> None:
    made = users.add(service.db, COMMAND_LINE, UserDraft("new", Role.ADMIN))
    new = Visitor(service, "new")
    assert new.sign_in(made.password or "").status_code == 303
    for path in ("/console", "/console/members", "/console/account"):
        assert new.get(path).headers["Location"] == "/console/account/password"
    assert new.client.post("/console/members", data={"csrf": ""}).status_code == 403
    new.secret = form_secret(new.get("/console/account/password"))
    chosen = {"present": made.password, "password": PASSWORD, "again": PASSWORD}
    assert new.post("/console/account/password", chosen).status_code == 303
    assert new.get("/console/members").status_code == 200


def test_no_address_and_no_name_is_in_the_log(service: Service) -> None:
    stranger = Visitor(service, "perhaps-a-password")
    stranger.sign_in("x")
    text = " ".join(event.text for event in events.page(service.db, COMMAND_LINE, events.EventFilter(), 0, 10))
    assert "127.0.0.1" not in text
    assert "perhaps-a-password" not in text
