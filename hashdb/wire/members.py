"""Members and keys on the wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Annotated, Any

from annotated_types import Ge, Le, Len
from pydantic import Field

from hashdb.domain.budgets import Budget, Left
from hashdb.domain.labels import Vocabulary
from hashdb.domain.members import (
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
from hashdb.domain.rules import Rules
from hashdb.domain.signals import Algorithm
from hashdb.wire import Answered, Line, Moment, Name, Sent

_UNSENT: Any = Field(default_factory=lambda: None)
"""The default of a field of a change: it may be left out, and null is refused."""


class LimitsIn(Sent):
    """What a member may use."""

    contributions_per_day: Annotated[int, Ge(0), Le(2**31 - 1)] | None = None
    budget_factor: Annotated[
        int, Ge(1), Le(1_000), Field(description="By how much the budgets of its keys are wider than everybody's.")
    ] = 1

    @classmethod
    def of(cls, limits: MemberLimits) -> LimitsIn:
        """The wire form of limits; `value` is the inverse."""
        return cls.model_construct(**dataclasses.asdict(limits))

    def value(self) -> MemberLimits:
        """The limits that this spells."""
        return MemberLimits(self.contributions_per_day, self.budget_factor)


class LimitsOut(Answered):
    """What a member may use; null is no limit of contributions."""

    contributions_per_day: int | None
    budget_factor: int = Field(1, description="By how much the budgets of its keys are wider than everybody's.")


class BudgetOut(Answered):
    """A budget of the key: what it may use within so many seconds."""

    limit: int
    seconds: int
    left: int = Field(description="What is left of it, as far as the worker that answers knows.")
    renews_at: Moment


class OwnLimitsOut(LimitsOut):
    """What the member may use, and its key."""

    budgets: dict[Budget, BudgetOut] = Field({}, description="By what is counted.")


class MemberIn(Sent):
    """A member to add."""

    name: Name
    kind: MemberKind
    contact: Line = ""
    limits: LimitsIn = LimitsIn()

    @classmethod
    def of(cls, draft: MemberDraft) -> MemberIn:
        """The wire form of a draft; `value` is the inverse."""
        limits = LimitsIn.of(draft.limits)
        return cls.model_construct(name=draft.name, kind=draft.kind, contact=draft.contact, limits=limits)

    def value(self) -> MemberDraft:
        """The draft that this spells."""
        return MemberDraft(self.name, self.kind, self.contact, self.limits.value())


class MemberChangeIn(Sent):
    """A change to a member: the fields to change."""

    name: Name = _UNSENT
    kind: MemberKind = _UNSENT
    contact: Line = _UNSENT
    limits: LimitsIn = Field(LimitsIn(), description="A limit that is not sent stays as it is; null is no limit.")
    status: MemberStatus = _UNSENT

    @classmethod
    def of(cls, change: MemberChange) -> MemberChangeIn:
        """The wire form of a change; `value` is the inverse."""
        given: dict[str, Any] = (
            {} if change.limits is None else {"contributions_per_day": change.limits.contributions_per_day}
        )
        if change.budget_factor is not None:
            given["budget_factor"] = change.budget_factor
        limits = LimitsIn.model_construct(**given) if given else None
        asked = {name: getattr(change, name) for name in cls.model_fields if name != "limits"} | {"limits": limits}
        return cls.model_construct(**{name: value for name, value in asked.items() if value is not None})

    def value(self) -> MemberChange:
        """The change that this spells; what was not sent stays as it is."""
        sent = self.limits.model_fields_set
        limits = self.limits.value() if "contributions_per_day" in sent else None
        factor = self.limits.budget_factor if "budget_factor" in sent else None
        return MemberChange(self.name, self.kind, self.contact, limits, self.status, factor)


class MemberOut(Answered):
    """A member."""

    id: int
    name: str
    kind: MemberKind
    status: MemberStatus
    contact: str
    limits: LimitsOut
    created_at: Moment

    @classmethod
    def of(cls, member: Member) -> MemberOut:
        """The wire form of a member; `value` is the inverse."""
        return cls.model_construct(
            id=member.id,
            name=member.name,
            kind=member.kind,
            status=member.status,
            contact=member.contact,
            limits=LimitsOut.model_construct(**_limits(member.limits)),
            created_at=member.created_at,
        )

    def value(self) -> Member:
        """The member that this spells."""
        limits = MemberLimits(self.limits.contributions_per_day, self.limits.budget_factor)
        return Member(self.id, self.name, self.kind, self.status, self.contact, limits, self.created_at)


class MembersOut(Answered):
    """A page of members."""

    members: list[MemberOut]
    next: int | None


class KeyIn(Sent):
    """A key to issue."""

    scopes: Annotated[list[Scope], Len(1, len(Scope))]
    expires_at: Moment | None = Field(None, description="When it stops opening anything.")
    hides_distances: bool = Field(False, description="Whether matches are answered to it without how close they are.")

    @classmethod
    def of(cls, draft: KeyDraft) -> KeyIn:
        """The wire form of a draft; `value` is the inverse."""
        hides = draft.hides_distances
        return cls.model_construct(scopes=sorted(draft.scopes), expires_at=draft.expires_at, hides_distances=hides)

    def value(self) -> KeyDraft:
        """The draft that this spells."""
        return KeyDraft(frozenset(self.scopes), self.expires_at, self.hides_distances)


class KeyOut(Answered):
    """A key, without its secret."""

    id: str
    scopes: list[Scope]
    created_at: Moment
    expires_at: Moment | None
    revoked_at: Moment | None
    hides_distances: bool = False

    @classmethod
    def of(cls, key: Key) -> KeyOut:
        """The wire form of a key."""
        return cls.model_construct(**_key(key))


class KeysOut(Answered):
    """A page of keys."""

    keys: list[KeyOut]
    next: int | None


class IssuedKeyOut(KeyOut):
    """A key just made; the secret is shown this once."""

    secret: str

    @classmethod
    def issued(cls, issued: IssuedKey) -> IssuedKeyOut:
        """The wire form of a key with its secret."""
        return cls.model_construct(secret=issued.secret, **_key(issued.key))


class OwnedKeyOut(KeyOut):
    """What the command line prints of a key: whose it is, too."""

    member: MemberOut

    @classmethod
    def owned(cls, member: Member, key: Key) -> OwnedKeyOut:
        """The wire form of a member's key."""
        return cls.model_construct(member=MemberOut.of(member), **_key(key))


class OwnedKeysOut(Answered):
    """The keys of one member, or of all."""

    keys: list[OwnedKeyOut]
    next: None


class MemberWithKeyOut(Answered):
    """What the command line prints of a member added with its first key."""

    member: MemberOut
    key: IssuedKeyOut


class OwnKey(Answered):
    """The key of a request."""

    id: str
    scopes: list[Scope]
    hides_distances: bool = Field(False, description="Whether matches are answered to it without how close they are.")


class AlgorithmOut(Answered):
    """An algorithm that this service takes."""

    bits: int
    radius: int = Field(description="How many bits may differ, where a query does not say.")
    max_radius: int = Field(description="The widest radius that a query may ask for.")


class MeOut(Answered):
    """Who you are here, and what this service takes."""

    member: MemberOut
    key: OwnKey
    limits: OwnLimitsOut
    algorithms: dict[Algorithm, AlgorithmOut]
    labels: dict[str, list[str]]
    version: str

    @classmethod
    def of(cls, member: Member, key: Key, rules: Rules, budgets: Iterable[Left], version: str) -> MeOut:
        """The answer for a member's key under these rules, with what is left of its budgets."""
        vocabulary = rules.vocabulary
        return cls.model_construct(
            member=MemberOut.of(member),
            key=OwnKey.made(id=str(key.id), scopes=sorted(key.scopes), **_hides(key)),
            limits=OwnLimitsOut.model_construct(
                **_limits(member.limits), budgets={one.budget: _budget(one) for one in budgets}
            ),
            algorithms={algorithm: _algorithm(algorithm, rules) for algorithm in rules.algorithms},
            labels={kind: list(getattr(vocabulary, kind)) for kind in vocabulary.kinds()},
            version=version,
        )

    def rules(self) -> Rules:
        """What this service accepts, as far as it tells."""
        codes = {kind: tuple(self.labels.get(kind, ())) for kind in Vocabulary.kinds()}
        radii = {name: one.max_radius for name, one in self.algorithms.items()}
        return Rules(tuple(self.algorithms), Vocabulary(**codes), radii)


def _limits(limits: MemberLimits) -> dict[str, Any]:
    """The factor is said of members with wider budgets only: what it is not said of is as it always was."""
    factor = {} if limits.budget_factor == 1 else {"budget_factor": limits.budget_factor}
    return {"contributions_per_day": limits.contributions_per_day, **factor}


def _budget(left: Left) -> BudgetOut:
    return BudgetOut.model_construct(
        limit=left.limit, seconds=left.budget.seconds, left=left.left, renews_at=left.renews_at
    )


def _key(key: Key) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        **_hides(key),
    }


def _hides(key: Key) -> dict[str, bool]:
    """Said of such keys only: what it is not said of is as it always was."""
    return {"hides_distances": True} if key.hides_distances else {}


def _algorithm(algorithm: Algorithm, rules: Rules) -> AlgorithmOut:
    return AlgorithmOut.model_construct(
        bits=algorithm.bits,
        radius=algorithm.radius,
        max_radius=max(algorithm.radius, rules.max_radius.get(algorithm, 0)),
    )
