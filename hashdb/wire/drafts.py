"""Models of what a member sends of removed items: drafts, the metadata of files, amendments and withdrawals."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Self

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo

from hashdb.domain.contributions import Amendment, Draft, Media
from hashdb.domain.frames import Frame
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN
from hashdb.domain.rules import DRAFTS_A_REQUEST, future_fault, item_signal_fault, past_fault, quality_fault
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.domain.signatures import SIGNATURES_AN_ITEM
from hashdb.domain.vocabulary import incident_fault
from hashdb.errors import Fault, reject_field
from hashdb.wire import (
    Line,
    Moment,
    RequestModel,
    ShortText,
    SignalText,
    SignatureText,
    ValidationContext,
    check_size,
    checked_by,
)
from hashdb.wire.conversions import DISTINCT, OMIT_DEFAULT, ChangeMirror, Mirror
from hashdb.wire.faults import error_from_validation, locations_of, path
from hashdb.wire.files import FILES_A_REQUEST
from hashdb.wire.frames import (
    DURATION_DESCRIPTION,
    FRAMES_DESCRIPTION,
    FrameIn,
    FramesIn,
    Seconds,
    further_faults,
    limit_frames,
    require_signals,
)
from hashdb.wire.signatures import check_picture_signatures

_CODES_A_LIST = 32
QUALITY_NEEDED = "is required with pdq: send the quality that PDQ computed, 0 to 100"


def _code(kind: str) -> AfterValidator:
    """A validator of codes of this kind of the vocabulary."""
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


def _check_item_signal(signal: Signal) -> Signal:
    """The signal, if an item beside its frames may have it. A validator."""
    # The common case first: a request may have a thousand drafts of pictures.
    if signal.algorithm.of_text and (reason := item_signal_fault(signal)):
        raise ValueError(reason)
    return signal


def _require_quality(quality: int | None, info: ValidationInfo) -> int | None:
    if _imported(info):
        return quality
    if quality is None and any(signal.algorithm is Algorithm.PDQ for signal in info.data.get("signals", ())):
        raise ValueError(QUALITY_NEEDED)
    return quality


SignalOfItem = Annotated[
    SignalText,
    AfterValidator(_check_item_signal),
    checked_by(lambda context, signal: context.rules.signal_fault(signal)),
]
"""A signal of a whole item, which the rules allow."""
_Past = Annotated[Moment, checked_by(lambda context, at: past_fault(at, context.now))]
_Future = Annotated[Moment, checked_by(lambda context, at: future_fault(at, context.now))]
_Labels = Annotated[list[Annotated[ShortText, _code("behaviour")]], Len(1, _CODES_A_LIST), DISTINCT]
_Context = Annotated[list[Annotated[ShortText, _code("context")]], Len(0, _CODES_A_LIST), DISTINCT]
_Basis = Annotated[ShortText, _code("basis")]
_Ground = Annotated[ShortText, _code("tco_ground")]
Reason = Annotated[ShortText, _code("reason")]
_Entity = Annotated[ShortText, checked_by(lambda context, entity: context.rules.vocabulary.entity_fault(entity))]
_Incident = Annotated[ShortText, checked_by(lambda context, incident: incident_fault(incident))]
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
    incident: _Incident | None = Field(None, description="The incident: `PCI:`, `CIP:` or `CI:` and a slug.")
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

    duration: Annotated[Seconds | None, OMIT_DEFAULT] = Field(None, description=DURATION_DESCRIPTION)
    frames: Annotated[FramesIn, OMIT_DEFAULT] = Field([], description=FRAMES_DESCRIPTION)
    signals: Annotated[list[SignalOfItem], Len(0, SIGNALS_AN_ITEM), AfterValidator(require_signals)] = Field(
        description="The hashes of the item: of several algorithms, and of variants of the item, and digests of its "
        "file and its address. May be empty with `frames`."
    )
    quality: Annotated[_Quality | None, AfterValidator(_require_quality)] = Field(
        None,
        validate_default=True,
        description="The PDQ quality of the picture, at least 50. Required with a `pdq` signal.",
    )
    signatures: Annotated[
        list[SignatureText], Len(0, SIGNATURES_AN_ITEM), AfterValidator(check_picture_signatures), OMIT_DEFAULT
    ] = Field(
        [], description="Signatures of the picture, at most 8: they are compared with those of a query, never searched."
    )

    def to_domain(self) -> Draft:
        """The draft."""
        return self.to_draft(self.signals, self.quality)

    def _frames(self) -> tuple[Frame, ...]:
        return tuple(map(FrameIn.to_domain, self.frames))


class ContributionsIn(RequestModel):
    """A request to contribute."""

    contributions: Annotated[list[DraftIn], Len(1, DRAFTS_A_REQUEST), AfterValidator(limit_frames)] = Field(
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
    locations = locations_of(error)
    yield from further_faults(locations, text, context)
    # For the position of each draft with a fault in its signals: the places of the faulty ones.
    faulty: dict[int | str, set[int | str]] = {}
    for location in locations:
        if location[:1] == ("contributions",) and location[2:3] == ("signals",):
            faulty.setdefault(location[1], set()).update(location[3:4])
    try:
        drafts = json.loads(text)["contributions"]
    except (ValueError, KeyError, TypeError):
        return
    for position, draft in enumerate(drafts) if isinstance(drafts, list) else ():
        signals = draft.get("signals") if isinstance(draft, dict) else None
        if not isinstance(signals, list):
            continue
        # A faulty signal hides that the quality is missing.
        if position in faulty and not context.imported and draft.get("quality") is None and _has_pdq(signals):
            yield Fault(path(("contributions", position, "quality")), QUALITY_NEEDED)
        for place in _places_near_benign(signals, faulty.get(position, ()), context):
            yield Fault(path(("contributions", position, "signals", place)), CLOSE_TO_BENIGN)


def _has_pdq(signals: list[Any]) -> bool:
    return any(isinstance(signal, str) and signal.startswith("pdq:") for signal in signals)


def _places_near_benign(signals: list[Any], faulty: Collection[int | str], context: ValidationContext) -> Iterator[int]:
    """The places of the signals that are near a benign entry, of those that are not `faulty`."""
    if context.close_to_benign is not None:
        parsed = {place: _parse(text) for place, text in enumerate(signals) if place not in faulty}
        near = context.close_to_benign([signal for signal in parsed.values() if signal])
        yield from (place for place, signal in parsed.items() if signal in near)


def _parse(text: object) -> Signal | None:
    """The signal of a text; None if it is not one."""
    try:
        return Signal.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None


def read_metadata(text: str, count: int, context: ValidationContext) -> tuple[MetadataIn, ...]:
    """The metadata of `count` pictures: one object for all, or a list with one for each. Raises as `read_drafts`."""
    check_size(text)
    single = text.lstrip()[:1] == "{"
    adapter: TypeAdapter[Any] = _OBJECT if single else _LIST
    try:
        metadata = adapter.validate_json(text, context=context)
    except ValidationError as error:
        raise error_from_validation(error, text, within=["metadata"]) from None
    if not single and len(metadata) != count:
        reject_field("metadata", f"must be one object, or one for each of {count} files; got {len(metadata)}")
    return (metadata,) * count if single else tuple(metadata)


_OBJECT = TypeAdapter(MetadataIn)
_LIST = TypeAdapter(Annotated[list[MetadataIn], Len(max_length=FILES_A_REQUEST)])


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
