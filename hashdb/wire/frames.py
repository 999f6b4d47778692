"""Models of frames: the pictures of a video, the pages of a document, and the windows of words of a text."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import add, gt
from typing import Annotated, Any, Final, NamedTuple, Protocol, Self, TypeVar

from annotated_types import Ge, Le, Len
from pydantic import (
    AfterValidator,
    FailFast,
    Field,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from hashdb.domain.contributions import Draft
from hashdb.domain.frames import (
    FRAMES_A_REQUEST,
    FRAMES_AN_ITEM,
    MAX_PAGES,
    MAX_SECONDS,
    MAX_WINDOW,
    MAX_WORDS,
    Frame,
    Unit,
)
from hashdb.domain.rules import DRAFTS_A_REQUEST
from hashdb.domain.signals import MINIMUM_QUALITY, OF_PICTURES, SIGNALS_AN_ITEM, Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.wire import Next, PageModel, RequestModel, ResponseModel, SignalText, ValidationContext, check_size
from hashdb.wire.conversions import OMIT_DEFAULT, Mirror
from hashdb.wire.faults import error_from_validation, locations_of, value_error

Seconds = Annotated[float, Ge(0), Le(MAX_SECONDS), AfterValidator(lambda seconds: round(seconds, 3))]
"""A time of a video, rounded to milliseconds."""
WordCount = Annotated[int, Ge(1), Le(MAX_WORDS)]
"""How many words of a text."""


def _check_window(words: tuple[int, int] | None) -> tuple[int, int] | None:
    if words is None:
        return None
    first, end = words
    if not 0 <= first < end <= MAX_WORDS:
        raise ValueError(f"must be the first word, from 0, and a greater number, at most {MAX_WORDS}")
    if end - first > MAX_WINDOW:
        raise ValueError(f"must be at most {MAX_WINDOW} words")
    return words


_WINDOW_SCHEMA = {
    "type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": MAX_WORDS},
    "minItems": 2,
    "maxItems": 2,
    "examples": [[0, 200]],
}
_Page = Annotated[int, Ge(1), Le(MAX_PAGES)]
_Window = Annotated[Annotated[tuple[int, int], WithJsonSchema(_WINDOW_SCHEMA)] | None, AfterValidator(_check_window)]
DURATION_DESCRIPTION: Final = "The duration of the video, in seconds. Required with the frames of a video."
FRAMES_DESCRIPTION: Final = (
    "The frames of a video, or the pages of a document and then windows of the words of a text, "
    "each in ascending order."
)
_AT = "The time of a frame of a video from its start, in seconds."
_PAGE = "The number of a page of a document, from 1."
_WORDS = "A window of the words of a text: the number of its first word, from 0, and that after its last."


class _HasFrames(Protocol):
    frames: Any


_Framed = TypeVar("_Framed", bound=_HasFrames)
_Item = TypeVar("_Item")
_Request = TypeVar("_Request", bound=RequestModel)


class FramePlace(NamedTuple):
    """Where a frame is: at a second, a page (from 1), or a window of `length` words from the word `at` (from 0)."""

    unit: Unit
    at: float
    length: int

    @classmethod
    def from_fields(cls, model: _PlacedIn | FrameOut) -> Self:
        """The place in a model, which has exactly one of the fields `at`, `page` and `words`."""
        if model.at is not None:
            return cls(Unit.SECONDS, model.at, 0)
        if model.page is not None or model.words is None:
            return cls(Unit.PAGES, model.page or 0, 0)
        first, end = model.words
        return cls(Unit.WORDS, first, end - first)


_FIELD_OF_UNIT: Final = {Unit.SECONDS: "at", Unit.PAGES: "page", Unit.WORDS: "words"}
_ORDER: Final = {Unit.SECONDS: 0, Unit.PAGES: 1, Unit.WORDS: 2}
"""In which order the frames of one item come, by unit."""
# Why frames of a unit that do not ascend are refused.
_ASCENDING: Final = {
    Unit.SECONDS: "must be later than that of the frame before",
    Unit.PAGES: "must be greater than that of the frame before",
    Unit.WORDS: "must begin later than those of the frame before",
}


def check_frames(frames: list[Any], info: ValidationInfo) -> list[Any]:
    """The frames of one item, in order. A validator, which runs after that of `duration`; each fault is at its frame.

    Those of a video ascend up to its duration. Those of a document are its pages, then windows of its words; both
    ascend.
    """
    if not frames or "duration" not in info.data:
        # The duration has a fault itself.
        return frames
    duration = info.data["duration"]
    is_video = frames[0].at is not None
    if is_video and duration is None:
        raise ValueError("need the duration of the video, in `duration`")
    if not is_video and duration is not None:
        raise ValueError("must be frames of a video, because `duration` is given: pages and words have no duration")
    errors = []
    before = FramePlace(Unit.SECONDS, -1.0, 0)
    for number, frame in enumerate(frames):
        place = FramePlace.from_fields(frame)
        reason = None
        if (place.unit is Unit.SECONDS) is not is_video:
            reason = "must not be mixed with frames of another kind: a video has seconds, a document pages and words"
        elif _ORDER[place.unit] < _ORDER[before.unit]:
            reason = "must come before the words"
        elif place.unit is before.unit and place.at <= before.at:
            reason = _ASCENDING[place.unit]
        elif duration is not None and place.at > duration:
            reason = "must be at most the duration"
        if reason:
            errors.append(value_error((number, _FIELD_OF_UNIT[place.unit]), reason))
        # A page behind words does not hide that further words do not ascend.
        before = before if _ORDER[place.unit] < _ORDER[before.unit] else place
    if errors:
        raise ValidationError.from_exception_data("frames", errors)
    return frames


def _unit(info: ValidationInfo) -> Unit | None:
    """The unit of the place of a frame; None if the place has a fault itself."""
    units = [unit for unit, name in _FIELD_OF_UNIT.items() if info.data.get(name) is not None]
    return units[0] if len(units) == 1 and all(name in info.data for name in _FIELD_OF_UNIT.values()) else None


def _check_place(signal: Signal, info: ValidationInfo) -> Signal:
    """The signal, if a frame at this place may have it. A validator."""
    # The common case first: a request may have a million signals.
    if signal.algorithm in OF_PICTURES and info.data.get("words") is None:
        return signal
    if signal.algorithm.is_digest:
        raise ValueError("a digest is of a whole file: send it in `signals` of the item")
    unit = _unit(info)
    if signal.algorithm.of_text and unit in (Unit.SECONDS, Unit.PAGES):
        raise ValueError(f"{signal.algorithm} belongs to a window of words: send it with `words`")
    if not signal.algorithm.of_text and unit is Unit.WORDS:
        raise ValueError(f"{signal.algorithm} belongs to a picture: a window of words has simhash256")
    return signal


def _check_signal(signal: Signal, info: ValidationInfo) -> Signal:
    """The signal, if a contributed frame may have it. A validator."""
    if isinstance(info.context, ValidationContext):
        # The hash of a flat frame has a fault; such a frame is taken and not searched for.
        quality = info.data.get("quality")
        is_flat = quality is not None and quality < MINIMUM_QUALITY
        rules = info.context.rules
        if fault := rules.algorithm_fault(signal.algorithm) if is_flat else rules.signal_fault(signal):
            raise ValueError(fault)
    return _check_place(signal, info)


def _refuse_quality_of_words(quality: int | None, info: ValidationInfo) -> int | None:
    if quality is not None and info.data.get("words") is not None and _unit(info) is Unit.WORDS:
        raise ValueError("must be absent: a window of words has no quality")
    return quality


def _require_quality(quality: int | None, info: ValidationInfo) -> int | None:
    if quality is None and _unit(info) in (Unit.SECONDS, Unit.PAGES):
        raise ValueError("is required")
    return _refuse_quality_of_words(quality, info)


def limit_frames(items: list[_Framed]) -> list[_Framed]:
    """The drafts or queries of a request, with 20,000 frames together at most. A validator."""
    if sum([len(item.frames) for item in items]) > FRAMES_A_REQUEST:
        raise ValueError(f"must be at most {FRAMES_A_REQUEST} frames in all")
    return items


class _PlacedIn(RequestModel):
    """A frame with its place."""

    at: Seconds | None = Field(None, description=_AT)
    page: _Page | None = Field(None, description=_PAGE)
    words: _Window = Field(None, description=_WORDS)

    @model_validator(mode="after")
    def _require_one_place(self) -> Self:
        if (self.at is None) + (self.page is None) + (self.words is None) != len(Unit) - 1:
            raise ValueError("must have one of `at`, `page` and `words`")
        return self


class FrameIn(_PlacedIn, Mirror[Frame]):
    """A hashed frame of a video, page of a document, or window of the words of a text."""

    quality: Annotated[Annotated[int, Ge(0), Le(100)] | None, AfterValidator(_require_quality)] = Field(
        None,
        validate_default=True,
        description="The PDQ quality of the frame or page, 0 to 100. One below 50 is kept, and not searched for. "
        "Required, but absent with `words`.",
    )
    signals: Annotated[list[Annotated[SignalText, AfterValidator(_check_signal)]], Len(1, SIGNALS_AN_ITEM)] = Field(
        description="The hashes of the frame or page: of several algorithms, and of variants of it. With `words`: "
        "`simhash256`."
    )

    def to_domain(self) -> Frame:
        """The frame."""
        unit, at, length = FramePlace.from_fields(self)
        return Frame(at, tuple(dict.fromkeys(self.signals)), self.quality, unit=unit, length=length)

    @classmethod
    def fields_from(cls, value: Frame) -> dict[str, Any]:
        """The fields of the model, by name."""
        return frame_fields(value)


FramesIn = Annotated[list[FrameIn], Len(0, FRAMES_AN_ITEM), FailFast(), AfterValidator(check_frames)]
"""The frames of an item. Validation stops at the first faulty one; `further_faults` has the others."""


def require_signals(signals: list[Signal], info: ValidationInfo) -> list[Signal]:
    """The signals of an item beside its frames: there are some, or a frame is searched for. A validator."""
    frames = info.data.get("frames")
    if signals or frames is None:
        return signals
    if not frames:
        raise ValueError("must have at least 1 entry, unless there are frames")
    if all(frame.quality is not None and frame.quality < MINIMUM_QUALITY for frame in frames):
        raise ValueError("must have a digest, since no frame has a quality of 50 or more")
    return signals


class FrameOut(ResponseModel, Mirror[Frame]):
    """A frame of a video, a page of a document, or a window of the words of a text. It has one of these places."""

    at: float | None = Field(None, description=_AT)
    page: int | None = Field(None, description=_PAGE)
    words: Annotated[tuple[int, int], WithJsonSchema(_WINDOW_SCHEMA)] | None = Field(None, description=_WORDS)
    quality: int | None = Field(None, description="The PDQ quality of the frame or page, 0 to 100.")
    signals: list[SignalText] = Field(description="The hashes of the frame, without those that are suppressed.")
    begins_shot: Annotated[bool | None, OMIT_DEFAULT] = Field(
        None,
        description=(
            "Whether a shot begins with it; present only if this does not follow from the signals that are left."
        ),
    )

    @classmethod
    def fields_from(cls, value: Frame) -> dict[str, Any]:
        """The fields of the model, by name."""
        return shown_frame_fields(value)

    def to_domain(self) -> Frame:
        """The inverse of `from_domain`."""
        unit, at, length = FramePlace.from_fields(self)
        signals = tuple(self.signals)
        return Frame(at, signals, self.quality, unit=unit, length=length, begins_shot=self.begins_shot)


def frame_fields(frame: Frame) -> dict[str, Any]:
    """The fields of a frame as it is sent."""
    signals, first = list(frame.signals), int(frame.at)
    if frame.unit is Unit.WORDS:
        return {"words": (first, first + frame.length), "signals": signals}
    place: dict[str, Any] = {"at": frame.at} if frame.unit is Unit.SECONDS else {"page": first}
    return {**place, "quality": frame.quality, "signals": signals}


def shown_frame_fields(frame: Frame) -> dict[str, Any]:
    """The fields of `FrameOut`, for lists and feeds."""
    fields = frame_fields(frame)
    if frame.begins_shot is not None:
        fields["begins_shot"] = frame.begins_shot
    return fields


class FramesOut(PageModel):
    """A page of the frames of a contribution."""

    frames: list[FrameOut] = Field(
        description="The frames of this page, in ascending time; of a document its pages, then windows of its words."
    )
    next: Next

    @classmethod
    def from_frames(cls, frames: Sequence[Frame], after: int, limit: int) -> Self:
        """The page of at most `limit` frames past the first `after`."""
        page, last = frames[after : after + limit], after + limit
        return cls.build(frames=list(map(FrameOut.from_domain, page)), next=last if last < len(frames) else None)


def limit_signals(transforms: dict[str, Sequence[Any]], *, most: int = SIGNALS_AN_ITEM) -> dict[str, Sequence[Any]]:
    """The hashes of altered forms of an item, `most` at most together. A validator."""
    if sum(map(len, transforms.values())) > most:
        raise ValueError(f"must be at most {most} signals in all")
    return transforms


def _check_enabled(signal: Signal, info: ValidationInfo) -> Signal:
    if isinstance(info.context, ValidationContext):
        if fault := info.context.rules.algorithm_fault(signal.algorithm):
            raise ValueError(fault)
    return signal


TransformName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
EnabledSignal = Annotated[SignalText, AfterValidator(_check_enabled)]
_FrameSignal = Annotated[EnabledSignal, AfterValidator(_check_place)]

# A default comes from a factory: pydantic would copy it for each query. This adds it to the schema.
EMPTY_DEFAULT: dict[str, Any] = {"default": {}}


class QueryFrameIn(_PlacedIn):
    """A frame of a video, a page of a document, or a window of the words of a text, to match."""

    signals: Annotated[list[_FrameSignal], Len(1, SIGNALS_AN_ITEM)] = Field(
        description="The hashes of the frame or page. With `words`: `simhash256`."
    )
    quality: Annotated[Annotated[int, Ge(0), Le(100)] | None, AfterValidator(_refuse_quality_of_words)] = Field(
        None, description="The PDQ quality of the frame or page. One below 50 is not searched for."
    )
    transforms: Annotated[
        dict[TransformName, Annotated[list[_FrameSignal], FailFast()]], AfterValidator(limit_signals)
    ] = Field(
        default_factory=dict,
        description="Hashes of altered forms of the frame, such as mirrored, by the name of the transform.",
        json_schema_extra=EMPTY_DEFAULT,
    )

    def to_domain(self) -> Frame:
        """The frame."""
        transforms = {name: tuple(signals) for name, signals in self.transforms.items()}
        unit, at, length = FramePlace.from_fields(self)
        return Frame(at, tuple(dict.fromkeys(self.signals)), self.quality, transforms, unit, length)

    @classmethod
    def from_domain(cls, frame: Frame) -> Self:
        """The frame as it is sent."""
        fields = frame_fields(frame)
        if frame.transforms:
            fields["transforms"] = {name: list(signals) for name, signals in frame.transforms.items()}
        return cls.build(**fields)


QueryFramesIn = Annotated[list[QueryFrameIn], Len(0, FRAMES_AN_ITEM), FailFast(), AfterValidator(check_frames)]


def drafts_in_requests(drafts: Iterable[Draft]) -> Iterator[list[Draft]]:
    """The drafts in parts, each within the limits of one request; there is at least one part."""
    return in_parts(drafts, lambda draft: (1, len(draft.frames)), (DRAFTS_A_REQUEST, FRAMES_A_REQUEST))


def in_parts(
    items: Iterable[_Item], count: Callable[[_Item], Sequence[int]], limits: Sequence[int]
) -> Iterator[list[_Item]]:
    """The items in parts, in each of which the sums of what `count` returns are within `limits`; at least one part.

    An item that exceeds a limit by itself is a part by itself.
    """
    part: list[_Item] = []
    sums: Sequence[int] = [0] * len(limits)
    for item in items:
        counts = count(item)
        sums = tuple(map(add, sums, counts))
        if part and any(map(gt, sums, limits)):
            yield part
            part, sums = [], counts
        part.append(item)
    yield part


def read_with_frames(model: type[_Request], text: bytes, context: ValidationContext) -> _Request:
    """The model of a JSON text whose items may have frames.

    Raises MalformedRequest, TooLarge, or InvalidInput with every fault.
    """
    check_size(text)
    try:
        return model.model_validate_json(text, context=context)
    except ValidationError as error:
        raise error_from_validation(error, text, more=further_faults(locations_of(error), text, context)) from None


# By the field of a request that lists items: the model of their frames.
_MODELS: Mapping[str, type[RequestModel]] = {"contributions": FrameIn, "queries": QueryFrameIn, "uploads": QueryFrameIn}


def further_faults(
    locations: Iterable[Sequence[int | str]], text: bytes, context: ValidationContext
) -> Iterator[Fault]:
    """The faults of the frames behind the first faulty one of each item, at which its validation stopped.

    `locations` has where the faults are that pydantic found.
    """
    # By the field that lists items and the position of an item: the position of its first faulty frame.
    first_faulty: dict[tuple[str, int], int] = {}
    for location in locations:
        if len(location) > 3 and location[2] == "frames":
            items, position, _, number, *_ = location
            first_faulty.setdefault((str(items), int(position)), int(number))
    request = json.loads(text) if first_faulty else {}
    for (items, position), faulty in first_faulty.items():
        for number, frame in enumerate(request[items][position]["frames"][faulty + 1 :], faulty + 1):
            # Objects are few, by `check_size`; of other values there may be a million.
            if isinstance(frame, dict):
                try:
                    _MODELS[items].model_validate_json(json.dumps(frame), context=context)
                except ValidationError as frame_error:
                    invalid = error_from_validation(frame_error, within=(items, position, "frames", number))
                    yield from invalid.faults if isinstance(invalid, InvalidInput) else ()
