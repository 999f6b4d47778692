"""Segments: which seconds, pages or words of a query are those of a listed item."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from hashdb.domain.frames import STEP, Unit


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the query, and the stretch of the listed item that it shows.

    A stretch has a beginning and an end, in `unit`: seconds from the start; the first and the last page, counted from
    1; the first word, counted from 0, and the one after the last.
    The query has `possible` frames in its stretch, of which `frames` are near the listed frames at their place. `speed`
    is listed seconds a query second, or pages a page, or words a word. `distance` is the smallest distance of these
    frames, in bits; None if the key hides distances. `transform` is the one that found most frames.
    """

    query: tuple[float, float]
    listed: tuple[float, float]
    speed: float
    frames: int
    possible: int
    distance: int | None
    transform: str | None = None
    unit: Unit = Unit.SECONDS

    @property
    def length(self) -> float:
        """The length of the stretch of the query, in `unit`."""
        return self.query[1] - self.query[0] + (self.unit is Unit.PAGES)

    @property
    def steps(self) -> float:
        """The length in steps, the usual distances between two frames of a listed item."""
        return self.length / STEP[self.unit]

    def within(self, query: float, listed: float) -> Segment:
        """The segment, cut at the ends of the two items, which have these lengths (in `unit`)."""
        (begin, end), (start, stop) = self.query, self.listed
        return replace(self, query=(min(begin, query), min(end, query)), listed=(min(start, listed), min(stop, listed)))

    def rounded(self) -> Segment:
        """The segment with times to the millisecond, whole pages and words, and the speed to a thousandth."""
        digits = 3 if self.unit is Unit.SECONDS else None
        (begin, end), (start, stop) = self.query, self.listed
        return replace(
            self,
            query=(round(begin, digits), round(end, digits)),
            listed=(round(start, digits), round(stop, digits)),
            speed=round(self.speed, 3),
        )


class Covered(NamedTuple):
    """The shares of the query and of the listed item that segments cover, 0 to 1."""

    query: float
    listed: float


def covered_share(stretches: Iterable[tuple[float, float]], length: float) -> float:
    """The share of a length that the stretches cover together, 0 to 1."""
    covered, end = 0.0, 0.0
    for start, stop in sorted(stretches):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return round(min(1.0, covered / length), 4) if length > 0 else 0.0
