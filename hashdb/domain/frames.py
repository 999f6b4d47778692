"""Frames and shots: what is stored of a video, of a document and of a text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final, NamedTuple

from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal

FRAMES_AN_ITEM: Final = 7_200
"""The most frames of an item: two hours with a frame a second."""
FRAMES_A_REQUEST: Final = 20_000
"""The most frames of all items of a request together."""
MAX_SECONDS: Final = 86_400
"""A day: the longest video whose frames are accepted."""
MAX_PAGES: Final = 100_000
MAX_WORDS: Final = 2_000_000
"""The longest text whose windows are accepted: a shelf of books."""
MAX_WINDOW: Final = 2_000
"""The most words of a window."""
MOST_SHOTS_OF_SIGNAL: Final = 500
"""How many shots of a listed item with one signal are aligned with a query, at most: the first ones.

A video that is a loop has thousands of shots with the same signal.
"""
SAME_SHOT_BITS: Final = 8
"""Bits of PDQ within which a frame belongs to the shot that an earlier frame began."""


class Unit(StrEnum):
    """What the place of a frame is counted in.

    `seconds`: of a video, from its start. `pages`: of a document, from 1. `words`: of a text, from 0.
    """

    SECONDS = "seconds"
    PAGES = "pages"
    WORDS = "words"

    __hash__ = str.__hash__


STEP: Final[Mapping[Unit, float]] = {Unit.SECONDS: 1.0, Unit.PAGES: 1.0, Unit.WORDS: 50.0}
"""The usual distance from one frame of a stored item to the next, in its unit. Alignment counts in such steps."""


class Extent(NamedTuple):
    """How long an item with frames is: a video in seconds, a document in pages, in words, or in both."""

    duration: float | None = None
    pages: int | None = None
    words: int | None = None

    def length_in(self, unit: Unit) -> float:
        """The length in a unit; 0 if it has no frames in it."""
        return (self.duration if unit is Unit.SECONDS else self.pages if unit is Unit.PAGES else self.words) or 0.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A hashed place of an item: a picture of a video, a page of a document, a window of the words of a text.

    `at` is in `unit`: seconds from the start, to the millisecond; the number of the page, from 1; the number of the
    window's first word, from 0. `length` is how many words a window has, else 0. `transforms` are for queries, as
    those of a picture.
    """

    at: float
    signals: tuple[Signal, ...]
    quality: int | None = None
    transforms: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict, hash=False)
    unit: Unit = Unit.SECONDS
    length: int = 0
    begins_shot: bool | None = field(default=None, compare=False)
    """Whether a shot begins with this frame; None if that follows from its signals.

    It does not follow from them if some are suppressed.
    """

    @property
    def matches(self) -> bool:
        """Whether it is searched for: below quality 50, its hash would match other frames by accident."""
        return self.quality is None or self.quality >= MINIMUM_QUALITY

    @property
    def end(self) -> float:
        """The place after its last word; its own place, if it is of a picture."""
        return self.at + self.length


def extent_of(frames: Iterable[Frame], duration: float | None = None) -> Extent | None:
    """How long the item with these frames is, by its last page or word; None without frames.

    `duration` is the length of a video, in seconds.
    """
    ends: dict[Unit, float] = {}
    for frame in frames:
        # A window may be shorter than the one before.
        ends[frame.unit] = max(frame.end, ends.get(frame.unit, 0.0))
    if not ends:
        return None
    pages, words = ends.get(Unit.PAGES), ends.get(Unit.WORDS)
    return Extent(duration, None if pages is None else int(pages), None if words is None else int(words))


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames of a video next to each other that are near-duplicates, or a page, or a window of words.

    Only the first frame is searched for. The others have no signal but PDQ, within 8 bits of the first.
    """

    frames: tuple[Frame, ...]
    masked: int = 0
    """How many signals of a recorded shot are suppressed, because they are near a benign entry; it has the others."""

    @property
    def unit(self) -> Unit:
        """What the places are counted in."""
        return self.frames[0].unit

    @property
    def start(self) -> float:
        """The place of the first frame, in `unit`."""
        return self.frames[0].at

    @property
    def end(self) -> float:
        """The place of the last frame, in `unit`; of a window of words, that after its last word."""
        return self.frames[-1].end


def with_pdq(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """The frames of a video that have PDQ, each with its first PDQ signal alone: further ones are of its variants."""
    reduced: list[Frame] = []
    for frame in frames:
        pdq = next((signal for signal in frame.signals if signal.algorithm is Algorithm.PDQ), None)
        if pdq is not None and frame.unit is Unit.SECONDS:
            reduced.append(Frame(frame.at, (pdq,), frame.quality))
    return tuple(reduced)


def split_shots(frames: Iterable[Frame]) -> Iterator[Shot]:
    """The frames of an item, in ascending order, as shots. A page and a window of words is a shot by itself."""
    shot: list[Frame] = []
    for frame in frames:
        if shot and _begins(shot[0], frame):
            yield Shot(tuple(shot))
            shot = []
        shot.append(frame)
    if shot:
        yield Shot(tuple(shot))


def mark_shots(shots: Iterable[Sequence[Frame]]) -> Iterator[Frame]:
    """The frames of these shots, which lack their suppressed signals, for a reader that must make the same shots.

    `split_shots` tells from the signals where a shot begins. Where the signals that are left would give another answer,
    the frame gets the right one in `begins_shot`.
    """
    first: Frame | None = None
    for shot in shots:
        for place, frame in enumerate(shot):
            begins = place == 0
            marked = first is not None and _begins(first, frame) is not begins
            yield replace(frame, begins_shot=begins) if marked else frame
            first = frame if begins else first


def searched_frames(frames: Iterable[Frame]) -> list[Frame]:
    """The frames of an item that are searched for: the first one of each shot, unless its quality is below 50."""
    return [shot.frames[0] for shot in split_shots(frames) if shot.frames[0].matches]


def _begins(first: Frame, frame: Frame) -> bool:
    """Whether a frame begins another shot than the one that begins with `first`."""
    return not _continues(first, frame) if frame.begins_shot is None else frame.begins_shot


def _continues(first: Frame, frame: Frame) -> bool:
    """Whether a frame belongs to the shot that begins with `first`."""
    if frame.unit is not Unit.SECONDS or first.matches is not frame.matches or len(frame.signals) > 1:
        return False
    if not frame.signals or not first.signals:
        return not frame.signals and not first.signals
    begun, signal = first.signals[0], frame.signals[0]
    return begun.algorithm is signal.algorithm is Algorithm.PDQ and begun.distance(signal) <= SAME_SHOT_BITS
