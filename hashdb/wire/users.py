"""Models of the users of the console."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints

from hashdb.domain.accounts.saved_views import ViewDraft
from hashdb.domain.accounts.users import AddedUser, Role, User, UserChange, UserDraft, UserStatus
from hashdb.wire import UNSENT, Moment, Name, RequestModel, ResponseModel, check_printable
from hashdb.wire.conversions import ChangeMirror, FromDomain, Mirror


class UserIn(RequestModel, Mirror[UserDraft]):
    """A user to add."""

    name: Name
    role: Role


class UserChangeIn(RequestModel, ChangeMirror[UserChange]):
    """A change to a user: the fields to change."""

    role: Role = UNSENT
    status: UserStatus = UNSENT


class ViewIn(RequestModel, Mirror[ViewDraft]):
    """A view of a list of the console to save."""

    page: Literal["benign", "cases", "contributions", "events", "incidents", "members"]
    name: Name
    query: Annotated[str, StringConstraints(max_length=4000), AfterValidator(check_printable)]
    shared: bool = False


class ViewChangeIn(RequestModel):
    """The name of a view, and whether all users see it."""

    name: Name
    shared: bool = False


class UserOut(ResponseModel, FromDomain[User]):
    """A user."""

    id: int
    name: str
    role: Role
    status: UserStatus
    has_password: bool
    second_factor: bool
    created_at: Moment
    password: str | None = Field(None, description="The new password; no other response has it.")

    @classmethod
    def from_added(cls, added: AddedUser) -> Self:
        """The user with its new password, if it has one."""
        password = {"password": added.password} if added.password else {}
        return cls.build(**cls.fields_from(added.user), **password)


class UsersOut(ResponseModel):
    """All users."""

    users: list[UserOut]
