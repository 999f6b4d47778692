"""Users: added and changed by admins only, with an event for each change."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.accounts.users import Role, UserChange, UserDraft, UserStatus
from hashdb.errors import InvalidInput, NameTaken, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import sessions, users
from tests.service.ledger.test_every_event import CHANGES

PASSWORD = "correct horse battery staple"


@pytest.fixture
def admin(db: HashDB) -> Actor:
    """An admin of the console."""
    return users.add(db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD).user.actor


def test_a_user_is_added_with_a_password_made_or_chosen_or_none(db: HashDB, admin: Actor) -> None:
    made = users.add(db, admin, UserDraft("one", Role.AUDITOR))
    assert (made.user.provisional, made.user.has_password, bool(made.password)) == (True, True, True)
    assert made.password and made.password not in repr(made)
    chosen = users.add(db, admin, UserDraft("two", Role.AUDITOR), PASSWORD)
    assert (chosen.user.provisional, chosen.password) == (False, None)
    provided = users.add(db, admin, UserDraft("three", Role.AUDITOR), local=False)
    assert (provided.user.has_password, provided.password) == (False, None)
    assert [user.name for user in users.page(db, admin, 0, 9)] == ["ada", "one", "two", "three"]


def test_a_poor_password_and_a_taken_name_are_refused(db: HashDB, admin: Actor) -> None:
    with pytest.raises(InvalidInput, match=r"^password: must have 12 to 200 characters$"):
        users.add(db, admin, UserDraft("one", Role.AUDITOR), "short")
    with pytest.raises(NameTaken, match=r"^a user named ada already exists$"):
        users.add(db, admin, UserDraft("ada", Role.AUDITOR))


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.REVIEWER])
def test_others_look_and_change_nothing(db: HashDB, admin: Actor, role: Role) -> None:
    other = users.add(db, admin, UserDraft("other", role), PASSWORD).user.actor
    assert users.get(db, other, 1) == users.named(db, other, "ada")
    before = db.store.head()
    for attempt in (
        lambda: users.add(db, other, UserDraft("x", Role.ADMIN)),
        lambda: users.change(db, other, 2, UserChange(Role.ADMIN)),
        lambda: users.reset(db, other, 1),
    ):
        with pytest.raises(ScopeMissing):
            attempt()
    assert db.store.head() == before


def test_who_is_not_there_is_told(db: HashDB, admin: Actor) -> None:
    for attempt in (lambda: users.change(db, admin, 9, UserChange()), lambda: users.reset(db, admin, 9)):
        with pytest.raises(NotFound):
            attempt()


def test_a_change_is_told_and_no_change_is_not(db: HashDB, admin: Actor) -> None:
    before = db.store.head().seq
    users.change(db, admin, 1, UserChange(role=Role.ADMIN, status=UserStatus.ACTIVE))
    assert db.store.head().seq == before
    for given_up in (UserChange(role=Role.AUDITOR), UserChange(status=UserStatus.DISABLED)):
        with pytest.raises(InvalidInput, match="only another admin"):
            users.change(db, admin, 1, given_up)
    users.change(db, COMMAND_LINE, 1, UserChange(role=Role.AUDITOR, status=UserStatus.DISABLED))
    with db.store.read() as tx:
        told = [(event.action, dict(event.details)) for event in tx.audit.since(before, 9)]
    assert told == [("user.amended", {"fields": ["role"], "role": "auditor"}), ("user.disabled", {})]


def test_whoever_has_the_password_only_changes_no_password(db: HashDB, admin: Actor) -> None:
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session
    with pytest.raises(InvalidInput, match=r"^present: is not your password$"):
        users.choose_password(db, session, "wrong", "another long password")
    with pytest.raises(InvalidInput, match=r"^present: "):
        users.remove_factor(db, session, "wrong")
    assert "users.choose_password" in CHANGES
