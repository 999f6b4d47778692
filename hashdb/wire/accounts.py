"""Models of members, keys and budgets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Self

from annotated_types import Ge, Le, Len
from pydantic import Field, StringConstraints

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
from hashdb.domain.rules import Rules
from hashdb.domain.seeds import SEED_BYTES, Seed
from hashdb.domain.signals import DIGESTS, OF_TEXTS, Algorithm
from hashdb.domain.signatures import Kind
from hashdb.domain.vocabulary import Vocabulary
from hashdb.wire import UNSENT, Line, Moment, Name, Next, PageModel, RequestModel, ResponseModel
from hashdb.wire.conversions import OMIT_DEFAULT, ChangeMirror, FromDomain, MappedTo, Mirror


class LimitsIn(RequestModel, Mirror[MemberLimits]):
    """What a member may use."""

    contributions_per_day: Annotated[
        Annotated[int, Ge(0), Le(2**31 - 1)] | None,
        Field(description="The most contributions in a day (UTC); null is no limit."),
    ] = None
    budget_factor: Annotated[
        int, Ge(1), Le(1_000), Field(description="The budgets of its keys are the default times this number.")
    ] = 1


class LimitsOut(ResponseModel, Mirror[MemberLimits]):
    """What a member may use."""

    contributions_per_day: int | None = Field(description="The most contributions in a day (UTC); null is no limit.")
    budget_factor: Annotated[int, OMIT_DEFAULT] = Field(
        1, description="The budgets of its keys are the default times this number."
    )


class BudgetOut(ResponseModel, FromDomain[BudgetLeft]):
    """A budget of a key: an amount that it may use in a period."""

    limit: int = Field(description="The amount that the key may use in the period.")
    seconds: Annotated[int, MappedTo("budget.seconds")] = Field(description="The length of the period, in seconds.")
    left: int = Field(description="What is left, as far as the worker that responds knows.")
    renews_at: Moment = Field(description="When the whole amount is available again.")


class OwnLimitsOut(LimitsOut):
    """What your member and your key may use."""

    budgets: dict[Budget, BudgetOut] = Field({}, description="The budgets of the key, by what they count.")


class MemberIn(RequestModel, Mirror[MemberDraft]):
    """A member to add."""

    name: Name = Field(description="The name of the organisation; no other member may have it.")
    kind: MemberKind = Field(description="The kind of the organisation.")
    contact: Line = Field("", description="Whom to write to. Visible to administrators and auditors.")
    limits: LimitsIn = Field(LimitsIn(), description="What the member may use.")


class MemberChangeIn(RequestModel, ChangeMirror[MemberChange]):
    """A change of a member: only the fields to change."""

    name: Annotated[Name, Field(description="The new name; no other member may have it.")] = UNSENT
    kind: Annotated[MemberKind, Field(description="The kind of the organisation.")] = UNSENT
    contact: Annotated[Line, Field(description="Whom to write to. Visible to administrators and auditors.")] = UNSENT
    limits: LimitsIn = Field(LimitsIn(), description="The limits to change; other limits stay. Null is no limit.")
    status: Annotated[MemberStatus, Field(description="`suspended` suspends the member, `active` reinstates it.")] = (
        UNSENT
    )

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

    id: int = Field(description="The id of the member.")
    name: str = Field(description="The name of the organisation.")
    kind: MemberKind = Field(description="The kind of the organisation.")
    status: MemberStatus = Field(description="Whether the member may take part.")
    contact: str = Field(description="Whom to write to.")
    limits: LimitsOut = Field(description="What the member may use.")
    created_at: Moment = Field(description="When the member was added.")


class MembersOut(PageModel):
    """A page of members."""

    members: list[MemberOut] = Field(description="The members of this page.")
    next: Next


class KeyIn(RequestModel, Mirror[KeyDraft]):
    """A key to issue."""

    scopes: Annotated[list[Scope], Len(1, len(Scope))] = Field(description="What the key may be used for.")
    expires_at: Moment | None = Field(None, description="When the key stops working; null is never.")
    hides_distances: bool = Field(
        False,
        description="Whether matches for this key carry no distances. Not possible with `feed`, `audit` or `admin`.",
    )


class KeyOut(ResponseModel, FromDomain[Key]):
    """A key, without its secret."""

    id: str = Field(description="The id of the key.")
    scopes: list[Scope] = Field(description="What the key may be used for.")
    created_at: Moment = Field(description="When the key was issued.")
    expires_at: Moment | None = Field(description="When the key stops working; null is never.")
    revoked_at: Moment | None = Field(description="When the key was revoked; null if it was not.")
    hides_distances: Annotated[bool, OMIT_DEFAULT] = Field(
        False, description="Whether matches for this key carry no distances."
    )


class KeysOut(PageModel):
    """A page of keys."""

    keys: list[KeyOut] = Field(description="The keys of this page.")
    next: Next


class IssuedKeyOut(KeyOut):
    """A new key; only this response has the secret."""

    secret: str = Field(description="The secret, `hdb_…`. The service does not store it.")

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
    """The key of this request."""

    id: str = Field(description="The id of the key.")
    scopes: list[Scope] = Field(description="What the key may be used for.")
    hides_distances: Annotated[bool, OMIT_DEFAULT] = Field(
        False, description="Whether matches for this key carry no distances."
    )


class AlgorithmOut(ResponseModel):
    """An algorithm that this service accepts."""

    bits: int = Field(description="The length of a value, in bits.")
    radius: int = Field(description="The default radius: how many bits may differ.")
    max_radius: int = Field(description="The largest radius that a query may name.")


class SeedOut(ResponseModel, Mirror[Seed]):
    """A seed of secret views. Keep it secret."""

    id: int = Field(description="The id of the seed, which is in the names of its transforms.")
    seed: Annotated[str, StringConstraints(pattern=f"^[0-9a-f]{{{2 * SEED_BYTES}}}$"), MappedTo("octets")] = Field(
        repr=False, description="The seed, 64 hex digits."
    )


class MeOut(ResponseModel):
    """Your member and key, and what this service accepts."""

    member: MemberOut = Field(description="Your member.")
    key: OwnKey = Field(description="The key of this request.")
    limits: OwnLimitsOut = Field(description="What your member and your key may use.")
    algorithms: dict[Algorithm, AlgorithmOut] = Field(
        description="The algorithms of pictures that this service accepts."
    )
    labels: dict[str, list[str]] = Field(
        description="The vocabulary: the codes of each kind, such as `behaviour` or `reason`."
    )
    version: str = Field(description="The version of hashdb.")
    secret_views: list[SeedOut] = Field(
        [], description="The seeds of secret views in use, newest first. Only for a key with `contribute` or `match`."
    )
    signatures: list[str] = Field(
        [], description="The kinds of signatures that this service compares. Absent from a service of version 0.1.0."
    )
    texts: dict[str, AlgorithmOut] = Field(
        {},
        description="The algorithms of texts that this service accepts, in frames that are windows of words. Absent "
        "from a service that accepts neither texts nor documents.",
    )
    digests: list[str] = Field(
        [],
        description="The digests that this service accepts, of files, and `url` of addresses. Absent from a service "
        "that does not accept addresses.",
    )

    @classmethod
    def from_domain(
        cls,
        member: Member,
        key: Key,
        rules: Rules,
        budgets: Iterable[BudgetLeft],
        version: str,
        seeds: Iterable[Seed],
    ) -> Self:
        """The answer for a member's key under these rules, with what is left of its budgets."""
        left = {budget.budget: BudgetOut.from_domain(budget) for budget in budgets}
        secret_views = list(map(SeedOut.from_domain, seeds))
        vocabulary = rules.vocabulary
        return cls.build(
            member=MemberOut.from_domain(member),
            key=OwnKey.from_domain(key),
            limits=OwnLimitsOut.build(**OwnLimitsOut.fields_from(member.limits), budgets=left),
            algorithms={algorithm: _algorithm(algorithm, rules) for algorithm in rules.algorithms},
            labels={kind: list(getattr(vocabulary, kind)) for kind in vocabulary.kinds()},
            version=version,
            signatures=list(map(str, Kind)),
            texts={str(algorithm): _algorithm(algorithm, rules) for algorithm in OF_TEXTS},
            digests=list(map(str, DIGESTS)),
            **({"secret_views": secret_views} if secret_views else {}),
        )

    @property
    def seeds(self) -> tuple[Seed, ...]:
        """The seeds of secret views in use, newest first; none from a service of version 0.1.0."""
        return tuple(seed.to_domain() for seed in self.secret_views)

    @property
    def takes_texts(self) -> bool:
        """Whether the service takes the pages and the words of documents and texts."""
        return bool(self.texts)

    @property
    def takes_addresses(self) -> bool:
        """Whether the service takes digests of addresses."""
        return Algorithm.URL in self.digests

    def rules(self) -> Rules:
        """The rules of this service that the response has."""
        codes = {kind: tuple(self.labels.get(kind, ())) for kind in Vocabulary.kinds()}
        radii = {name: algorithm.max_radius for name, algorithm in self.algorithms.items()}
        radii |= {name: self.texts[name].max_radius for name in OF_TEXTS if name in self.texts}
        return Rules(tuple(self.algorithms), Vocabulary(**codes), radii)


def _algorithm(algorithm: Algorithm, rules: Rules) -> AlgorithmOut:
    return AlgorithmOut.build(
        bits=algorithm.bits,
        radius=algorithm.radius,
        max_radius=max(algorithm.radius, rules.max_radius.get(algorithm, 0)),
    )
