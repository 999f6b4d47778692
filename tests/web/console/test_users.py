"""The page of users."""

from __future__ import annotations

import re

import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.users import Role
from tests.web.callers import Service
from tests.web.console.visitors import PASSWORD, Visitor, faults, heading, sign_in_new_user


def shown_password(page: TestResponse) -> str:
    match = re.search(r'id="copy-password">([^<]+)<', page.text)
    assert match
    return match[1]


def test_a_user_is_added_with_a_password_that_is_shown_once(service: Service, ada: Visitor) -> None:
    password = shown_password(ada.post("/console/users", {"name": "rosa", "role": "reviewer"}))
    assert password not in ada.get("/console/users/2").text
    assert Visitor(service, "rosa").sign_in(password).status_code == 303


def test_a_user_of_the_provider_has_no_password(service: Service, ada: Visitor) -> None:
    assert ada.post("/console/users", {"name": "rosa", "role": "reviewer", "by": "provider"}).status_code == 303
    assert Visitor(service, "rosa").sign_in("").status_code == 422
    assert "provider" in ada.get("/console/users").text


@pytest.mark.parametrize(
    ("fields", "invalid"),
    [
        ({"name": "", "role": "admin"}, {"name"}),
        ({"name": "x", "role": "root"}, {"role"}),
        ({"name": "12"}, {"name", "role"}),
    ],
)
def test_each_invalid_field_is_reported(ada: Visitor, fields: dict[str, str], invalid: set[str]) -> None:
    assert set(faults(ada.post("/console/users", fields))) == invalid


def test_a_name_in_use_is_rejected(ada: Visitor) -> None:
    page = ada.post("/console/users", {"name": "ada", "role": "admin"})
    assert (page.status_code, "A user named ada already exists." in page.text) == (422, True)


def test_a_new_role_takes_effect_with_the_next_request(service: Service, ada: Visitor) -> None:
    otto = sign_in_new_user(service, "otto", Role.AUDITOR)
    assert otto.post("/console/members", {"name": "A", "kind": "platform"}).status_code == 403
    assert ada.post("/console/users/2", {"role": "admin"}).status_code == 303
    assert otto.post("/console/members", {"name": "A", "kind": "platform"}).status_code == 303
    assert set(faults(ada.post("/console/users/2", {"role": "king"}))) == {"role"}


def test_an_admin_cannot_demote_or_disable_itself(ada: Visitor) -> None:
    own_page = ada.get("/console/users/1").text
    assert "Change role" not in own_page and ">Disable<" not in own_page
    assert set(faults(ada.post("/console/users/1", {"role": "auditor"}))) == {"role"}
    refused = ada.post("/console/users/1/status", {"status": "disabled"})
    assert refused.status_code == 422 and "so that at least one admin remains" in refused.text
    assert ada.post("/console/users/1", {"role": "admin"}).status_code == 303
    assert ada.get("/console/users").status_code == 200


def test_a_new_password_ends_sessions_and_the_second_factor(service: Service, ada: Visitor) -> None:
    otto = sign_in_new_user(service, "otto", Role.AUDITOR)
    password = shown_password(ada.post("/console/users/2/password"))
    assert otto.get("/console/members").status_code == 303
    assert otto.sign_in(PASSWORD).status_code == 422
    assert otto.sign_in(password).status_code == 303
    assert heading(otto.get("/console/account/password")) == "Change your password"
