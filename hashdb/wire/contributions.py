"""Contributions on the wire."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from datetime import datetime
from typing import Annotated, Any

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo

from hashdb.domain.contributions import (
    UNSET,
    Amendment,
    Contribution,
    Draft,
    Media,
    Receipt,
    Recorded,
    Standing,
    Status,
)
from hashdb.domain.labels import incident_fault
from hashdb.domain.rules import (
    DRAFTS_A_REQUEST,
    SIGNALS_AN_ITEM,
    future_fault,
    past_fault,
    quality_fault,
)
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault
from hashdb.wire import (
    Answered,
    Line,
    Moment,
    Sent,
    SignalText,
    Terms,
    Token,
    read,
    refusal,
    refused,
    ruled,
)
from hashdb.wire.bounds import require_few
from hashdb.wire.hidden import QUALITY_NEEDED, hidden
from hashdb.wire.signals import FILES_A_REQUEST

CODES_A_LIST = 32


def _code(kind: str) -> AfterValidator:
    return ruled(lambda terms, code: terms.rules.vocabulary.fault(kind, code))


def _given(removed_at: datetime | None, info: ValidationInfo) -> datetime | None:
    if removed_at is None and not _imported(info):
        raise ValueError("is required")
    return removed_at


def _imported(info: ValidationInfo) -> bool:
    return isinstance(info.context, Terms) and info.context.imported


def _require_removed_at(schema: dict[str, Any]) -> None:
    """Tell in the document what holds of all that is not imported."""
    removed_at = schema["properties"]["removed_at"]
    schema["properties"]["removed_at"] = {
        "type": "string",
        "format": "date-time",
        **{name: removed_at[name] for name in ("title", "description")},
    }
    schema["required"] = sorted({*schema.get("required", ()), "removed_at"})


def _needed(quality: int | None, info: ValidationInfo) -> int | None:
    if _imported(info):
        return quality
    if quality is None and any(signal.algorithm is Algorithm.PDQ for signal in info.data.get("signals", ())):
        raise ValueError(QUALITY_NEEDED)
    return quality


_Contributed = Annotated[SignalText, ruled(lambda terms, signal: terms.rules.signal_fault(signal))]
_Past = Annotated[Moment, ruled(lambda terms, at: past_fault(at, terms.now))]
_Future = Annotated[Moment, ruled(lambda terms, at: future_fault(at, terms.now))]
_Labels = Annotated[list[Annotated[Token, _code("behaviour")]], Len(1, CODES_A_LIST)]
_Context = Annotated[list[Annotated[Token, _code("context")]], Len(0, CODES_A_LIST)]
_Basis = Annotated[Token, _code("basis")]
_Ground = Annotated[Token, _code("tco_ground")]
Reason = Annotated[Token, _code("reason")]
_Entity = Annotated[Token, ruled(lambda terms, entity: terms.rules.vocabulary.entity_fault(entity))]
_Incident = Annotated[Token, ruled(lambda terms, incident: incident_fault(incident))]
_Severity = Annotated[int, Ge(0), Le(4)]
_Quality = Annotated[int, Ge(0), Le(100), ruled(lambda terms, quality: quality_fault(quality))]


class MetadataIn(Sent):
    """What is said of a removed item, apart from its signals."""

    model_config = ConfigDict(json_schema_extra=_require_removed_at)

    labels: _Labels = Field(description="What the content does, from the vocabulary.")
    removed_at: Annotated[_Past | None, AfterValidator(_given)] = Field(
        None, validate_default=True, description="When it was removed."
    )
    media: Media = Media.IMAGE
    severity: _Severity | None = Field(None, description="0 to 4, higher is worse, 4 = crisis.")
    basis: _Basis | None = Field(None, description="Why it was removed, from the vocabulary.")
    tco_ground: _Ground | None = Field(None, description="Ground of Regulation (EU) 2021/784, Art. 2(7).")
    entity: _Entity | None = Field(None, description="List and slug, like `UN:example`.")
    incident: _Incident | None = Field(None, description="`CIP:<slug>` or `CI:<slug>`.")
    context: _Context = Field([], description="What a reviewer should know, from the vocabulary.")
    notified_at: _Past | None = Field(None, description="When the platform was told of it.")
    reference: Line | None = Field(None, description="Your own id; shown to you and to auditors only.")
    expires_at: _Future | None = Field(None, description="When it stops matching.")

    def draft(self, signals: Sequence[Signal], quality: int | None) -> Draft:
        """The draft of an item with these signals."""
        return Draft(
            signals=tuple(dict.fromkeys(signals)),
            labels=tuple(dict.fromkeys(self.labels)),
            removed_at=self.removed_at,
            quality=quality,
            media=self.media,
            severity=self.severity,
            basis=self.basis,
            tco_ground=self.tco_ground,
            entity=self.entity,
            incident=self.incident,
            context=tuple(dict.fromkeys(self.context)),
            notified_at=self.notified_at,
            reference=self.reference,
            expires_at=self.expires_at,
        )


class DraftIn(MetadataIn):
    """A removed item with its signals."""

    signals: Annotated[list[_Contributed], Len(1, SIGNALS_AN_ITEM)] = Field(
        description="Hashes of the item: several algorithms, and variants of it."
    )
    quality: Annotated[_Quality | None, AfterValidator(_needed)] = Field(
        None, validate_default=True, description="The picture's PDQ quality; required with pdq."
    )

    @classmethod
    def of(cls, draft: Draft) -> DraftIn:
        """The wire form of a draft; `draft` is the inverse."""
        return cls.model_construct(**{f.name: _listed(getattr(draft, f.name)) for f in fields(draft)})


class ContributionsIn(Sent):
    """A request that contributes."""

    contributions: Annotated[list[DraftIn], Len(1, DRAFTS_A_REQUEST)]

    @classmethod
    def of(cls, drafts: Sequence[Draft]) -> ContributionsIn:
        """The wire form of drafts; `read_drafts` is the inverse."""
        return cls.model_construct(contributions=[DraftIn.of(draft) for draft in drafts])


def _listed(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def read_drafts(text: bytes, terms: Terms) -> tuple[Draft, ...]:
    """The drafts of a request, in order. Raises MalformedRequest, InvalidInput with every fault, TooLarge."""
    require_few(text)
    try:
        request = ContributionsIn.model_validate_json(text, context=terms)
    except ValidationError as error:
        raise refusal(error, text, more=hidden(error, text, terms)) from None
    return tuple(one.draft(one.signals, one.quality) for one in request.contributions)


def read_draft(text: str, terms: Terms) -> Draft:
    """The draft that an object spells. Raises MalformedRequest or InvalidInput with every fault."""
    one = read(DraftIn, text, terms)
    return one.draft(one.signals, one.quality)


def read_metadata(text: str, count: int, terms: Terms) -> tuple[MetadataIn, ...]:
    """What is said of `count` pictures: one object for all, or a list of as many. Raises as `read_drafts`."""
    require_few(text)
    single = text.lstrip()[:1] == "{"
    adapter: TypeAdapter[Any] = _ONE if single else _MANY
    try:
        said = adapter.validate_json(text, context=terms)
    except ValidationError as error:
        raise refusal(error, text, within=["metadata"]) from None
    if not single and len(said) != count:
        raise refused([Fault("metadata", f"takes one object, or one for each of {count} files; got {len(said)}")])
    return (said,) * count if single else tuple(said)


_ONE = TypeAdapter(MetadataIn)
_MANY = TypeAdapter(Annotated[list[MetadataIn], Len(max_length=FILES_A_REQUEST)])


class AmendmentIn(Sent):
    """A change to a contribution: the fields to change."""

    labels: _Labels = Field(default_factory=list, description="Replaces the labels.")
    severity: _Severity | None = None
    basis: _Basis | None = None
    context: _Context = Field(default_factory=list)
    incident: _Incident | None = None
    expires_at: _Future | None = None

    @classmethod
    def of(cls, change: Amendment) -> AmendmentIn:
        """The wire form of a change; `value` is the inverse."""
        asked = {f.name: _listed(getattr(change, f.name)) for f in fields(change)}
        return cls.model_construct(**{name: value for name, value in asked.items() if value is not UNSET})

    def value(self) -> Amendment:
        """The change; what was not sent stays as it is."""
        sent = self.model_fields_set
        return Amendment(
            labels=tuple(dict.fromkeys(self.labels)) if "labels" in sent else UNSET,
            severity=self.severity if "severity" in sent else UNSET,
            basis=self.basis if "basis" in sent else UNSET,
            context=tuple(dict.fromkeys(self.context)) if "context" in sent else UNSET,
            incident=self.incident if "incident" in sent else UNSET,
            expires_at=self.expires_at if "expires_at" in sent else UNSET,
        )


class WithdrawalIn(Sent):
    """Why a contribution is taken back."""

    reason: Reason = Field(description="A reason of the vocabulary.")


class Contributor(Answered):
    """The member behind a contribution; 0 and no name where the key is not told."""

    id: int
    name: str


class ContributionOut(Answered):
    """A contribution; `signals` and `reference` are left out for readers who may not see them."""

    id: int
    known: bool = Field(False, description="(answer to a contribution) You had this same set of signals active.")
    status: Status
    standing: Standing
    member: Contributor
    received_at: Moment
    signals: list[SignalText] = Field([])
    labels: list[str]
    removed_at: Moment | None
    quality: int | None
    media: Media
    severity: int | None
    basis: str | None
    tco_ground: str | None
    entity: str | None
    incident: str | None
    context: list[str]
    notified_at: Moment | None
    reference: str | None = None
    expires_at: Moment | None
    withdrawn_at: Moment | None
    withdrawal_reason: str | None
    erased: bool
    masked: int = Field(0, description="Signals that match nothing, as they are close to what everybody may show.")
    changed_at: Moment | None = Field(None, description="(in lists) When the log last told of it.")

    @classmethod
    def of(cls, contribution: Contribution, **more: Any) -> ContributionOut:
        """The wire form of a contribution; `value` is the inverse."""
        member = Contributor.made(id=contribution.member, name=contribution.member_name)
        return cls.made(**seen(contribution) | {"member": member}, **more)

    def value(self) -> Contribution:
        """The contribution that this spells."""
        return Contribution(
            id=self.id,
            member=self.member.id,
            member_name=self.member.name,
            status=self.status,
            standing=self.standing,
            received_at=self.received_at,
            signals=tuple(self.signals),
            labels=tuple(self.labels),
            removed_at=self.removed_at,
            quality=self.quality,
            media=self.media,
            severity=self.severity,
            basis=self.basis,
            tco_ground=self.tco_ground,
            entity=self.entity,
            incident=self.incident,
            context=tuple(self.context),
            notified_at=self.notified_at,
            reference=self.reference,
            expires_at=self.expires_at,
            withdrawn_at=self.withdrawn_at,
            withdrawal_reason=self.withdrawal_reason,
            erased=self.erased,
            masked=self.masked,
            hidden=frozenset({"signals", "reference"} - self.model_fields_set),
            changed_at=self.changed_at,
        )


def seen(contribution: Contribution) -> dict[str, Any]:
    """What the reader sees of a contribution, by the names of the wire's fields."""
    said: dict[str, Any] = {
        "id": contribution.id,
        "status": contribution.status,
        "standing": contribution.standing,
        "member": {"id": contribution.member, "name": contribution.member_name},
        "received_at": contribution.received_at,
        "signals": list(contribution.signals),
        "labels": list(contribution.labels),
        "removed_at": contribution.removed_at,
        "quality": contribution.quality,
        "media": contribution.media,
        "severity": contribution.severity,
        "basis": contribution.basis,
        "tco_ground": contribution.tco_ground,
        "entity": contribution.entity,
        "incident": contribution.incident,
        "context": list(contribution.context),
        "notified_at": contribution.notified_at,
        "reference": contribution.reference,
        "expires_at": contribution.expires_at,
        "withdrawn_at": contribution.withdrawn_at,
        "withdrawal_reason": contribution.withdrawal_reason,
        "erased": contribution.erased,
        "masked": contribution.masked,
    }
    if contribution.changed_at is not None:
        said["changed_at"] = contribution.changed_at
    for name in contribution.hidden:
        del said[name]
    return said


class ReceiptOut(Answered):
    """The answer to a request that contributes, in order."""

    contributions: list[ContributionOut]
    checkpoint: int

    @classmethod
    def of(cls, receipt: Receipt) -> ReceiptOut:
        """The wire form of a receipt; `value` is the inverse."""
        recorded = [ContributionOut.of(one.contribution, known=one.known) for one in receipt.recorded]
        return cls.made(contributions=recorded, checkpoint=receipt.checkpoint)

    def value(self) -> Receipt:
        """The receipt that this spells."""
        recorded = tuple(Recorded(one.value(), one.known) for one in self.contributions)
        return Receipt(recorded, self.checkpoint)


class ContributionsOut(Answered):
    """A page of contributions."""

    contributions: list[ContributionOut]
    next: int | None
