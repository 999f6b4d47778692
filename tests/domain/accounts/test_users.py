"""Users: roles, and passwords that may be chosen."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.accounts.users import Role, normalized_password, password_fault


def test_an_auditor_sees_and_changes_nothing() -> None:
    assert Role.AUDITOR.scopes == {Scope.AUDIT}
    assert Role.REVIEWER.scopes == {Scope.AUDIT, Scope.REVIEW}
    assert Role.ADMIN.scopes == {Scope.ADMIN}


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("eleven char", "must have 12 to 200 characters"),
        ("x" * 201, "must have 12 to 200 characters"),
        ("abababababab", "must have more different characters"),
        ("i am ADA lovelace", "must not contain the user's name"),
        ("correct horse battery", None),
        ("пароль из слов", None),
    ],
)
def test_a_password_is_long_and_not_the_name(password: str, reason: str | None) -> None:
    assert password_fault(password, "ada") == reason


def test_a_password_is_the_same_however_it_is_typed() -> None:
    assert normalized_password("cafe\u0301 \ufb01n") == normalized_password("caf\u00e9 fin")
