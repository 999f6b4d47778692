"""Members, their keys, and actors: who acts, and whether they may."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

from hashdb.errors import MemberSuspended, ScopeMissing


class MemberKind(StrEnum):
    """The kind of an organisation that takes part.

    `platform`: it hosts content. `trusted_flagger`: it reports content to platforms. `authority`: a public authority.
    `operator`: it runs the service, or is another hashdb whose list this service follows, which has no kind of its own
    because version 0.1.0 rejects kinds that it does not know.
    """

    PLATFORM = "platform"
    TRUSTED_FLAGGER = "trusted_flagger"
    AUTHORITY = "authority"
    OPERATOR = "operator"


class MemberStatus(StrEnum):
    """Whether a member may take part: `active` if it may, `suspended` if not."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class Scope(StrEnum):
    """What a key may be used for.

    `contribute`: to contribute, and to change, withdraw and erase own contributions. `match`: to query for matches, and
    to give opinions. `feed`: to read the feed. `audit`: to read the log, reports and every contribution. `review`: to
    decide cases. `admin`: to manage members, keys, incidents and the benign list; includes `review` and `audit`.
    """

    CONTRIBUTE = "contribute"
    MATCH = "match"
    FEED = "feed"
    AUDIT = "audit"
    REVIEW = "review"
    ADMIN = "admin"

    # Each request checks a scope, and the hash of an Enum is Python code.
    __hash__ = str.__hash__


@dataclass(frozen=True, slots=True)
class MemberLimits:
    """What a member may use; None: no limit of contributions."""

    contributions_per_day: int | None = None
    budget_factor: int = 1
    """The factor by which the budgets of its keys are larger than the default."""


@dataclass(frozen=True, slots=True)
class MemberDraft:
    """What a client sends to add a member."""

    name: str
    kind: MemberKind
    contact: str = ""
    limits: MemberLimits = MemberLimits()


@dataclass(frozen=True, slots=True)
class MemberChange:
    """What a client sends to change a member; None leaves a field unchanged."""

    name: str | None = None
    kind: MemberKind | None = None
    contact: str | None = None
    limits: MemberLimits | None = None
    status: MemberStatus | None = None
    budget_factor: int | None = None
    """Separate from `limits`, so that clients which do not know this field can change the limits alone."""


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
    """The API key of a member, without its secret (only a digest of the secret is stored)."""

    id: int
    member: int
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    feed_read_on: date | None = None
    """The last day on which the key read the feed."""
    hides_distances: bool = False
    """Whether the service returns matches to this key without distances."""

    def valid(self, now: datetime) -> bool:
        """Whether the key may be used at `now`."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True)
class KeyDraft:
    """What a client sends to issue a key."""

    scopes: frozenset[Scope]
    expires_at: datetime | None = None
    hides_distances: bool = False

    @property
    def distances_fault(self) -> str | None:
        """Why distances cannot be hidden from the key, or None: a key that sees signals can compute them."""
        scopes = sorted(self.scopes & {Scope.FEED, Scope.AUDIT, Scope.ADMIN})
        if not self.hides_distances or not scopes:
            return None
        return f"does not work with the scope {scopes[0]}, which shows signals"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A new key with its secret, which is shown only once."""

    key: Key
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Activity:
    """How many contributions and opinions a member sent in the last 30 days, and when it last contributed."""

    contributions: int
    opinions: int
    last: datetime | None


@dataclass(frozen=True, slots=True)
class SuspensionImpact:
    """How many contributions that match, valid keys and opinions in force a suspension takes from a member now."""

    contributions: int
    keys: int
    opinions: int


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a member by one of its keys, a user of the console, or the system (both without `member`)."""

    name: str
    scopes: frozenset[Scope]
    member: Member | None = None
    key: Key | None = None

    def __str__(self) -> str:
        """The form of the log, kind:id."""
        return self.name

    def has(self, *any_of: Scope) -> bool:
        """Whether the actor has any of the scopes; `admin` includes `review` and `audit`."""
        for scope in any_of:
            if scope in self.scopes or (scope in (Scope.REVIEW, Scope.AUDIT) and Scope.ADMIN in self.scopes):
                return True
        return False

    def is_member(self, member: int | None) -> bool:
        """Whether the actor acts as the member with this id."""
        return self.member is not None and self.member.id == member

    @property
    def sees_distances(self) -> bool:
        """Whether the actor sees how close a match is."""
        return self.key is None or not self.key.hides_distances

    def require(self, *any_of: Scope) -> None:
        """Raise MemberSuspended for a suspended member, or ScopeMissing if the actor has none of the given scopes."""
        if self.member is not None and self.member.status is MemberStatus.SUSPENDED:
            raise MemberSuspended()
        if any_of and not self.has(*any_of):
            raise ScopeMissing(" or ".join(any_of))

    def require_not_suspended(self) -> None:
        """Raise MemberSuspended for a suspended member; no scope is required."""
        self.require()

    def require_member(self, scope: Scope) -> Member:
        """The member that acts, which must have `scope`. Raises as `require`, and ScopeMissing for other actors."""
        self.require(scope)
        if self.member is None:
            raise ScopeMissing(scope)
        return self.member


SYSTEM = Actor("system:hashdb", frozenset(Scope))
COMMAND_LINE = Actor("system:cli", frozenset(Scope))
