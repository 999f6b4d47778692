"""Users: the people of the console, the roles that they have, and what passwords they may choose."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.accounts.members import Actor, Scope

PASSWORD_LENGTHS = range(12, 201)


class Role(StrEnum):
    """What a user is here for."""

    ADMIN = "admin"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"

    @property
    def scopes(self) -> frozenset[Scope]:
        """What it may do, in the words of keys: an auditor reads everything and changes nothing."""
        return _SCOPES[self]


_SCOPES = {
    Role.ADMIN: frozenset({Scope.ADMIN}),
    Role.REVIEWER: frozenset({Scope.REVIEW, Scope.AUDIT}),
    Role.AUDITOR: frozenset({Scope.AUDIT}),
}


class SignIn(StrEnum):
    """The one way in which a user signs in; the other way does not open the account."""

    PASSWORD = "password"
    PROVIDER = "provider"


class UserStatus(StrEnum):
    """Whether a user can sign in."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class UserDraft:
    """What is sent to add a user."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is sent to change a user; None leaves a field as it is."""

    role: Role | None = None
    status: UserStatus | None = None


@dataclass(frozen=True, slots=True)
class User:
    """A person who uses the console."""

    id: int
    name: str
    role: Role
    status: UserStatus
    has_password: bool
    provisional: bool
    """The password was chosen by another, and is to be changed at the first sign-in."""
    second_factor: bool
    created_at: datetime

    @property
    def sign_in(self) -> SignIn:
        """How the user signs in."""
        return SignIn.PASSWORD if self.has_password else SignIn.PROVIDER

    @property
    def actor(self) -> Actor:
        """Who acts when this user does."""
        return Actor(f"user:{self.id}", self.role.scopes)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a user is at a provider of OpenID Connect. A subject is unique within its issuer only."""

    issuer: str | None
    """None where version 0.1.0 stored the subject without its issuer."""
    subject: str

    def is_same(self, other: Identity) -> bool:
        """Whether both are one account at one provider; a missing issuer can be any."""
        return self.subject == other.subject and (None in (self.issuer, other.issuer) or self.issuer == other.issuer)


@dataclass(frozen=True, slots=True)
class AddedUser:
    """A user just added or given a new password, which is shown this once (None: it was chosen, or there is none)."""

    user: User
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a user is recognised by; never shown."""

    password: str | None = field(repr=False)
    """Argon2's own text of salt, costs and digest."""
    secret: str | None = field(repr=False)
    """Of the second factor (RFC 6238), in base32."""
    step: int
    """The last of its thirty seconds whose code was used: no code is taken twice."""
    recovery: tuple[str, ...] = field(repr=False)
    """Digests of the recovery codes that are left, in hex."""


def normal(password: str) -> str:
    """The password as it is compared: however a keyboard composes its characters (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


def password_fault(password: str, name: str) -> str | None:
    """Why a password may not be chosen by the user of that name, or None. Length is what counts (NIST SP 800-63B)."""
    text = normal(password)
    if len(text) not in PASSWORD_LENGTHS:
        return f"takes {PASSWORD_LENGTHS.start} to {PASSWORD_LENGTHS.stop - 1} characters"
    if len(set(text)) < 5:
        return "has too few different characters"
    if len(name) > 2 and name.casefold() in text.casefold():
        return "may not hold the user's name"
    return None


HALF_OPEN = timedelta(minutes=5)
"""The time that a user has for the second factor."""
LONGEST = timedelta(days=30)
"""No session lasts longer, whatever is set."""
_FREE_TRIES = {"user": 5, "address": 20}
_FIRST_DELAY = timedelta(seconds=30)
_LONGEST_DELAY = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Lifetime:
    """How long a session lasts without a request, and in all."""

    idle: timedelta
    whole: timedelta


@dataclass(frozen=True, slots=True)
class Session:
    """A browser in which a user signed in."""

    id: int
    user: User
    created_at: datetime
    seen_at: datetime
    complete: bool
    """False while the second factor is outstanding."""
    tag: str
    """By which events name it."""

    def valid(self, now: datetime, lifetime: Lifetime) -> bool:
        """Whether it still opens anything at `now`."""
        if not self.complete:
            return now < self.created_at + HALF_OPEN
        return now < self.seen_at + lifetime.idle and now < self.created_at + lifetime.whole


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session just begun, with the secret that the browser keeps."""

    session: Session
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FailedTries:
    """How often signing in failed lately, for a user or from an address, and when last."""

    kind: str
    count: int
    last: datetime

    def wait(self, now: datetime) -> timedelta:
        """How long until the next try: twice as long after each failure past the first few."""
        beyond = self.count - _FREE_TRIES[self.kind]
        if beyond < 0:
            return timedelta(0)
        delay = min(_FIRST_DELAY * int(2 ** min(beyond, 10)), _LONGEST_DELAY)
        return max(timedelta(0), self.last + delay - now)
