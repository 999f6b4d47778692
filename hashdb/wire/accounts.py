"""Models of members, keys, budgets and users."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

from annotated_types import Ge, Le, Len
from pydantic import Field

from hashdb.domain.accounts.budgets import Budget, BudgetLeft
from hashdb.domain.accounts.members import (
    IssuedKey,
    Key,
    KeyDraft,
    Member,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberLimits,
    MemberStatus,
    Scope,
)
from hashdb.domain.accounts.users import AddedUser, Role, User, UserChange, UserDraft, UserStatus
from hashdb.domain.rules import Rules, Vocabulary
from hashdb.domain.signals import Algorithm
from hashdb.wire import UNSENT, Line, Moment, Name, PageModel, RequestModel, ResponseModel
from hashdb.wire.conversions import SPARSE, ChangeMirror, FromDomain, MappedTo, Mirror


class LimitsIn(RequestModel, Mirror[MemberLimits]):
    """What a member may use."""

    contributions_per_day: Annotated[int, Ge(0), Le(2**31 - 1)] | None = None
    budget_factor: Annotated[
        int, Ge(1), Le(1_000), Field(description="By how much the budgets of its keys are wider than everybody's.")
    ] = 1


class LimitsOut(ResponseModel, Mirror[MemberLimits]):
    """What a member may use; null is no limit of contributions."""

    contributions_per_day: int | None
    budget_factor: Annotated[int, SPARSE] = Field(
        1, description="By how much the budgets of its keys are wider than everybody's."
    )


class BudgetOut(ResponseModel, FromDomain[BudgetLeft]):
    """A budget of the key: what it may use within so many seconds."""

    limit: int
    seconds: Annotated[int, MappedTo("budget.seconds")]
    left: int = Field(description="What is left of it, as far as the worker that answers knows.")
    renews_at: Moment


class OwnLimitsOut(LimitsOut):
    """What the member may use, and its key."""

    budgets: dict[Budget, BudgetOut] = Field({}, description="By what is counted.")


class MemberIn(RequestModel, Mirror[MemberDraft]):
    """A member to add."""

    name: Name
    kind: MemberKind
    contact: Line = ""
    limits: LimitsIn = LimitsIn()


class MemberChangeIn(RequestModel, ChangeMirror[MemberChange]):
    """A change to a member: the fields to change."""

    name: Name = UNSENT
    kind: MemberKind = UNSENT
    contact: Line = UNSENT
    limits: LimitsIn = Field(LimitsIn(), description="A limit that is not sent stays as it is; null is no limit.")
    status: MemberStatus = UNSENT

    @classmethod
    def fields_from(cls, value: MemberChange) -> dict[str, Any]:
        """The fields of the model that change; `limits` has only the limits that change."""
        limits: dict[str, int | None] = {}
        if value.limits is not None:
            limits["contributions_per_day"] = value.limits.contributions_per_day
        if value.budget_factor is not None:
            limits["budget_factor"] = value.budget_factor
        return super().fields_from(value) | ({"limits": LimitsIn.build(**limits)} if limits else {})

    def arguments(self) -> dict[str, Any]:
        """The arguments of the domain class that change."""
        sent = self.limits.model_fields_set
        limits = self.limits.to_domain() if "contributions_per_day" in sent else None
        factor = self.limits.budget_factor if "budget_factor" in sent else None
        return super().arguments() | {"limits": limits, "budget_factor": factor}


class MemberOut(ResponseModel, Mirror[Member]):
    """A member."""

    id: int
    name: str
    kind: MemberKind
    status: MemberStatus
    contact: str
    limits: LimitsOut
    created_at: Moment


class MembersOut(PageModel):
    """A page of members."""

    members: list[MemberOut]
    next: int | None


class KeyIn(RequestModel, Mirror[KeyDraft]):
    """A key to issue."""

    scopes: Annotated[list[Scope], Len(1, len(Scope))]
    expires_at: Moment | None = Field(None, description="When it stops opening anything.")
    hides_distances: bool = Field(False, description="Whether matches are answered to it without how close they are.")


class KeyOut(ResponseModel, FromDomain[Key]):
    """A key, without its secret."""

    id: str
    scopes: list[Scope]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    hides_distances: Annotated[bool, SPARSE] = False


class KeysOut(PageModel):
    """A page of keys."""

    keys: list[KeyOut]
    next: int | None


class IssuedKeyOut(KeyOut):
    """A new key; only this response has the secret."""

    secret: str

    @classmethod
    def from_issued(cls, issued: IssuedKey) -> Self:
        """The key with its secret."""
        return cls.build(**cls.fields_from(issued.key), secret=issued.secret)


class OwnedKeyOut(KeyOut):
    """A key with its member, as the command line prints it."""

    member: MemberOut

    @classmethod
    def from_owned(cls, member: Member, key: Key) -> Self:
        """The key of a member."""
        return cls.build(**KeyOut.fields_from(key), member=MemberOut.from_domain(member))


class OwnedKeysOut(ResponseModel):
    """The keys of one member, or of all."""

    keys: list[OwnedKeyOut]
    next: None


class MemberWithKeyOut(ResponseModel):
    """A new member with its first key, as the command line prints them."""

    member: MemberOut
    key: IssuedKeyOut


class OwnKey(ResponseModel, FromDomain[Key]):
    """The key of a request."""

    id: str
    scopes: list[Scope]
    hides_distances: Annotated[bool, SPARSE] = Field(
        False, description="Whether matches are answered to it without how close they are."
    )


class AlgorithmOut(ResponseModel):
    """An algorithm that this service accepts."""

    bits: int
    radius: int = Field(description="How many bits may differ, where a query does not say.")
    max_radius: int = Field(description="The widest radius that a query may ask for.")


class MeOut(ResponseModel):
    """Who you are here, and what this service takes."""

    member: MemberOut
    key: OwnKey
    limits: OwnLimitsOut
    algorithms: dict[Algorithm, AlgorithmOut]
    labels: dict[str, list[str]]
    version: str

    @classmethod
    def from_domain(cls, member: Member, key: Key, rules: Rules, budgets: Iterable[BudgetLeft], version: str) -> Self:
        """The answer for a member's key under these rules, with what is left of its budgets."""
        left = {budget.budget: BudgetOut.from_domain(budget) for budget in budgets}
        vocabulary = rules.vocabulary
        return cls.build(
            member=MemberOut.from_domain(member),
            key=OwnKey.from_domain(key),
            limits=OwnLimitsOut.build(**OwnLimitsOut.fields_from(member.limits), budgets=left),
            algorithms={algorithm: _algorithm(algorithm, rules) for algorithm in rules.algorithms},
            labels={kind: list(getattr(vocabulary, kind)) for kind in vocabulary.kinds()},
            version=version,
        )

    def rules(self) -> Rules:
        """The rules of this service, as far as they are in the response."""
        codes = {kind: tuple(self.labels.get(kind, ())) for kind in Vocabulary.kinds()}
        radii = {name: algorithm.max_radius for name, algorithm in self.algorithms.items()}
        return Rules(tuple(self.algorithms), Vocabulary(**codes), radii)


def _algorithm(algorithm: Algorithm, rules: Rules) -> AlgorithmOut:
    return AlgorithmOut.build(
        bits=algorithm.bits,
        radius=algorithm.radius,
        max_radius=max(algorithm.radius, rules.max_radius.get(algorithm, 0)),
    )


class UserIn(RequestModel, Mirror[UserDraft]):
    """A user to add."""

    name: Name
    role: Role


class UserChangeIn(RequestModel, ChangeMirror[UserChange]):
    """A change to a user: the fields to change."""

    role: Role = UNSENT
    status: UserStatus = UNSENT


class UserOut(ResponseModel, FromDomain[User]):
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
    def from_added(cls, added: AddedUser) -> Self:
        """The user with its new password, if it has one."""
        password = {"password": added.password} if added.password else {}
        return cls.build(**cls.fields_from(added.user), **password)


class UsersOut(ResponseModel):
    """All users."""

    users: list[UserOut]
