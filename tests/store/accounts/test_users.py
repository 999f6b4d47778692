"""Users in SQL."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.users import ProviderIdentity, Role, UserChange, UserDraft, UserStatus
from hashdb.errors import NameTaken, NotFound
from hashdb.store import Store
from tests.builders import NOON

ADA = UserDraft("ada", Role.ADMIN)


def test_a_user_is_returned_as_it_was_added(store: Store) -> None:
    with store.begin() as tx:
        added = tx.users.add(ADA, "hashed", NOON, provisional=True)
    with store.read() as tx:
        assert tx.users.get(added.id) == tx.users.named("ada") == tx.users.page(0, 9)[0] == added
        assert tx.users.credentials(added.id).password == "hashed"
        assert tx.users.page(added.id, 9) == ()
    assert (added.role, added.status, added.provisional, added.second_factor) == ("admin", "active", True, False)


def test_a_second_user_with_the_same_name_is_rejected(store: Store) -> None:
    with store.begin() as tx:
        tx.users.add(ADA, None, NOON, provisional=False)
    with pytest.raises(NameTaken, match=r"^a user named ada already exists$"), store.begin() as tx:
        tx.users.add(ADA, None, NOON, provisional=False)


def test_an_unknown_user_is_reported(store: Store) -> None:
    with store.read() as tx:
        with pytest.raises(NotFound, match=r"^user 7 does not exist$"):
            tx.users.get(7)
        with pytest.raises(NotFound, match=r"^a user named x does not exist$"):
            tx.users.named("x")


def test_changes_of_a_user_are_stored(store: Store) -> None:
    with store.begin() as tx:
        id = tx.users.add(ADA, None, NOON, provisional=False).id
        assert tx.users.change(id, UserChange()).role is Role.ADMIN
        assert tx.users.change(id, UserChange(Role.AUDITOR, UserStatus.DISABLED)).status is UserStatus.DISABLED
        assert tx.users.set_password(id, "other", provisional=True).has_password
        assert tx.users.set_factor(id, "SECRET", 5, ("a", "b")).second_factor
        tx.users.set_identity(id, ProviderIdentity("https://login.example", "sub"))
    with store.read() as tx:
        credentials = tx.users.credentials(id)
        assert (credentials.password, credentials.secret, credentials.step, credentials.recovery) == (
            "other",
            "SECRET",
            5,
            ("a", "b"),
        )
        assert tx.users.identity(id) == ProviderIdentity("https://login.example", "sub")
    with store.begin() as tx:
        cleared = tx.users.clear_credentials(id)
        assert (cleared.has_password, cleared.second_factor, tx.users.identity(id)) == (False, False, None)
