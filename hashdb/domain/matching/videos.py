"""Which contributions a video matches: by aligned segments, by frames that are listed pictures, or by its digest."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from itertools import pairwise
from typing import Final, NamedTuple

from hashdb.domain.frames import Frame
from hashdb.domain.matching.alignment import MOST_HITS, Aligned, Hit, align, could_support, evenly, extend
from hashdb.domain.matching.matches import OVERRULING, FrameMatch, Holder, Query, VideoDetails
from hashdb.domain.matching.segments import Covered, Segment, share
from hashdb.domain.signals import Algorithm, Signal

LEAST_FRAMES: Final = 3
"""Distinct frames of both videos that a segment takes."""
MIN_SECONDS: Final = 3.0
"""Seconds of the query that a segment takes, where the query names none."""
INTERVAL: Final = 1.0
"""Seconds between two frames of a listed video."""
NEARLY_ALL: Final = 0.8
"""The share of a listed video from which one frame is enough: a still, a short animation."""
MOST_ALIGNED: Final = 1_000
"""Listed videos that are aligned with one query: as many as are returned."""
MOST_WORK: Final = 600_000
"""Hits that are looked at, and shots that are read or compared for a request, about four seconds.

To compare a shot counts as many steps as it has signals.
"""
MOST_FRAMES: Final = 100
"""Frames of a video that are near one listed picture, and times of one listed video: the first ones are returned."""


class ShotTimes(NamedTuple):
    """From when to when a listed video shows a value, in seconds from its start."""

    start: float
    end: float


Shots = Mapping[tuple[int, Signal], Sequence[ShotTimes]]
"""By contribution and signal, the shots that have it; empty for a signal of the whole item."""


class ListedShot(NamedTuple):
    """A shot of a listed video, with the signals that are searched for."""

    start: float
    end: float
    signals: Sequence[Signal]


ReadShots = Callable[[int], Sequence[ListedShot]]
"""Returns the shots of a listed video, in ascending time."""

OverrulingAlgorithms = Callable[[Collection[int]], Mapping[int, frozenset[Algorithm]]]
"""Returns, for each contribution, the algorithms of its matchable signals that overrule phash."""

WIDE: Final = {Algorithm.PDQ: 76, Algorithm.PHASH256: 80}
"""Bits within which a frame resembles the listed one at its place; frames of different pictures are about 128 apart."""
_BESIDE: Final = 0.75
"""Seconds beside its place on the line within which a frame is compared."""


class ContributionMatched(NamedTuple):
    """How frames of a query match a contribution, and its signals that they are near.

    Each signal has its distance in bits to the nearest frame, and the transform that found it.
    """

    details: VideoDetails
    holders: Sequence[tuple[Holder, int, str | None]]


class FramesMatched(dict[int, ContributionMatched]):
    """By contribution, how the frames of one query match it.

    `truncated` says that there may be more: listed videos near the query were not aligned, or some of its frames were
    not searched for.
    """

    truncated = False


class Expanded(NamedTuple):
    """The queries that are searched for: those that were asked, then one for each frame of theirs."""

    queries: Sequence[Query]
    frames: Mapping[int, range]
    """By the position of a query with frames, the positions of those of its frames."""


def expand(queries: Sequence[Query]) -> Expanded:
    """The queries with a further one for each frame that is searched for."""
    every, frames = list(queries), dict[int, range]()
    for position, query in enumerate(queries):
        if query.frames:
            start = len(every)
            every += [
                Query(frame.signals, radius=query.radius, transforms=frame.transforms)
                for frame in query.frames
                if frame.matches
            ]
            frames[position] = range(start, len(every))
    return Expanded(every if frames else queries, frames)


def match_videos(
    queries: Sequence[Query],
    expanded: Expanded,
    suggested: Sequence[Mapping[Signal, int]],
    through: Sequence[Mapping[Signal, str]],
    held: Mapping[Signal, Sequence[Holder]],
    shots: Shots,
    read: ReadShots,
    having: OverrulingAlgorithms,
    thinned: Set[int] = frozenset(),
) -> dict[int, FramesMatched]:
    """What the frames of each query match, by the position of the query.

    At most `MOST_ALIGNED` listed videos are aligned with a query, those with the most hits first. The work on all
    queries is bounded: those with the fewest hits come first. `thinned` has the positions of the queries of which some
    frames were not searched for.
    """
    shown = {signal: sum(len(shots.get((one.contribution, signal), ())) for one in of) for signal, of in held.items()}

    def hits(position: int) -> int:
        return sum(shown.get(signal, 0) for place in expanded.frames[position] for signal in suggested[place])

    matched: dict[int, FramesMatched] = {}
    budget = _Budget(MOST_WORK)
    for position in sorted(expanded.frames, key=hits):
        query = queries[position]
        frames = [frame for frame in query.frames if frame.matches]
        near: dict[Signal, list[_Near]] = defaultdict(list)
        for frame, place in zip(frames, expanded.frames[position], strict=True):
            for signal, distance in suggested[place].items():
                near[signal].append(_Near(frame.at, distance, through[place].get(signal)))
        matched[position] = _match_frames(query, frames, near, held, shots, read, having, budget)
        matched[position].truncated |= position in thinned
    return matched


class _Budget:
    """The steps that are left for a request."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    @property
    def is_spent(self) -> bool:
        return self._left <= 0

    def spend(self, steps: int) -> None:
        self._left -= steps


class _Near(NamedTuple):
    """A frame of the query that is near a stored signal, and the transform that found it."""

    at: float
    distance: int
    transform: str | None


_NearBySignal = Mapping[Signal, Sequence[_Near]]
"""By stored signal, the frames of the query that are near it, in ascending time."""


def _match_frames(
    query: Query,
    frames: Sequence[Frame],
    near: _NearBySignal,
    held: Mapping[Signal, Sequence[Holder]],
    shots: Shots,
    read: ReadShots,
    having: OverrulingAlgorithms,
    budget: _Budget,
) -> FramesMatched:
    """The contributions that frames match. `frames` are in ascending time, also those that are near nothing."""
    groups: dict[int, list[Holder]] = defaultdict(list)
    for signal in near:
        for holder in held.get(signal, ()):
            groups[holder.contribution].append(holder)
    weights = {signal: len(held.get(signal, ())) ** -0.5 for signal in near if held.get(signal)}
    details: dict[int, VideoDetails] = {}
    pictures: dict[int, list[Signal]] = {}
    listed: dict[int, dict[Signal, Sequence[ShotTimes]]] = {}
    for id, group in groups.items():
        times = {holder.signal: shots.get((id, holder.signal), ()) for holder in group}
        if any(times.values()):
            listed[id] = times
        if of_picture := [signal for signal, stretches in times.items() if not stretches]:
            pictures[id] = of_picture
    by_phash = [id for id, signals in pictures.items() if any(_is_phash(signal) for signal in signals)]
    overruling = having(by_phash) if by_phash else {}
    of_pictures = _Pictures(frames, near)
    for id, signals in pictures.items():
        if seen := of_pictures.matches(signals, overruling.get(id, frozenset())):
            details[id] = VideoDetails(frames=seen)

    ranked = sorted(listed, key=lambda id: (-_most_hits(near, listed[id]), id))
    aligner = _Aligner(query, frames, near, weights, read, budget)
    matched = FramesMatched()
    for place, id in enumerate(ranked):
        if place == MOST_ALIGNED or budget.is_spent:
            matched.truncated = True
            break
        if segments := aligner.segments(id, listed[id], groups[id][0].duration or 0.0):
            covered = Covered(
                share([segment.query for segment in segments], query.duration or 0.0),
                share([segment.listed for segment in segments], groups[id][0].duration or 0.0),
            )
            details[id] = details.get(id, VideoDetails())._replace(segments=segments, covered=covered)
    nearest = {signal: min(group, key=_by_distance) for signal, group in near.items()}
    for id, of_id in details.items():
        holders = [(each, nearest[each.signal].distance, nearest[each.signal].transform) for each in groups[id]]
        matched[id] = ContributionMatched(of_id, holders)
    return matched


def _by_distance(near: _Near) -> int:
    return near.distance


def _most_hits(near: _NearBySignal, times: Mapping[Signal, Sequence[ShotTimes]]) -> int:
    """How many frames of the query, or of the listed video if those are fewer, may be near one of the other."""
    return min(
        sum(len(near[signal]) for signal, stretches in times.items() if stretches),
        sum(len(stretches) for stretches in times.values()),
    )


class _Pictures:
    """The frames of a query that are near listed pictures; pictures often share signals."""

    def __init__(self, frames: Sequence[Frame], near: _NearBySignal) -> None:
        self._near = near
        self._decisive = {
            frame.at: OVERRULING.intersection([signal.algorithm for signal in frame.signals]) for frame in frames
        }
        self._known: dict[tuple[object, ...], tuple[FrameMatch, ...]] = {}

    def matches(self, signals: Sequence[Signal], overruling: frozenset[Algorithm]) -> tuple[FrameMatch, ...]:
        """The first `MOST_FRAMES` of the frames that are near one of these signals.

        `overruling` are the algorithms of the picture that overrule phash in frames that have them too.
        """
        key = tuple(signals), overruling
        if key not in self._known:
            distances: dict[float, dict[Algorithm, int]] = defaultdict(dict)
            for signal in signals:
                for at, distance, _ in self._near[signal][:MOST_FRAMES]:
                    known = distances[at].get(signal.algorithm, distance)
                    distances[at][signal.algorithm] = min(distance, known)
            told = [
                at
                for at in sorted(distances)
                if distances[at].keys() != {Algorithm.PHASH} or overruling.isdisjoint(self._decisive[at])
            ]
            self._known[key] = tuple(FrameMatch(at, distances[at]) for at in told[:MOST_FRAMES])
        return self._known[key]


class _Aligner:
    """Aligns one query with listed videos, within the budget of its request."""

    def __init__(
        self,
        query: Query,
        frames: Sequence[Frame],
        near: _NearBySignal,
        weights: Mapping[Signal, float],
        read: ReadShots,
        budget: _Budget,
    ) -> None:
        self._query, self._frames, self._near, self._weights = query, frames, near, weights
        self._read, self._budget = read, budget
        self._ats = [frame.at for frame in frames]
        self._interval = _interval(self._ats)

    def segments(self, id: int, times: Mapping[Signal, Sequence[ShotTimes]], duration: float) -> tuple[Segment, ...]:
        """The segments of a listed video of this duration (seconds) that are long enough, longest first.

        `times` are those of the signals that the query is near.
        """
        hits = self._hits(times)
        self._budget.spend(len(hits))
        # A listed video that shows hardly anything else has no further frames that could agree.
        shown = share([(hit.start, hit.end + INTERVAL) for hit in hits], duration)
        least = LEAST_FRAMES if shown < NEARLY_ALL else 1
        if could_support(hits) < least:
            return ()
        found = align(hits, self._ats, self._interval, least)
        self._budget.spend(len(found) * len(hits))
        least_seconds = self._query.min_seconds
        long = min(MIN_SECONDS, NEARLY_ALL * duration) if least_seconds is None else least_seconds
        extended = [self._extend(id, each) for each in found]
        kept: list[Segment] = []
        for segment in sorted(extended, key=lambda segment: (-segment.seconds, segment.query)):
            if segment.seconds >= long and not any(_is_within(segment, other) for other in kept):
                kept.append(segment)
        # The last frame stands for a whole interval, which may go on past the end.
        ends = self._query.duration or math.inf, duration or math.inf
        return tuple(segment.within(*ends).rounded() for segment in kept)

    def _hits(self, times: Mapping[Signal, Sequence[ShotTimes]]) -> list[Hit]:
        """The hits on a listed video; of very many those of the signals that tell the most, and some of the others."""
        hits: list[Hit] = []
        signals = sorted(times, key=lambda signal: len(self._near[signal]) * len(times[signal]))
        for place, signal in enumerate(signals):
            near, stretches = self._near[signal], times[signal]
            room = max(1, (MOST_HITS - len(hits)) // (len(signals) - place))
            radius, weight = signal.algorithm.radius, self._weights[signal]
            for at, distance, transform in evenly(near, room):
                nearness = max(0.0, 1 - distance / max(radius, 1))
                beside = _beside(at, stretches, max(1, room // len(near)))
                hits += [Hit(at, start, end, distance, nearness, transform, weight) for start, end in beside]
        return hits

    def _extend(self, id: int, aligned: Aligned) -> Segment:
        """The segment, with the frames before and after it that resemble the listed ones at their place."""
        if self._budget.is_spent:
            return aligned.segment
        shots = self._read(id)
        starts = [shot.start for shot in shots]
        longest = max((shot.end - shot.start for shot in shots), default=0.0)
        self._budget.spend(len(shots))

        def resembles(position: int, place: float) -> bool:
            frame, transform = self._frames[position], aligned.segment.transform
            own = firsts(frame.signals if transform is None else frame.transforms.get(transform, ()))
            first = bisect_left(starts, place - _BESIDE - longest)
            last = bisect_right(starts, place + _BESIDE)
            for number in range(first, last):
                if self._budget.is_spent:
                    return False
                shot = shots[number]
                is_beside = shot.end >= place - _BESIDE
                self._budget.spend(len(shot.signals) if is_beside else 1)
                if is_beside and any(_resemble(own.get(listed.algorithm), listed) for listed in shot.signals):
                    return True
            return False

        return extend(aligned, self._ats, self._interval, resembles)


def firsts(signals: Iterable[Signal]) -> dict[Algorithm, Signal]:
    """The hashes of a frame itself: the first of each algorithm; the others are of its variants."""
    found: dict[Algorithm, Signal] = {}
    for signal in signals:
        found.setdefault(signal.algorithm, signal)
    return found


def _resemble(own: Signal | None, listed: Signal) -> bool:
    return own is not None and own.distance(listed) <= WIDE.get(own.algorithm, 0)


def _is_phash(signal: Signal) -> bool:
    return signal.algorithm is Algorithm.PHASH


def _beside(at: float, stretches: Sequence[ShotTimes], most: int) -> Sequence[ShotTimes]:
    """At most so many of the shots that show the same; those at about the time of the query's frame.

    So the shots of frames that follow each other follow each other. A longer query shows the listed video repeatedly.
    """
    if len(stretches) <= most:
        return stretches
    place = bisect_left(stretches, (at % (stretches[-1].end + INTERVAL),))
    first = min(max(0, place - most // 2), len(stretches) - most)
    return stretches[first : first + most]


def _is_within(segment: Segment, other: Segment) -> bool:
    """Whether another segment shows the same: both of its stretches contain those of this one."""
    return all(
        outer[0] <= inner[0] and inner[1] <= outer[1]
        for inner, outer in ((segment.query, other.query), (segment.listed, other.listed))
    )


def _interval(times: Sequence[float]) -> float:
    """The usual seconds from one frame to the next; 1 for a single frame."""
    steps = sorted(after - before for before, after in pairwise(times))
    return steps[len(steps) // 2] if steps else 1.0


def of_videos(held: Mapping[Signal, Sequence[Holder]]) -> dict[int, set[Signal]]:
    """The signals that listed videos hold, by contribution."""
    signals_by_id: dict[int, set[Signal]] = defaultdict(set)
    for signal, holders in held.items():
        for holder in holders:
            if holder.duration is not None:
                signals_by_id[holder.contribution].add(signal)
    return signals_by_id


def times_of(id: int, signals: Iterable[Signal], shots: Shots) -> tuple[float, ...]:
    """When a listed video shows any of the signals, in seconds from its start, ascending."""
    return tuple(sorted({shot.start for signal in signals for shot in shots.get((id, signal), ())})[:MOST_FRAMES])
