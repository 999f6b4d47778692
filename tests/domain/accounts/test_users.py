"""Users: the scopes of roles, and the rules for passwords."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.domain.accounts.users import Role, normalized_password, password_fault


def test_each_role_has_its_scopes_and_an_auditor_only_reads() -> None:
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
def test_a_short_simple_or_name_based_password_is_rejected(password: str, reason: str | None) -> None:
    assert password_fault(password, "ada") == reason


def test_two_unicode_forms_of_one_password_are_equal() -> None:
    assert normalized_password("cafe\u0301 \ufb01n") == normalized_password("caf\u00e9 fin")
