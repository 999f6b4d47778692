"""Models of frames of videos: as they are contributed, as they are asked for, and how they match."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Protocol, Self, TypeVar

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, FailFast, Field, StringConstraints, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails

from hashdb.domain.contributions import Draft
from hashdb.domain.frames import FRAMES_A_REQUEST, FRAMES_AN_ITEM, MAX_SECONDS, Frame
from hashdb.domain.matching.matches import FrameMatch
from hashdb.domain.matching.segments import Covered, Segment
from hashdb.domain.rules import DRAFTS_A_REQUEST, SIGNALS_AN_ITEM
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.wire import (
    Next,
    PageModel,
    RequestModel,
    ResponseModel,
    SignalText,
    ValidationContext,
    error_from_validation,
)
from hashdb.wire.conversions import SPARSE, Mirror


def _round(seconds: float) -> float:
    return round(seconds, 3)


Seconds = Annotated[float, Ge(0), Le(MAX_SECONDS), AfterValidator(_round)]
"""A time of a video, rounded to milliseconds."""


class _HasFrames(Protocol):
    frames: Any


_Item = TypeVar("_Item", bound=_HasFrames)


def check_frames(frames: list[Any], info: ValidationInfo) -> list[Any]:
    """The frames of a video, whose times must ascend up to the duration. A validator; each fault is at its place."""
    if "duration" not in info.data:
        # The duration has a fault itself.
        return frames
    duration = info.data["duration"]
    if frames and duration is None:
        raise ValueError("need the duration of the video, in `duration`")
    before = -1.0
    errors: list[InitErrorDetails] = []
    for place, frame in enumerate(frames):
        reason = None
        if frame.at <= before:
            reason = "must be later than that of the frame before"
        elif frame.at > duration:
            reason = "must be at most the duration"
        if reason:
            errors.append(
                {"type": "value_error", "loc": (place, "at"), "input": None, "ctx": {"error": ValueError(reason)}}
            )
        before = frame.at
    if errors:
        raise ValidationError.from_exception_data("frames", errors)
    return frames


def _no_digest(signal: Signal) -> Signal:
    if signal.algorithm.is_digest:
        raise ValueError("a digest is of a whole file: send it in `signals` of the item")
    return signal


def _usable(signal: Signal, info: ValidationInfo) -> Signal:
    if isinstance(info.context, ValidationContext):
        # The hash of a flat frame has a fault; such a frame is taken and not searched for.
        is_flat = info.data.get("quality", MINIMUM_QUALITY) < MINIMUM_QUALITY
        rules = info.context.rules
        if fault := rules.algorithm_fault(signal.algorithm) if is_flat else rules.signal_fault(signal):
            raise ValueError(fault)
    return _no_digest(signal)


def few_frames(items: list[_Item]) -> list[_Item]:
    """The drafts or queries of a request, with 20,000 frames together at most. A validator."""
    if sum([len(item.frames) for item in items]) > FRAMES_A_REQUEST:
        raise ValueError(f"must be at most {FRAMES_A_REQUEST} frames in all")
    return items


class FrameIn(RequestModel, Mirror[Frame]):
    """A hashed frame of a video."""

    at: Seconds = Field(description="The time from the start, in seconds.")
    quality: Annotated[int, Ge(0), Le(100)] = Field(
        description="The PDQ quality of the frame, 0 to 100. A frame below 50 is kept, and not searched for."
    )
    signals: Annotated[list[Annotated[SignalText, AfterValidator(_usable)]], Len(1, SIGNALS_AN_ITEM)] = Field(
        description="The hashes of the frame: of several algorithms, and of variants of the frame."
    )

    def to_domain(self) -> Frame:
        """The frame."""
        return Frame(self.at, tuple(dict.fromkeys(self.signals)), self.quality)


FramesIn = Annotated[list[FrameIn], Len(0, FRAMES_AN_ITEM), FailFast(), AfterValidator(check_frames)]
"""The frames of a video. Validation stops at the first faulty one; `further_faults` has the others."""


def require_signals(signals: list[Signal], info: ValidationInfo) -> list[Signal]:
    """The signals of an item beside its frames: there are some, or a frame is searched for. A validator."""
    frames = info.data.get("frames")
    if signals or frames is None:
        return signals
    if not frames:
        raise ValueError("must have at least 1 entry, unless there are frames")
    if all(frame.quality < MINIMUM_QUALITY for frame in frames):
        raise ValueError("must have a digest, since no frame has a quality of 50 or more")
    return signals


class FrameOut(ResponseModel, Mirror[Frame]):
    """A frame of a video."""

    at: float = Field(description="The time from the start, in seconds.")
    quality: int | None = Field(description="The PDQ quality of the frame, 0 to 100.")
    signals: list[SignalText] = Field(description="The hashes of the frame, without those that are suppressed.")


class FramesOut(PageModel):
    """A page of the frames of a contribution."""

    frames: list[FrameOut] = Field(description="The frames of this page, in ascending time.")
    next: Next

    @classmethod
    def of_frames(cls, frames: Sequence[Frame], after: int, limit: int) -> Self:
        """The page of at most `limit` frames past the first `after`."""
        page, last = frames[after : after + limit], after + limit
        return cls.build(frames=list(map(FrameOut.from_domain, page)), next=last if last < len(frames) else None)


def few_signals(transforms: dict[str, Sequence[Any]], *, most: int = SIGNALS_AN_ITEM) -> dict[str, Sequence[Any]]:
    """The hashes of altered forms of an item, `most` at most together. A validator."""
    if sum(map(len, transforms.values())) > most:
        raise ValueError(f"must be at most {most} signals in all")
    return transforms


TransformName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]


def _check_enabled(signal: Signal, info: ValidationInfo) -> Signal:
    if isinstance(info.context, ValidationContext):
        if fault := info.context.rules.algorithm_fault(signal.algorithm):
            raise ValueError(fault)
    return signal


EnabledSignal = Annotated[SignalText, AfterValidator(_check_enabled)]
_FrameSignal = Annotated[EnabledSignal, AfterValidator(_no_digest)]

# A default comes from a factory: pydantic would copy it for each query. This adds it to the schema.
EMPTY: dict[str, Any] = {"default": {}}


class QueryFrameIn(RequestModel):
    """A frame of a video to match."""

    at: Seconds = Field(description="The time from the start, in seconds.")
    signals: Annotated[list[_FrameSignal], Len(1, SIGNALS_AN_ITEM)] = Field(description="The hashes of the frame.")
    quality: Annotated[int, Ge(0), Le(100)] | None = Field(
        None, description="The PDQ quality of the frame. A frame below 50 is not searched for."
    )
    transforms: Annotated[
        dict[TransformName, Annotated[list[_FrameSignal], FailFast()]], AfterValidator(few_signals)
    ] = Field(
        default_factory=dict,
        description="Hashes of altered forms of the frame, such as mirrored, by the name of the transform.",
        json_schema_extra=EMPTY,
    )

    def to_domain(self) -> Frame:
        """The frame."""
        transforms = {name: tuple(signals) for name, signals in self.transforms.items()}
        return Frame(self.at, tuple(dict.fromkeys(self.signals)), self.quality, transforms)

    @classmethod
    def of(cls, frame: Frame) -> Self:
        """The frame as it is sent."""
        fields: dict[str, Any] = {"at": frame.at, "signals": list(frame.signals), "quality": frame.quality}
        if frame.transforms:
            fields["transforms"] = {name: list(signals) for name, signals in frame.transforms.items()}
        return cls.model_construct(**fields)


class SegmentOut(ResponseModel, Mirror[Segment]):
    """A stretch of the query that shows a stretch of a listed video."""

    query: tuple[float, float] = Field(description="From when to when in the query, in seconds.")
    listed: tuple[float, float] = Field(description="From when to when in the listed video, in seconds.")
    speed: float = Field(description="How many seconds of the listed video a second of the query shows.")
    frames: int = Field(description="How many frames of the stretch are near the listed ones.")
    possible: int = Field(description="How many frames the stretch has.")
    distance: int | None = Field(
        description="How many bits differ in the nearest frame; null if the key hides distances."
    )
    transform: Annotated[str | None, SPARSE] = Field(None, description="The transform that found most frames.")


class CoveredOut(ResponseModel, Mirror[Covered]):
    """The shares of both videos that the segments cover."""

    query: float = Field(description="The share of the query, 0 to 1.")
    listed: float = Field(description="The share of the listed video, 0 to 1.")


class FrameMatchOut(ResponseModel, Mirror[FrameMatch]):
    """A frame of the query that is near a listed picture."""

    at: float = Field(description="The time of the frame, in seconds.")
    distance: dict[Algorithm, int | None] = Field(
        description="How many bits differ, by algorithm; null if the key hides distances."
    )


def drafts_in_requests(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    """The drafts in parts, each within the limits of one request; there is at least one part."""
    part: list[Draft] = []
    frames = 0
    for draft in drafts:
        if part and (len(part) == DRAFTS_A_REQUEST or frames + len(draft.frames) > FRAMES_A_REQUEST):
            yield part
            part, frames = [], 0
        part.append(draft)
        frames += len(draft.frames)
    yield part


_FRAMES: Mapping[str, type[RequestModel]] = {"contributions": FrameIn, "queries": QueryFrameIn}


def further_faults(error: ValidationError, text: bytes, context: ValidationContext) -> Iterator[Fault]:
    """The faults of the frames behind the first faulty one of each video, at which its validation stopped."""
    first: dict[tuple[str, int], int] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        if len(item["loc"]) > 3 and item["loc"][2] == "frames":
            items, position, _, place, *_ = item["loc"]
            first.setdefault((str(items), int(position)), int(place))
    given = json.loads(text) if first else {}
    for (items, position), place in first.items():
        for behind, frame in enumerate(given[items][position]["frames"][place + 1 :], place + 1):
            # Objects are few, by `check_size`; of other values there may be a million.
            if isinstance(frame, dict):
                try:
                    _FRAMES[items].model_validate_json(json.dumps(frame), context=context)
                except ValidationError as faulty:
                    refused = error_from_validation(faulty, within=(items, position, "frames", behind))
                    yield from refused.faults if isinstance(refused, InvalidInput) else ()
