"""Listed videos and texts in memory: the same search and the same rules as the service has, without a database."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Frame, extent_of, split_shots
from hashdb.domain.matching.aligners import ListedShot, ShotTimes
from hashdb.domain.matching.frames import expand, match_frames
from hashdb.domain.matching.matches import FrameDetails, Holder, MatchDetails, Neighbor, Query
from hashdb.domain.matching.suggestions import Search, suggest
from hashdb.domain.signals import Algorithm, Signal
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import Words, pack, unpack

WIDEST: Final = 88
"""The widest radius of PDQ, in bits, at which videos are compared; that of phash256 is wider by as much."""
WIDEST_OF_TEXTS: Final = 100
"""The widest radius of simhash256, in bits, at which texts are compared."""
_STEP: Final = 8
"""Bits between the radii that are tried first."""
_ABOUT = MatchDetails((), (), None, datetime(2026, 1, 1, tzinfo=UTC))


class Library:
    """Videos or texts that are listed under the numbers from 1 on."""

    def __init__(self, items: Sequence[tuple[Sequence[Frame], float | None]], *, texts: bool = False) -> None:
        """List videos, each with its frames and its duration in seconds, or texts, which have none."""
        self._measure, self._widest = (Algorithm.SIMHASH256, WIDEST_OF_TEXTS) if texts else (Algorithm.PDQ, WIDEST)
        self._shots: list[list[ListedShot]] = []
        self._times: dict[tuple[int, Signal], list[ShotTimes]] = defaultdict(list)
        self._holders: dict[Signal, list[Holder]] = defaultdict(list)
        self._values: list[dict[Algorithm, Words]] = []
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
                holder = Holder(signal, number, number, None, Standing.UNREVIEWED, _ABOUT, extent)
                self._holders[signal].append(holder)
            self._values.append(_by_algorithm(signal for shot in shots for signal in shot.signals))
        every = _by_algorithm(self._holders)
        self._segments = {
            algorithm: build_segment(words, algorithm.radius) for algorithm, words in every.items() if len(words)
        }

    @property
    def values(self) -> int:
        """How many distinct values are searched."""
        return sum(map(len, self._segments.values()))

    def match(
        self, frames: Sequence[Frame], duration: float | None = None, search: Search | None = None
    ) -> dict[int, FrameDetails]:
        """How a video or text matches the listed ones, by number, as the service answers.

        `search` finds what is near in another index that has their values too; by default, theirs alone is searched.
        """
        return self._match(frames, duration, search or self._search)

    def words(self, algorithm: Algorithm) -> Words:
        """The distinct values of all listed items by one algorithm."""
        return pack([signal.value for signal in self._holders if signal.algorithm is algorithm], algorithm.bits)

    def least_radius(self, frames: Sequence[Frame], duration: float | None, number: int) -> int | None:
        """The least radius in bits at which an item matches a listed one; None if the widest is too narrow.

        That of PDQ for a video, with that of phash256 moved by the same number of bits; that of simhash256 for a text.
        """
        near = _Near(self._values[number - 1], self._measure.radius, self._widest)

        def matches(radius: int) -> bool:
            return number in self._match(frames, duration, near.at(radius), {number})

        # At a wide radius, what is near by chance can hide a short stretch: narrower ones are tried first.
        usual, widest = self._measure.radius, self._widest
        tried: tuple[int, ...] = (usual, *range(usual + _STEP, widest, _STEP), widest)
        first = next((place for place, radius in enumerate(tried) if matches(radius)), None)
        if first is None:
            return None
        low, high = tried[first - 1] if first else -1, tried[first]
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if matches(middle) else (middle, high)
        return high

    def _match(
        self, frames: Sequence[Frame], duration: float | None, search: Search, only: Collection[int] | None = None
    ) -> dict[int, FrameDetails]:
        query = Query((), frames=tuple(frames), duration=duration)
        expanded = expand([query])
        suggested, through = suggest(expanded.queries, search)
        found = {signal for distances in suggested for signal in distances}
        held = {
            signal: [holder for holder in self._holders[signal] if only is None or holder.contribution in only]
            for signal in found & self._holders.keys()
        }
        times = {
            (holder.contribution, signal): self._times[holder.contribution, signal]
            for signal, holders in held.items()
            for holder in holders
        }
        matched = match_frames(
            [query], expanded, suggested, through, held, times, lambda id: self._shots[id - 1], lambda ids: {}
        )
        return {id: of_frames.details for id, of_frames in matched.get(0, {}).items()}

    def _search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        return _search(self._segments.get(algorithm), values, algorithm.bits, radius)


class _Near:
    """What is near the values of a query in one listed video, at any radius up to the widest."""

    def __init__(self, values: Mapping[Algorithm, Words], usual: int, widest: int) -> None:
        self._usual, self._further = usual, widest - usual
        self._segments = {
            algorithm: build_segment(words, algorithm.radius) for algorithm, words in values.items() if len(words)
        }
        self._known: dict[Algorithm, dict[int, list[Neighbor]]] = defaultdict(dict)

    def at(self, radius: int) -> Search:
        """A search that takes this radius for the default one: distances are moved by the difference."""
        moved = radius - self._usual

        def search(algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
            known = self._all(algorithm, values)
            return [
                [
                    Neighbor(max(0, distance - moved), value)
                    for distance, value in known[asked]
                    if distance <= radius + moved
                ]
                for asked in values
            ]

        return search

    def _all(self, algorithm: Algorithm, values: Sequence[int]) -> Mapping[int, list[Neighbor]]:
        known = self._known[algorithm]
        new = [value for value in values if value not in known]
        wide = algorithm.radius + self._further
        known.update(zip(new, _search(self._segments.get(algorithm), new, algorithm.bits, wide), strict=True))
        return known


def _search(segment: Segment | None, values: Sequence[int], bits: int, radius: int) -> list[list[Neighbor]]:
    found: list[list[Neighbor]] = [[] for _ in values]
    if segment is not None and values:
        hits = segment.search(pack(values, bits), radius)
        stored = unpack(segment.words(hits.rows))
        for query, distance, value in zip(hits.queries.tolist(), hits.distances.tolist(), stored, strict=True):
            found[query].append(Neighbor(distance, value))
    return [sorted(neighbors) for neighbors in found]


def _by_algorithm(signals: Iterable[Signal]) -> dict[Algorithm, Words]:
    values: dict[Algorithm, dict[int, None]] = defaultdict(dict)
    for signal in signals:
        values[signal.algorithm][signal.value] = None
    return {algorithm: pack(list(each), algorithm.bits) for algorithm, each in values.items()}
