"""Listed videos and texts in memory: the same search and the same rules as the service has, without a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from hashdb.domain.frames import Frame, extent_of, split_shots
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.matching.frames import expand, match_frames
from hashdb.domain.matching.matches import FrameDetails, Holder, Neighbor, Query
from hashdb.domain.matching.segments import Segment
from hashdb.domain.matching.suggestions import Search, suggest
from hashdb.domain.signals import Algorithm, Signal
from hashdb.evaluation.catalogue import ValueIndex, holder_of
from hashdb.index.vectors import Words, pack

WIDEST_RADIUS: Final = 88
"""The widest radius of PDQ, in bits, at which videos are compared; that of phash256 is wider by as much."""
WIDEST_OF_TEXTS: Final = 100
"""The widest radius of simhash256, in bits, at which texts are compared."""
_STEP: Final = 8
"""Bits between the radii that are tried first."""

Stretch = tuple[float, float]
"""From where to where, in seconds of a video or in words of a text."""


class Library:
    """Videos or texts that are listed under the numbers from 1 on."""

    def __init__(self, items: Sequence[tuple[Sequence[Frame], float | None]], *, texts: bool = False) -> None:
        """List videos, each with its frames and its duration in seconds, or texts, which have none."""
        # The algorithm by whose radius items are compared, and its widest radius.
        self._algorithm, self._widest = (
            (Algorithm.SIMHASH256, WIDEST_OF_TEXTS) if texts else (Algorithm.PDQ, WIDEST_RADIUS)
        )
        self._shots: list[list[ListedShot]] = []
        self._times: dict[tuple[int, Signal], list[ShotTimes]] = defaultdict(list)
        self._holders: dict[Signal, list[Holder]] = defaultdict(list)
        for number, (frames, duration) in enumerate(items, 1):
            extent = extent_of(frames, duration)
            shots = [
                ListedShot(shot.start, shot.end, shot.frames[0].signals, shot.unit)
                for shot in split_shots(frames)
                if shot.frames[0].matches
            ]
            self._shots.append(shots)
            for shot in shots:
                for signal in shot.signals:
                    self._times[number, signal].append(ShotTimes(shot.start, shot.end))
            for signal in dict.fromkeys(signal for shot in shots for signal in shot.signals):
                self._holders[signal].append(holder_of(signal, number, extent))
        self._index = ValueIndex(self._holders)

    @property
    def values(self) -> int:
        """How many distinct values are searched."""
        return len(self._index)

    def match(
        self,
        frames: Sequence[Frame],
        duration: float | None = None,
        search: Search | None = None,
        only_number: int | None = None,
    ) -> dict[int, FrameDetails]:
        """How a video or text matches the listed ones, by number, as in a service; with `only_number`, only this one.

        `search` finds what is near in another index that has their values too; by default, theirs alone is searched.
        """
        query = Query((), frames=tuple(frames), duration=duration)
        expanded = expand([query])
        # The near stored signals with their distances, and the transform through which each was found.
        suggested, through = suggest(expanded.queries, search or self._index.search)
        near = {signal for distances in suggested for signal in distances}
        holders = {
            signal: [holder for holder in self._holders[signal] if only_number in (None, holder.contribution)]
            for signal in near & self._holders.keys()
        }
        times = {
            (holder.contribution, signal): self._times[holder.contribution, signal]
            for signal, of_signal in holders.items()
            for holder in of_signal
        }
        # The functions read the shots of a listed item, and the overruling algorithms of contributions: none.
        matched = match_frames(
            [query], expanded, suggested, through, holders, times, lambda id: self._shots[id - 1], lambda ids: {}
        )
        return {id: of_frames.details for id, of_frames in matched.get(0, {}).items()}

    def distinct_values(self, algorithm: Algorithm) -> Words:
        """The distinct values of all listed items by one algorithm."""
        return pack([signal.value for signal in self._holders if signal.algorithm is algorithm], algorithm.bits)

    def least_radius(self, frames: Sequence[Frame], number: int, duration: float | None = None) -> int | None:
        """The least radius in bits at which an item matches the one with a number; None if the widest is too narrow.

        For a video it is the radius of PDQ, and that of phash256 is moved by as many bits; for a text, of simhash256.
        """
        signals = (signal for shot in self._shots[number - 1] for signal in shot.signals)
        near = _Near(signals, self._algorithm.radius, self._widest)

        def matches(radius: int) -> bool:
            return number in self.match(frames, duration, near.search_at(radius), only_number=number)

        # At a wide radius, what is near by chance can hide a short stretch: narrower ones are tried first.
        usual, widest = self._algorithm.radius, self._widest
        tried: tuple[int, ...] = (usual, *range(usual + _STEP, widest, _STEP), widest)
        first = next((place for place, radius in enumerate(tried) if matches(radius)), None)
        if first is None:
            return None
        low, high = tried[first - 1] if first else -1, tried[first]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if matches(middle) else (middle, high)
        return high


class _Near:
    """What is near the values of a query in one listed item, at any radius up to the widest."""

    def __init__(self, signals: Iterable[Signal], usual: int, widest: int) -> None:
        self._usual, self._beyond = usual, widest - usual
        self._index = ValueIndex(signals)
        self._neighbors: dict[Algorithm, dict[int, list[Neighbor]]] = defaultdict(dict)
        """By algorithm and value of the query, the neighbors that an earlier search found up to the widest radius."""

    def search_at(self, default: int) -> Search:
        """A search that takes this radius for the default one: distances are moved by the difference."""
        moved = default - self._usual

        def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
            known = self._neighbors[algorithm]
            new = [value for value in values if value not in known]
            known.update(zip(new, self._index.search(algorithm, new, algorithm.radius + self._beyond), strict=True))
            return [
                [
                    Neighbor(max(0, distance - moved), near)
                    for distance, near in known[value]
                    if distance <= radius + moved
                ]
                for value in values
            ]

        return search


def worst_ends(segments: Iterable[Segment], query: Stretch, listed: Stretch) -> list[float]:
    """How far off the worst end is of each segment that overlaps a stretch of the query and of the listed item."""
    return [
        max(abs(a - b) for a, b in zip((*segment.query, *segment.listed), (*query, *listed), strict=True))
        for segment in segments
        if _overlap(segment.query, query) and _overlap(segment.listed, listed)
    ]


def _overlap(first: Stretch, second: Stretch) -> bool:
    return min(first[1], second[1]) > max(first[0], second[0])
