"""Users, sessions and passwords: the people of the console, their roles, and the checks of a sign-in."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from hashdb.domain.accounts.members import Actor, Scope

PASSWORD_LENGTHS = range(12, 201)


class Role(StrEnum):
    """What a user does in the console."""

    ADMIN = "admin"
    REVIEWER = "reviewer"
    AUDITOR = "auditor"

    @property
    def scopes(self) -> frozenset[Scope]:
        """The scopes of the role: an auditor reads everything and changes nothing."""
        return _SCOPES[self]


_SCOPES = {
    # An admin reviews and audits, too: the scope `admin` includes both.
    Role.ADMIN: frozenset({Scope.ADMIN}),
    Role.REVIEWER: frozenset({Scope.REVIEW, Scope.AUDIT}),
    Role.AUDITOR: frozenset({Scope.AUDIT}),
}


class SignIn(StrEnum):
    """The only way in which a user signs in; the other way is rejected."""

    PASSWORD = "password"
    PROVIDER = "provider"


class UserStatus(StrEnum):
    """Whether a user can sign in."""

    ACTIVE = "active"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class UserDraft:
    """What a client sends to add a user."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class UserChange:
    """What a client sends to change a user; None leaves a field unchanged."""

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
    """Another person set the password, so the user must change it at the first sign-in."""
    second_factor: bool
    created_at: datetime

    @property
    def sign_in(self) -> SignIn:
        """How the user signs in."""
        return SignIn.PASSWORD if self.has_password else SignIn.PROVIDER

    @property
    def actor(self) -> Actor:
        """The actor for what this user does."""
        return Actor(f"user:{self.id}", self.role.scopes)


@dataclass(frozen=True, slots=True)
class ProviderIdentity:
    """The identity of a user at a provider of OpenID Connect. A subject is unique only within its issuer."""

    issuer: str | None
    """None where version 0.1.0 stored the subject without its issuer."""
    subject: str

    def is_same(self, other: ProviderIdentity) -> bool:
        """Whether both are the same account at the same provider; a missing issuer equals any."""
        return self.subject == other.subject and (None in (self.issuer, other.issuer) or self.issuer == other.issuer)


@dataclass(frozen=True, slots=True)
class AddedUser:
    """A user with a new password, which is shown only once (None: the user chose it, or has no password)."""

    user: User
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the service checks at a sign-in; never shown."""

    password: str | None = field(repr=False)
    """Argon2's encoding of salt, costs and digest."""
    secret: str | None = field(repr=False)
    """The secret of the second factor (RFC 6238), in base32."""
    step: int
    """The number of the 30-second step (since 1970) whose code was used last: no code is accepted twice."""
    recovery: tuple[str, ...] = field(repr=False)
    """Digests of the unused recovery codes, in hex."""


def normalized_password(password: str) -> str:
    """The password in the Unicode form that is compared, the same for every keyboard (NIST SP 800-63B)."""
    return unicodedata.normalize("NFKC", password)


def password_fault(password: str, name: str) -> str | None:
    """Why a user of this name may not choose a password, or None. Length counts most (NIST SP 800-63B)."""
    text = normalized_password(password)
    if len(text) not in PASSWORD_LENGTHS:
        return f"must have {PASSWORD_LENGTHS.start} to {PASSWORD_LENGTHS.stop - 1} characters"
    if len(set(text)) < 5:
        return "must have more different characters"
    if len(name) > 2 and name.casefold() in text.casefold():
        return "must not contain the user's name"
    return None


SECOND_FACTOR_TIMEOUT = timedelta(minutes=5)
"""The time that a user has to enter the second factor."""
LONGEST_SESSION = timedelta(days=30)
"""The longest lifetime of a session, whatever the operator sets."""
_FREE_TRIES = {"user": 5, "address": 20}
"""Failed tries without a delay, by `FailedTries.kind`."""
_FIRST_DELAY = timedelta(seconds=30)
_LONGEST_DELAY = timedelta(minutes=15)
FORGOTTEN_AFTER = timedelta(days=1)
"""How long failed tries count."""


@dataclass(frozen=True, slots=True)
class SessionLifetime:
    """How long a session lasts without a request (`idle`), and in all (`whole`)."""

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
    """False until the user has entered the second factor."""
    tag: str
    """The name of the session in events."""

    def valid(self, now: datetime, lifetime: SessionLifetime) -> bool:
        """Whether the session may be used at `now`."""
        if not self.complete:
            return now < self.created_at + SECOND_FACTOR_TIMEOUT
        return now < self.seen_at + lifetime.idle and now < self.created_at + lifetime.whole


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A new session, with the secret that the browser keeps."""

    session: Session
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class FailedTries:
    """How often a sign-in failed recently for a `user` or from an `address` (`kind`), and when it last did."""

    kind: str
    count: int
    last: datetime

    def wait(self, now: datetime) -> timedelta:
        """The time until the next try; each failure past the free tries doubles it."""
        beyond = self.count - _FREE_TRIES[self.kind]
        if beyond < 0:
            return timedelta(0)
        delay = min(_FIRST_DELAY * int(2 ** min(beyond, 10)), _LONGEST_DELAY)
        return max(timedelta(0), self.last + delay - now)
