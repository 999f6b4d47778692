"""Wire models of the users of the console."""

from __future__ import annotations

import json

import pytest

from hashdb.domain.accounts.users import AddedUser, Role, User, UserChange, UserDraft, UserStatus
from hashdb.errors import InvalidInput
from hashdb.wire import read
from hashdb.wire.users import UserChangeIn, UserIn, UserOut
from tests.builders import NOON

USER = User(7, "ada", Role.ADMIN, UserStatus.ACTIVE, True, True, False, NOON)


def test_a_draft_of_a_user_round_trips_unchanged() -> None:
    draft = UserDraft("ada", Role.AUDITOR)
    assert read(UserIn, UserIn.from_domain(draft).model_dump_json()).to_domain() == draft


def test_a_change_of_a_user_has_only_changed_fields_and_rejects_null() -> None:
    assert read(UserChangeIn, '{"role": "reviewer"}').to_domain() == UserChange(role=Role.REVIEWER)
    with pytest.raises(InvalidInput):
        read(UserChangeIn, '{"role": null}')


def test_the_json_has_a_password_only_if_one_was_generated() -> None:
    assert "password" not in json.loads(UserOut.from_domain(USER).json_text())
    assert json.loads(UserOut.from_added(AddedUser(USER, "made")).json_text())["password"] == "made"
    assert "password" not in json.loads(UserOut.from_added(AddedUser(USER, None)).json_text())
