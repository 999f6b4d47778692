"""Members, their keys, and the Actor: who is doing something, and whether they may."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from hashdb.errors import MemberSuspended, ScopeMissing


class MemberKind(StrEnum):
    """What an organisation that takes part is."""

    PLATFORM = "platform"
    TRUSTED_FLAGGER = "trusted_flagger"
    AUTHORITY = "authority"
    OPERATOR = "operator"


class MemberStatus(StrEnum):
    """Whether a member takes part now."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Scope(StrEnum):
    """What a key may be used for; `admin` includes `review` and `audit`."""

    CONTRIBUTE = "contribute"
    MATCH = "match"
    FEED = "feed"
    AUDIT = "audit"
    REVIEW = "review"
    ADMIN = "admin"

    # The hash of an Enum is Python code, and each request asks for a scope.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True)
class MemberLimits:
    """What a member may use; None is no limit of contributions."""

    contributions_per_day: int | None = None
    budget_factor: int = 1
    """By how much the budgets of its keys are wider than everybody's."""


@dataclass(frozen=True, slots=True)
class MemberDraft:
    """What is sent to add a member."""

    name: str
    kind: MemberKind
    contact: str = ""
    limits: MemberLimits = MemberLimits()


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What is sent to change a member; None leaves a field as it is."""

    name: str | None = None
    kind: MemberKind | None = None
    contact: str | None = None
    limits: MemberLimits | None = None
    status: MemberStatus | None = None
    budget_factor: int | None = None
    """Apart from `limits`, so that a client that does not know of it changes those without it."""


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation that takes part."""

    id: int
    name: str
    kind: MemberKind
    status: MemberStatus
    contact: str
    limits: MemberLimits
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Key:
    """A member's API credential, without its secret (only a digest of that is kept)."""

    id: int
    member: int
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    feed_read_on: date | None = None
    hides_distances: bool = False
    """Whether matches are answered to it without how close they are."""

    def valid(self, now: datetime) -> bool:
        """Whether the key opens anything at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """What is asked of a new key."""

    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    hides_distances: bool = False

    @property
    def distances_fault(self) -> str | None:
        """Why distances cannot be hidden of the key, or None: whoever is shown signals computes them."""
        shown = sorted(self.scopes & {Scope.FEED, Scope.AUDIT, Scope.ADMIN})
        if not self.hides_distances or not shown:
            return None
        return f"is of no use to a key with scope {shown[0]}, which is shown signals"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made, with its secret, which is shown this once."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Activity:
    """What a member did lately, and when it contributed last."""

    contributions: int
    opinions: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class SuspensionImpact:
    """What a member's suspension takes away, and its reinstatement gives back: as many as there are now."""

    contributions: int
    keys: int
    opinions: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a member by one of its keys; or a user of the console, or the system itself (`member` is None then)."""

    name: str
    scopes: frozenset[Scope]
    member: Member | None = None
    key: Key | None = None

    def __str__(self) -> str:
        """The form of the audit log, kind:id."""
        return self.name

    def has(self, scope: Scope) -> bool:
        """Whether `scope` is given, `admin` counting as `review` and `audit`."""
        return scope in self.scopes or (scope in (Scope.REVIEW, Scope.AUDIT) and Scope.ADMIN in self.scopes)

    @property
    def told_distances(self) -> bool:
        """Whether the actor is told how close a match is."""
        return self.key is None or not self.key.hides_distances

    def require(self, *any_of: Scope) -> None:
        """Raise MemberSuspended or ScopeMissing unless the actor takes part and has one of the scopes (if any)."""
        if self.member is not None and self.member.status is MemberStatus.SUSPENDED:
            raise MemberSuspended()
        for scope in any_of:
            if self.has(scope):
                return
        if any_of:
            raise ScopeMissing(" or ".join(any_of))

    def require_member(self, scope: Scope) -> Member:
        """The member that acts, having `scope`. Raises as `require`; neither a user nor the system is a member."""
        self.require(scope)
        if self.member is None:
            raise ScopeMissing(scope)
        return self.member


SYSTEM = Actor("system:hashdb", frozenset(Scope))
COMMAND_LINE = Actor("system:cli", frozenset(Scope))
