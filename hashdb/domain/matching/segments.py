"""Segments: which seconds of a query are which seconds of a listed video."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of the query, and the stretch of the listed video that it shows. Times are seconds from the start.

    `frames` of the query are near the listed frames at their place, of `possible` that the stretch has. `speed` is
    listed seconds a query second. `distance` is the smallest one, in bits; None if the key
    hides distances. `transform` is the one that most frames
    were found through.
    """

    query: tuple[float, float]
    listed: tuple[float, float]
    speed: float
    frames: int
    possible: int
    distance: int | None
    transform: str | None = None

    @property
    def seconds(self) -> float:
        """The length of the stretch of the query."""
        return self.query[1] - self.query[0]

    def within(self, query: float, listed: float) -> Segment:
        """The segment, cut at the ends of the two videos (seconds)."""
        (begin, end), (start, stop) = self.query, self.listed
        return replace(
            self,
            query=(min(begin, query), min(end, query)),
            listed=(min(start, listed), min(stop, listed)),
        )

    def rounded(self) -> Segment:
        """The segment with times to the millisecond, and the speed to a thousandth."""
        (begin, end), (start, stop) = self.query, self.listed
        return replace(
            self,
            query=(round(begin, 3), round(end, 3)),
            listed=(round(start, 3), round(stop, 3)),
            speed=round(self.speed, 3),
        )


class Covered(NamedTuple):
    """The shares of the query and of the listed video that segments cover, 0 to 1."""

    query: float
    listed: float


def share(stretches: Iterable[tuple[float, float]], duration: float) -> float:
    """The share of a duration (seconds) that the stretches cover together, 0 to 1."""
    covered, end = 0.0, 0.0
    for start, stop in sorted(stretches):
        covered += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return round(min(1.0, covered / duration), 4) if duration > 0 else 0.0
