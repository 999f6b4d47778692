"""Models of contributions: drafts, amendments, pictures, and contributions as a reader may see them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from annotated_types import Ge, Le, Len
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
)

from hashdb.domain.contributions import Amendment, Contribution, Draft, Media, Receipt, Recorded, Standing, Status
from hashdb.domain.frames import Frame
from hashdb.domain.matching.benign import REFUSAL
from hashdb.domain.review.cases import Case, Opinion
from hashdb.domain.rules import (
    DRAFTS_A_REQUEST,
    SIGNALS_AN_ITEM,
    future_fault,
    incident_fault,
    past_fault,
    quality_fault,
)
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import SIGNATURES_AN_ITEM
from hashdb.errors import Fault, reject_field
from hashdb.wire import (
    Line,
    Moment,
    Next,
    PageModel,
    RequestModel,
    ResponseModel,
    SignalText,
    SignatureText,
    Token,
    ValidationContext,
    check_size,
    checked_by,
    error_from_validation,
    path,
    read,
)
from hashdb.wire.conversions import DISTINCT, SPARSE, ChangeMirror, Mirror, construct
from hashdb.wire.files import FILES_A_REQUEST
from hashdb.wire.origins import OriginOut
from hashdb.wire.signatures import known_ones, of_picture
from hashdb.wire.videos import (
    FrameIn,
    FrameOut,
    FramesIn,
    Seconds,
    few_frames,
    further_faults,
    require_signals,
)

CODES_A_LIST = 32
QUALITY_NEEDED = "is required with pdq: send the quality that PDQ computed, 0 to 100"


def _code(kind: str) -> AfterValidator:
    return checked_by(lambda context, code: context.rules.vocabulary.fault(kind, code))


def _require_time(removed_at: datetime | None, info: ValidationInfo) -> datetime | None:
    if removed_at is None and not _imported(info):
        raise ValueError("is required")
    return removed_at


def _imported(info: ValidationInfo) -> bool:
    return isinstance(info.context, ValidationContext) and info.context.imported


def _require_removed_at(schema: dict[str, Any]) -> None:
    """Describe the field in the OpenAPI document as it is for items that are not imported."""
    removed_at = schema["properties"]["removed_at"]
    schema["properties"]["removed_at"] = {
        "type": "string",
        "format": "date-time",
        **{name: removed_at[name] for name in ("title", "description")},
    }
    schema["required"] = sorted({*schema.get("required", ()), "removed_at"})


def _require_quality(quality: int | None, info: ValidationInfo) -> int | None:
    if _imported(info):
        return quality
    if quality is None and any(signal.algorithm is Algorithm.PDQ for signal in info.data.get("signals", ())):
        raise ValueError(QUALITY_NEEDED)
    return quality


_AllowedSignal = Annotated[SignalText, checked_by(lambda context, signal: context.rules.signal_fault(signal))]
_Past = Annotated[Moment, checked_by(lambda context, at: past_fault(at, context.now))]
_Future = Annotated[Moment, checked_by(lambda context, at: future_fault(at, context.now))]
_Labels = Annotated[list[Annotated[Token, _code("behaviour")]], Len(1, CODES_A_LIST), DISTINCT]
_Context = Annotated[list[Annotated[Token, _code("context")]], Len(0, CODES_A_LIST), DISTINCT]
_Basis = Annotated[Token, _code("basis")]
_Ground = Annotated[Token, _code("tco_ground")]
Reason = Annotated[Token, _code("reason")]
_Entity = Annotated[Token, checked_by(lambda context, entity: context.rules.vocabulary.entity_fault(entity))]
_Incident = Annotated[Token, checked_by(lambda context, incident: incident_fault(incident))]
_Severity = Annotated[int, Ge(0), Le(4)]
_Quality = Annotated[int, Ge(0), Le(100), checked_by(lambda context, quality: quality_fault(quality))]


class MetadataIn(RequestModel):
    """What is known about a removed item, without its signals and quality."""

    model_config = ConfigDict(json_schema_extra=_require_removed_at)

    labels: _Labels = Field(description="What the content does: codes of the vocabulary.")
    removed_at: Annotated[_Past | None, AfterValidator(_require_time)] = Field(
        None, validate_default=True, description="When the item was removed. It may be null only with `imported=1`."
    )
    media: Media = Field(Media.IMAGE, description="The kind of content.")
    severity: _Severity | None = Field(None, description="0 to 4; higher is worse, 4 is a crisis.")
    basis: _Basis | None = Field(None, description="Why the item was removed: a code of the vocabulary.")
    tco_ground: _Ground | None = Field(
        None, description="The ground of Regulation (EU) 2021/784, Article 2(7): a code of the vocabulary."
    )
    entity: _Entity | None = Field(
        None, description="The entity behind the content: a list and a slug, for example `UN:example`."
    )
    incident: _Incident | None = Field(None, description="The incident: `CIP:<slug>` or `CI:<slug>`.")
    context: _Context = Field([], description="What a reviewer needs to know before acting: codes of the vocabulary.")
    notified_at: _Past | None = Field(None, description="When someone notified the platform of the item.")
    reference: Line | None = Field(None, description="Your own id of the item. Only you and auditors can see it.")
    expires_at: _Future | None = Field(None, description="When the contribution expires and stops matching.")

    def to_draft(self, signals: Sequence[Signal], quality: int | None) -> Draft:
        """The draft of an item with these signals."""
        # Not derived: requests have up to a thousand drafts, and the derived conversion takes a third longer.
        lists = {"signals": signals, "labels": self.labels, "context": self.context}
        lists["signatures"] = self.__dict__.get("signatures", ())
        unique = {name: tuple(dict.fromkeys(items)) for name, items in lists.items()}
        return Draft(**{**self.__dict__, **unique, "quality": quality, "frames": self._frames()})

    def _frames(self) -> tuple[Frame, ...]:
        return ()


class DraftIn(MetadataIn, Mirror[Draft]):
    """A removed item with its signals."""

    duration: Annotated[Seconds | None, SPARSE] = Field(
        None, description="The duration of the video, in seconds. Required with `frames`."
    )
    frames: Annotated[FramesIn, SPARSE] = Field([], description="The frames of a video, in ascending time.")
    signals: Annotated[list[_AllowedSignal], Len(0, SIGNALS_AN_ITEM), AfterValidator(require_signals)] = Field(
        description="The hashes of the item: of several algorithms, and of variants of the item, and digests of its "
        "file. May be empty with `frames`."
    )
    quality: Annotated[_Quality | None, AfterValidator(_require_quality)] = Field(
        None,
        validate_default=True,
        description="The PDQ quality of the picture, at least 50. Required with a `pdq` signal.",
    )
    signatures: Annotated[list[SignatureText], Len(0, SIGNATURES_AN_ITEM), AfterValidator(of_picture), SPARSE] = Field(
        [], description="Signatures of the picture, at most 8: they are compared with those of a query, never searched."
    )

    def to_domain(self) -> Draft:
        """The draft."""
        return self.to_draft(self.signals, self.quality)

    def _frames(self) -> tuple[Frame, ...]:
        return tuple(map(FrameIn.to_domain, self.frames))


class ContributionsIn(RequestModel):
    """A request to contribute."""

    contributions: Annotated[list[DraftIn], Len(1, DRAFTS_A_REQUEST), AfterValidator(few_frames)] = Field(
        description="The drafts: 1 to 1,000 removed items, with at most 20,000 frames in all."
    )

    @classmethod
    def from_domain(cls, drafts: Sequence[Draft]) -> Self:
        """The request to contribute these drafts; `read_drafts` is the inverse."""
        return cls.build(contributions=[DraftIn.from_domain(draft) for draft in drafts])


def read_drafts(text: bytes, context: ValidationContext) -> tuple[Draft, ...]:
    """The drafts of a request, in order. Raises MalformedRequest, InvalidInput with every fault, TooLarge."""
    check_size(text)
    try:
        request = ContributionsIn.model_validate_json(text, context=context)
    except ValidationError as error:
        raise error_from_validation(error, text, more=_hidden_faults(error, text, context)) from None
    return tuple([draft.to_domain() for draft in request.contributions])


def _hidden_faults(error: ValidationError, text: bytes, context: ValidationContext) -> Iterator[Fault]:
    """The faults that no validator reports, because another fault of the same draft stopped its validation."""
    yield from further_faults(error, text, context)
    locations = [item["loc"] for item in error.errors(include_url=False, include_context=False, include_input=False)]
    faulty = {location[1:4] for location in locations if location[:1] == ("contributions",)}
    try:
        drafts = json.loads(text)["contributions"]
    except (ValueError, KeyError, TypeError):
        return
    for position, draft in enumerate(drafts) if isinstance(drafts, list) else ():
        signals = draft.get("signals") if isinstance(draft, dict) else None
        if not isinstance(signals, list):
            continue
        # A faulty signal hides that the quality is missing.
        if (
            not context.imported
            and draft.get("quality") is None
            and any(place[:2] == (position, "signals") for place in faulty)
        ):
            if any(isinstance(signal, str) and signal.startswith("pdq:") for signal in signals):
                yield Fault(path(("contributions", position, "quality")), QUALITY_NEEDED)
        parsed = {i: _parse(text) for i, text in enumerate(signals) if (position, "signals", i) not in faulty}
        touched = context.touched([signal for signal in parsed.values() if signal]) if context.touched else ()
        yield from (
            Fault(path(("contributions", position, "signals", place)), REFUSAL)
            for place, signal in parsed.items()
            if signal in touched
        )


def _parse(text: object) -> Signal | None:
    """The signal of a text; None if it is not one."""
    try:
        return Signal.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def read_draft(text: str | bytes, context: ValidationContext) -> Draft:
    """The draft of a JSON object. Raises MalformedRequest or InvalidInput with every fault."""
    return read(DraftIn, text, context).to_domain()


def read_metadata(text: str, count: int, context: ValidationContext) -> tuple[MetadataIn, ...]:
    """The metadata of `count` pictures: one object for all, or a list with one for each. Raises as `read_drafts`."""
    check_size(text)
    single = text.lstrip()[:1] == "{"
    adapter: TypeAdapter[Any] = _ONE if single else _MANY
    try:
        metadata = adapter.validate_json(text, context=context)
    except ValidationError as error:
        raise error_from_validation(error, text, within=["metadata"]) from None
    if not single and len(metadata) != count:
        reject_field("metadata", f"must be one object, or one for each of {count} files; got {len(metadata)}")
    return (metadata,) * count if single else tuple(metadata)


_ONE = TypeAdapter(MetadataIn)
_MANY = TypeAdapter(Annotated[list[MetadataIn], Len(max_length=FILES_A_REQUEST)])


class AmendmentIn(RequestModel, ChangeMirror[Amendment]):
    """A change of a contribution: only the fields to change."""

    labels: _Labels = Field(default_factory=list, description="The new labels; they replace the present ones.")
    severity: _Severity | None = Field(None, description="The new severity, 0 to 4; null removes it.")
    basis: _Basis | None = Field(None, description="The new basis, a code of the vocabulary; null removes it.")
    context: _Context = Field(default_factory=list, description="The new context codes; they replace the present ones.")
    incident: _Incident | None = Field(None, description="The new incident; null removes it.")
    expires_at: _Future | None = Field(None, description="The new expiry; null removes it.")


class WithdrawalIn(RequestModel):
    """The reason of a withdrawal."""

    reason: Reason = Field(description="Why you withdraw it: a reason of the vocabulary.")


class Contributor(ResponseModel):
    """A member. If your key may not know it, the id is 0 and the name is empty."""

    id: int = Field(description="The id of the member.")
    name: str = Field(description="The name of the member.")


_S = TypeVar("_S", bound=Contribution | Opinion | Case)


def _contributor(value: Contribution | Opinion | Case) -> Contributor:
    """The member that a value comes from, as its reader may see it."""
    return construct(Contributor, {"id": value.member, "name": value.member_name})


class Shown(Mirror[_S]):
    """Base of a model of a value that comes from a member; it leaves out the fields that its reader may not see."""

    __slots__ = ()
    HIDEABLE: ClassVar[frozenset[str]]

    @classmethod
    def fields_from(cls, value: _S) -> dict[str, Any]:
        """The fields of the model that the reader may see."""
        fields = super().fields_from(value)
        fields["member"] = _contributor(value)
        for name in value.hidden:
            del fields[name]
        return fields

    def arguments(self) -> dict[str, Any]:
        """The arguments of the domain class."""
        arguments = super().arguments()
        member: Contributor = arguments["member"]
        hidden = self.HIDEABLE - cast(BaseModel, self).model_fields_set
        return arguments | {"member": member.id, "member_name": member.name, "hidden": hidden}


class ContributionOut(ResponseModel, Shown[Contribution]):
    """A contribution. Without the right to see them, `signals` and `reference` are left out."""

    HIDEABLE: ClassVar[frozenset[str]] = frozenset({"signals", "reference"})

    id: int = Field(description="The id of the contribution.")
    known: bool = Field(
        False, description="In the response to a request that contributes or adds signals: nothing was new."
    )
    status: Status = Field(description="Whether the contribution takes part.")
    standing: Standing = Field(description="What opinions and decisions say about it.")
    member: Contributor = Field(description="The member that contributed it.")
    received_at: Moment = Field(description="When the service received it.")
    signals: list[SignalText] = Field([], description="The hashes of the item.")
    labels: list[str] = Field(description="What the content does: codes of the vocabulary.")
    removed_at: Moment | None = Field(description="When the item was removed; null if unknown.")
    quality: int | None = Field(description="The PDQ quality of the picture; null if unknown.")
    media: Media = Field(description="The kind of content.")
    severity: int | None = Field(description="0 to 4; higher is worse, 4 is a crisis.")
    basis: str | None = Field(description="Why the item was removed: a code of the vocabulary.")
    tco_ground: str | None = Field(
        description="The ground of Regulation (EU) 2021/784, Article 2(7): a code of the vocabulary."
    )
    entity: str | None = Field(
        description="The entity behind the content: a list and a slug, for example `UN:example`."
    )
    incident: str | None = Field(description="The incident: `CIP:<slug>` or `CI:<slug>`.")
    context: list[str] = Field(description="What a reviewer needs to know before acting: codes of the vocabulary.")
    notified_at: Moment | None = Field(description="When someone notified the platform of the item.")
    reference: str | None = Field(None, description="The member's own id of the item.")
    expires_at: Moment | None = Field(description="When it expires; null is never.")
    withdrawn_at: Moment | None = Field(description="When it was withdrawn; null if it was not.")
    withdrawal_reason: str | None = Field(description="Why it was withdrawn: a reason of the vocabulary.")
    erased: bool = Field(description="Whether its content was erased.")
    signatures: Annotated[list[SignatureText], BeforeValidator(known_ones), SPARSE] = Field(
        [], description="Signatures of the picture, for those who may see its signals."
    )
    masked: int = Field(0, description="How many of its signals are suppressed, because they are near a benign entry.")
    frame_count: Annotated[int, SPARSE] = Field(0, description="How many frames of a video it has.")
    duration: Annotated[float | None, SPARSE] = Field(None, description="The duration of the video, in seconds.")
    frames: Annotated[list[FrameOut], SPARSE] = Field([], description="In the feed: the frames of a video.")
    changed_at: Moment | None = Field(None, description="In lists: the time of its last event.")
    incomplete: Annotated[str | None, SPARSE] = Field(None, description="How much of a damaged video could be read.")
    origin: Annotated[OriginOut | None, SPARSE] = Field(None, description="If it came from another hashdb.")

    @classmethod
    def fields_from(cls, value: Contribution) -> dict[str, Any]:
        """The fields of the model that the reader may see."""
        fields = visible_fields(value) | {"member": _contributor(value)}
        if value.frames:
            fields["frames"] = list(map(FrameOut.from_domain, value.frames))
        if value.origin is not None:
            fields["origin"] = OriginOut.from_domain(value.origin)
        return fields

    @classmethod
    def from_recorded(cls, recorded: Recorded) -> Self:
        """The contribution, and whether it was known."""
        return construct(cls, {**cls.fields_from(recorded.contribution), "known": recorded.known})

    def to_recorded(self) -> Recorded:
        """The inverse of `from_recorded`."""
        return Recorded(self.to_domain(), self.known)


def visible_fields(contribution: Contribution) -> dict[str, Any]:
    """The fields of `ContributionOut` that the reader may see, by name, for lists and feeds."""
    # Not derived: this takes a quarter of the time.
    fields = dict(zip(_FIELDS, _get_fields(contribution), strict=True))
    for name in ("signals", "labels", "context"):
        fields[name] = list(fields[name])
    fields["member"] = {"id": contribution.member, "name": contribution.member_name}
    if contribution.frame_count:
        fields["frame_count"] = contribution.frame_count
    if contribution.duration is not None and not contribution.erased:
        fields["duration"] = contribution.duration
    if contribution.frames:
        fields["frames"] = [
            {"at": frame.at, "quality": frame.quality, "signals": list(frame.signals)} for frame in contribution.frames
        ]
    if contribution.changed_at is not None:
        fields["changed_at"] = contribution.changed_at
    if contribution.signatures:
        fields["signatures"] = list(contribution.signatures)
    if contribution.origin is not None:
        fields["origin"] = contribution.origin._asdict()
    for name in contribution.hidden:
        del fields[name]
    return fields


_SPARSE = ("known", "changed_at", "frame_count", "duration", "frames", "signatures", "incomplete", "origin")
_FIELDS = tuple(name for name in ContributionOut.model_fields if name not in _SPARSE)
_get_fields = attrgetter(*_FIELDS)


class ReceiptOut(ResponseModel):
    """The response to a request to contribute: the contributions, in order."""

    contributions: list[ContributionOut] = Field(description="The contributions, in the order of the drafts.")
    checkpoint: int = Field(description="The seq of the log when the contributions were stored.")

    @classmethod
    def from_domain(cls, receipt: Receipt) -> Self:
        """The response with a receipt."""
        contributions = [ContributionOut.from_recorded(recorded) for recorded in receipt.recorded]
        return cls.build(contributions=contributions, checkpoint=receipt.checkpoint)

    def to_domain(self) -> Receipt:
        """The receipt."""
        return Receipt(tuple(contribution.to_recorded() for contribution in self.contributions), self.checkpoint)


class ContributionsOut(PageModel):
    """A page of contributions."""

    contributions: list[ContributionOut] = Field(description="The contributions of this page.")
    next: Next
