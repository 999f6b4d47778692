"""Users of the console as forms and the command line spell them."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from hashdb.domain.users import AddedUser, Role, User, UserChange, UserDraft, UserStatus
from hashdb.wire import Answered, Moment, Name, Sent

_UNSENT: Any = Field(default_factory=lambda: None)


class UserIn(Sent):
    """A user to add."""

    name: Name
    role: Role

    @classmethod
    def of(cls, draft: UserDraft) -> UserIn:
        """The wire form of a draft; `value` is the inverse."""
        return cls.model_construct(name=draft.name, role=draft.role)

    def value(self) -> UserDraft:
        """The draft that this spells."""
        return UserDraft(self.name, self.role)


class UserChangeIn(Sent):
    """A change to a user: the fields to change."""

    role: Role = _UNSENT
    status: UserStatus = _UNSENT

    def value(self) -> UserChange:
        """The change that this spells; what was not sent stays as it is."""
        return UserChange(self.role, self.status)


class UserOut(Answered):
    """A user."""

    id: int
    name: str
    role: Role
    status: UserStatus
    has_password: bool
    second_factor: bool
    created_at: Moment
    password: str | None = Field(None, description="Just made, shown this once.")

    @classmethod
    def of(cls, user: User) -> UserOut:
        """The wire form of a user."""
        return cls.model_construct(**_fields(user))

    @classmethod
    def added(cls, added: AddedUser) -> UserOut:
        """The wire form of a user with the password that was made."""
        made = {"password": added.password} if added.password else {}
        return cls.model_construct(None, **_fields(added.user), **made)


class UsersOut(Answered):
    """All users."""

    users: list[UserOut]


def _fields(user: User) -> dict[str, Any]:
    return {name: getattr(user, name) for name in UserOut.model_fields if name != "password"}
