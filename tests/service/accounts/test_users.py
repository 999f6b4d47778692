"""Users: only admins add and change them, and each change is logged."""

from __future__ import annotations

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, Actor
from hashdb.domain.accounts.users import Role, UserChange, UserDraft, UserStatus
from hashdb.errors import InvalidInput, NameTaken, NotFound, ScopeMissing
from hashdb.service import HashDB
from hashdb.service.accounts import sessions, users
from tests.service.concurrently import run_concurrently
from tests.service.ledger.test_every_event import CHANGES

PASSWORD = "correct horse battery staple"


@pytest.fixture
def admin(db: HashDB) -> Actor:
    """An admin of the console."""
    return users.add(db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), PASSWORD).user.actor


def test_a_user_is_added_with_a_generated_a_chosen_or_no_password(db: HashDB, admin: Actor) -> None:
    generated = users.add(db, admin, UserDraft("one", Role.AUDITOR))
    assert (generated.user.provisional, generated.user.has_password, bool(generated.password)) == (True, True, True)
    assert generated.password and generated.password not in repr(generated)
    chosen = users.add(db, admin, UserDraft("two", Role.AUDITOR), PASSWORD)
    assert (chosen.user.provisional, chosen.password) == (False, None)
    provided = users.add(db, admin, UserDraft("three", Role.AUDITOR), local=False)
    assert (provided.user.has_password, provided.password) == (False, None)
    assert [user.name for user in users.page(db, admin, 0, 9)] == ["ada", "one", "two", "three"]


def test_a_short_password_and_a_taken_name_are_rejected(db: HashDB, admin: Actor) -> None:
    with pytest.raises(InvalidInput, match=r"^password: must have 12 to 200 characters$"):
        users.add(db, admin, UserDraft("one", Role.AUDITOR), "short")
    with pytest.raises(NameTaken, match=r"^a user named ada already exists$"):
        users.add(db, admin, UserDraft("ada", Role.AUDITOR))


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.REVIEWER])
def test_auditors_and_reviewers_can_read_users_but_not_change_them(db: HashDB, admin: Actor, role: Role) -> None:
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


def test_two_admins_that_change_each_other_leave_one_admin(db: HashDB, admin: Actor) -> None:
    other = users.add(db, admin, UserDraft("other", Role.ADMIN), PASSWORD).user

    def change(actor: Actor, user: int) -> str:
        try:
            return str(users.change(db, actor, user, UserChange(Role.AUDITOR)).role)
        except ScopeMissing:
            return "refused"

    # Both were admins when their requests began.
    outcomes = run_concurrently([lambda: change(admin, other.id), lambda: change(other.actor, 1)])
    assert sorted(outcomes) == ["auditor", "refused"]
    roles = [str(user.role) for user in users.page(db, COMMAND_LINE, 0, 9)]
    assert sorted(roles) == ["admin", "auditor"]


def test_a_missing_user_is_reported(db: HashDB, admin: Actor) -> None:
    for attempt in (lambda: users.change(db, admin, 9, UserChange()), lambda: users.reset(db, admin, 9)):
        with pytest.raises(NotFound):
            attempt()


def test_only_real_changes_of_a_user_are_logged(db: HashDB, admin: Actor) -> None:
    before = db.store.head().seq
    users.change(db, admin, 1, UserChange(role=Role.ADMIN, status=UserStatus.ACTIVE))
    assert db.store.head().seq == before
    for change in (UserChange(role=Role.AUDITOR), UserChange(status=UserStatus.DISABLED)):
        with pytest.raises(InvalidInput, match="only another admin"):
            users.change(db, admin, 1, change)
    users.change(db, COMMAND_LINE, 1, UserChange(role=Role.AUDITOR, status=UserStatus.DISABLED))
    with db.store.read() as tx:
        logged = [(event.action, dict(event.details)) for event in tx.audit.since(before, 9)]
    assert logged == [("user.amended", {"fields": ["role"], "role": "auditor"}), ("user.disabled", {})]


def test_changes_of_credentials_need_the_current_password(db: HashDB, admin: Actor) -> None:
    session = sessions.sign_in(db, "ada", PASSWORD, "a").session
    with pytest.raises(InvalidInput, match=r"^present: is wrong$"):
        users.choose_password(db, session, "wrong", "another long password")
    with pytest.raises(InvalidInput, match=r"^present: "):
        users.remove_factor(db, session, "wrong")
    assert "users.choose_password" in CHANGES
