"""Frames and shots: what is kept of a video."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal

FRAMES_AN_ITEM: Final = 7_200
"""Two hours with a frame a second."""
FRAMES_A_REQUEST: Final = 20_000
MAX_SECONDS: Final = 86_400
"""A day: the longest video whose frames are taken."""
MOST_TIMES: Final = 500
"""Shots of a listed video with the same value that are aligned with a query, the first ones: a loop has thousands."""
NEAR: Final = 8
"""Bits of PDQ within which a frame belongs to the shot of a frame before it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A hashed picture of a video.

    `at` is in seconds from the start, to the millisecond. `transforms` are for queries, as those of a picture.
    """

    at: float
    signals: tuple[Signal, ...]
    quality: int | None = None
    transforms: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict, hash=False)

    @property
    def matches(self) -> bool:
        """Whether it is searched for: below quality 50, its hash would match other frames by accident."""
        return self.quality is None or self.quality >= MINIMUM_QUALITY


@dataclass(frozen=True, slots=True)
class Shot:
    """Frames next to each other that are near-duplicates. Only the first one is searched for.

    The others have no signal but PDQ, within 8 bits of the first.
    """

    frames: tuple[Frame, ...]
    masked: int = 0
    """How many signals of a recorded shot are suppressed, because they are near a benign entry; it has the others."""

    @property
    def start(self) -> float:
        """The time of the first frame, in seconds."""
        return self.frames[0].at

    @property
    def end(self) -> float:
        """The time of the last frame, in seconds."""
        return self.frames[-1].at


def with_pdq(frames: Iterable[Frame]) -> tuple[Frame, ...]:
    """The frames that have PDQ, each with its own PDQ alone, which is the first one: others are of its variants."""
    found: list[Frame] = []
    for frame in frames:
        own = next((signal for signal in frame.signals if signal.algorithm is Algorithm.PDQ), None)
        if own is not None:
            found.append(Frame(frame.at, (own,), frame.quality))
    return tuple(found)


def split_shots(frames: Iterable[Frame]) -> Iterator[Shot]:
    """The frames of a video, in ascending time, as shots."""
    shot: list[Frame] = []
    for frame in frames:
        if shot and not _continues(shot[0], frame):
            yield Shot(tuple(shot))
            shot = []
        shot.append(frame)
    if shot:
        yield Shot(tuple(shot))


def searched(frames: Iterable[Frame]) -> list[Frame]:
    """The frames of a video that are searched for: the first one of each shot, unless its quality is below 50."""
    return [shot.frames[0] for shot in split_shots(frames) if shot.frames[0].matches]


def _continues(first: Frame, frame: Frame) -> bool:
    """Whether a frame belongs to the shot that begins with `first`."""
    if first.matches is not frame.matches or len(frame.signals) > 1:
        return False
    if not frame.signals or not first.signals:
        return not frame.signals and not first.signals
    one, other = first.signals[0], frame.signals[0]
    return one.algorithm is other.algorithm is Algorithm.PDQ and one.distance(other) <= NEAR
