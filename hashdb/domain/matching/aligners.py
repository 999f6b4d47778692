"""Align the frames of one query with listed items, unit by unit, within the budget of its request."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import cos, pi
from typing import Final, NamedTuple

from hashdb.domain.frames import STEP, Frame, Unit
from hashdb.domain.matching.alignment import MOST_HITS, Aligned, Hit, align, count_distinct_frames, evenly, extend
from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.pages import identifies_page
from hashdb.domain.matching.segments import Segment, covered_share
from hashdb.domain.signals import Algorithm, Signal

LEAST_FRAMES: Final[Mapping[Unit, int]] = {Unit.SECONDS: 3, Unit.PAGES: 1, Unit.WORDS: 2}
"""The fewest distinct frames of the query, and of the listed item, that make a segment."""
MIN_LENGTH: Final[Mapping[Unit, float]] = {Unit.SECONDS: 3.0, Unit.PAGES: 1.0, Unit.WORDS: 150.0}
"""The shortest segment, in its unit, if the query does not set another length."""
NEARLY_ALL: Final = 0.8
"""The share of a listed item from which one matching frame is enough: a still, a short animation, a short text."""
SHORT_TEXT: Final = 250
"""Words of the longest query of which one matching window is enough: a post, a quotation."""
WIDE: Final = {Algorithm.PDQ: 76, Algorithm.PHASH256: 80}
"""Bits within which a frame resembles the listed one at its place; frames of different pictures are about 128 apart."""
_BESIDE: Final = 0.75
"""Seconds beside its place on the line within which a frame is compared."""
_BITS: Final = Algorithm.SIMHASH256.bits


class ShotTimes(NamedTuple):
    """Start and end of a shot of a listed item, in its unit: seconds of a video, or words of a text.

    The end of a window of words is the word after its last. A page is a shot that starts and ends with its number.
    """

    start: float
    end: float


TimesBySignal = Mapping[Signal, Sequence[ShotTimes]]
"""By stored signal, the shots of one listed item that have it, in ascending order."""


class ListedShot(NamedTuple):
    """A shot of a listed item, with the signals that are searched for."""

    start: float
    end: float
    signals: Sequence[Signal]
    unit: Unit = Unit.SECONDS


ReadShots = Callable[[int], Sequence[ListedShot]]
"""Returns the shots of a listed item, in ascending order."""


class WorkBudget:
    """The work that is left for a request. Each hit, each shot that is read and each comparison counts as 1."""

    def __init__(self, amount: int) -> None:
        self._left = amount

    @property
    def is_spent(self) -> bool:
        """Whether nothing is left."""
        return self._left <= 0

    def spend(self, amount: int) -> None:
        """Subtract work that is done."""
        self._left -= amount


class Near(NamedTuple):
    """A frame of the query that is near a stored signal, and the transform that found it."""

    at: float
    """The place of the frame, in its unit."""
    distance: int
    """In bits."""
    transform: str | None


NearBySignal = Mapping[Signal, Sequence[Near]]
"""By stored signal, the frames of the query that are near it, in ascending order of their places."""


def one_frame_is_enough(unit: Unit, query_length: float) -> bool:
    """Whether one frame of a query of this length (in the unit) makes a segment, however long the listed item is."""
    return LEAST_FRAMES[unit] == 1 or (unit is Unit.WORDS and query_length <= SHORT_TEXT)


class Aligner:
    """Aligns the frames of one unit of a query with listed items, within the budget of its request.

    `frames` are all frames of the query in the unit, ascending. `weights` has `Hit.weight` by stored signal. Places are
    counted in steps (`STEP`), and the place of a window of words is its first word.
    A segment of words may begin and end within a window: with `shows_distances`, distances decide where. Without it, a
    segment has whole windows, because the place would show the distances to a key that may not see them.
    """

    def __init__(
        self,
        query: Query,
        unit: Unit,
        frames: Sequence[Frame],
        near: NearBySignal,
        weights: Mapping[Signal, float],
        read_shots: ReadShots,
        budget: WorkBudget,
        *,
        shows_distances: bool = True,
    ) -> None:
        self._frames, self._near, self._weights = frames, near, weights
        self._read_shots, self._budget, self._shows_distances = read_shots, budget, shows_distances
        self._unit, self._step = unit, STEP[unit]
        self._places = [frame.at / self._step for frame in frames]
        self._interval = 1.0 if unit is Unit.PAGES else _interval(self._places)
        self._least_length = (
            query.min_seconds if unit is Unit.SECONDS else query.min_words if unit is Unit.WORDS else None
        )

    def segments(self, id: int, times: TimesBySignal, query_length: float, listed_length: float) -> tuple[Segment, ...]:
        """The segments of the listed item with this id that are long enough, longest first.

        `times` has the signals that the query is near. Both lengths are in the unit.
        """
        hits = self._hits(times)
        self._budget.spend(len(hits))
        # A listed item that shows hardly anything else has no further frames that could agree. A short text has few
        # windows, so one of them is near another text by chance as rarely as two windows of a longer text are.
        is_enough = one_frame_is_enough(self._unit, query_length) or self._is_shown(hits, times, listed_length)
        least = 1 if is_enough else LEAST_FRAMES[self._unit]
        if count_distinct_frames(hits) < least:
            return ()
        # Copied words have the speed 1. Where words were added or left out, another segment begins.
        aligned = align(hits, self._places, self._interval, least, keeps_speed=self._unit is Unit.WORDS)
        self._budget.spend(len(aligned) * len(hits))
        least_length = self._least_length
        if least_length is None:
            least_length = min(MIN_LENGTH[self._unit], NEARLY_ALL * listed_length)
            if self._unit is Unit.WORDS:
                least_length = min(least_length, query_length)
        if self._unit is Unit.PAGES:
            identified = self._identified_pages(times)
            aligned = [part for part in aligned if not identified.isdisjoint((hit.at, hit.start) for hit in part.hits)]
        segments, is_text = [self._in_unit(id, part, listed_length) for part in aligned], self._unit is Unit.WORDS
        distinct: list[Segment] = []
        # A window is also near the listed windows beside its own place: the line with the most frames is the right one.
        for segment in sorted(
            segments, key=lambda segment: (-segment.frames if is_text else 0, -segment.length, segment.query)
        ):
            beside = self._frames[0].length if is_text else 0
            if segment.length >= least_length and not any(_is_within(segment, other, beside) for other in distinct):
                distinct.append(segment)
        # The last frame stands for a whole interval, which may end after the item.
        ends = query_length or math.inf, listed_length or math.inf
        return tuple(segment.within(*ends).rounded() for segment in distinct)

    def _is_shown(self, hits: Sequence[Hit], times: TimesBySignal, listed_length: float) -> bool:
        """Whether the listed item shows hardly anything but the hits; a text, hardly anything but one window."""
        if self._unit is Unit.WORDS:
            longest = max(shot.end - shot.start for shot_times in times.values() for shot in shot_times)
            return longest >= NEARLY_ALL * listed_length
        return covered_share([(hit.start, hit.end + 1) for hit in hits], listed_length) >= NEARLY_ALL

    def _identified_pages(self, times: TimesBySignal) -> set[tuple[float, float]]:
        """Pairs of a page of the query and a listed page that one hash is enough to identify."""
        return {
            (near.at, shot.start)
            for signal, shot_times in times.items()
            for near in self._near[signal]
            if identifies_page(signal, near.distance)
            for shot in shot_times
        }

    def _in_unit(self, id: int, aligned: Aligned, listed_length: float) -> Segment:
        """The segment with its stretches in the unit instead of steps, from the first to the last frame that agrees."""
        if self._unit is Unit.SECONDS:
            return self._extend(id, aligned)
        segment, (speed, offset), hits = aligned
        first, last = (self._frames[bisect_left(self._places, hit.at)] for hit in (hits[0], hits[-1]))
        begin, end, lowest = first.at, max(first.end, last.end), float(self._unit is Unit.PAGES)
        if self._unit is Unit.WORDS and self._shows_distances:
            # The windows at the ends of a segment are partly of other words.
            before, after = _outside(hits, hits[0]) * first.length, _outside(hits, hits[-1]) * last.length
            if begin + before < end - after - 1:
                begin, end = begin + before, end - after
            # No word of the query is before the first listed one, or after the last.
            inside = max(begin, -offset * self._step), min(end, listed_length - offset * self._step)
            if inside[0] < inside[1] - 1:
                begin, end = inside
        start, stop = (max(lowest, speed * place + offset * self._step) for place in (begin, end))
        return replace(segment, query=(begin, end), listed=(start, stop), unit=self._unit)

    def _hits(self, times: TimesBySignal) -> list[Hit]:
        """At most `MOST_HITS` hits on a listed item: those of the rarest signals, and some of the others."""
        hits: list[Hit] = []
        step, is_text = self._step, self._unit is Unit.WORDS
        signals = sorted(times, key=lambda signal: len(self._near[signal]) * len(times[signal]))
        for place, signal in enumerate(signals):
            near, shot_times = self._near[signal], times[signal]
            room = max(1, (MOST_HITS - len(hits)) // (len(signals) - place))
            radius, weight = signal.algorithm.radius, self._weights[signal]
            for at, distance, transform in evenly(near, room):
                nearness = max(0.0, 1 - distance / max(radius, 1))
                beside = _beside(at, shot_times, max(1, room // len(near)), step)
                hits += [
                    # The place of a window of words is its first word.
                    Hit(
                        at / step,
                        start / step,
                        (start if is_text else end) / step,
                        distance,
                        nearness,
                        transform,
                        weight,
                    )
                    for start, end in beside
                ]
        return hits

    def _extend(self, id: int, aligned: Aligned) -> Segment:
        """The segment of a video, extended by frames before and after it that resemble the listed ones there."""
        if self._budget.is_spent:
            return aligned.segment
        shots = self._read_shots(id)
        starts = [shot.start for shot in shots]
        longest = max((shot.end - shot.start for shot in shots), default=0.0)
        self._budget.spend(len(shots))

        def resembles(position: int, place: float) -> bool:
            frame, transform = self._frames[position], aligned.segment.transform
            own = first_signals(frame.signals if transform is None else frame.transforms.get(transform, ()))
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

        return extend(aligned, self._places, self._interval, resembles)


def first_signals(signals: Iterable[Signal]) -> dict[Algorithm, Signal]:
    """The hashes of a frame itself: the first of each algorithm; the others are of its variants."""
    first: dict[Algorithm, Signal] = {}
    for signal in signals:
        first.setdefault(signal.algorithm, signal)
    return first


def _resemble(own: Signal | None, listed: Signal) -> bool:
    return own is not None and own.distance(listed) <= WIDE.get(own.algorithm, 0)


def _beside(at: float, shot_times: Sequence[ShotTimes], most: int, step: float) -> Sequence[ShotTimes]:
    """At most `most` of the shots of one signal: those at about the place of the query's frame (`at`).

    So consecutive frames get consecutive shots. A query longer than the listed item may show it repeatedly, so the
    place is taken modulo the end of the last shot.
    """
    if len(shot_times) <= most:
        return shot_times
    place = bisect_left(shot_times, (at % (shot_times[-1].end + step),))
    first = min(max(0, place - most // 2), len(shot_times) - most)
    return shot_times[first : first + most]


def _is_within(segment: Segment, other: Segment, beside: float) -> bool:
    """Whether both stretches of `other` contain those of `segment`, with a tolerance of `beside` at each end."""
    return all(
        outer[0] - beside <= inner[0] and inner[1] <= outer[1] + beside
        for inner, outer in ((segment.query, other.query), (segment.listed, other.listed))
    )


def _outside(hits: Sequence[Hit], hit: Hit) -> float:
    """The share of the window of a hit that is not copied, if the median window of the segment is copied entirely.

    The share of shingles (pairs of words) that two windows have in common is the cosine of pi times the share of bits
    that differ.
    """
    shares = sorted(cos(pi * other.distance / _BITS) for other in hits)
    return max(0.0, shares[len(shares) // 2] - cos(pi * hit.distance / _BITS))


def _interval(places: Sequence[float]) -> float:
    """The median distance from one frame to the next; 1 for a single frame."""
    steps = sorted(after - before for before, after in pairwise(places))
    return steps[len(steps) // 2] if steps else 1.0
