"""Align the frames of a query with those of a listed item: which stretches of one show which of the other.

Places are counted in steps: the seconds of a video, the pages of a document, fifty words of a text.

A hit is a query frame that is near a listed shot. The hits of a copied stretch lie on a line: listed = speed x query +
offset. The line that most hits support is found by counting at each speed, then fitted; its hits are cut into segments.
The work for one pair of items is bounded: at most `MOST_HITS` hits, `MOST_SEGMENTS` lines.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from operator import attrgetter
from typing import Final, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matching.segments import Segment

SLOWEST, FASTEST = 0.5, 2.0
"""The speeds that are found, in listed steps a query step."""
MOST_HITS: Final = 4_000
"""The most hits that are used of one pair of items; of more, those of frames that are near the fewest shots."""
MOST_SEGMENTS: Final = 32
"""The most lines that are searched for in one pair of items."""
_SPEEDS_A_DOUBLING: Final = 20
_SPEEDS: Final = 2 ** (np.arange(-_SPEEDS_A_DOUBLING, _SPEEDS_A_DOUBLING + 1) / _SPEEDS_A_DOUBLING)
"""The speeds that are tried, from `SLOWEST` to `FASTEST`."""
_TOLERANCE: Final = 1.0
"""By how many steps the line may miss the shot of a hit that lies on it: the listed frames are a step apart."""
_TOLERANCE_OF_COPIES: Final = 0.75
"""The same if the speed is known to be 1: then a query frame is at most half a step from the nearest listed one."""
_LONGEST_GAP: Final = 8.0
"""Steps of the query without a hit that end a segment."""
_LAPSE_COST: Final = 0.15
"""What a step without a hit costs a segment, as a share of what a step with hits gains."""
_FITTED_SPEEDS: Final = 6
"""How many speeds, those with the most hits, have their line fitted."""
_ROUNDS: Final = 5
"""Rounds of the fit of a line."""
_MIN_SHARE_OF_BEST: Final = 0.94
"""A line at speed 1 is taken if its score is at least this share of the best one: most copies keep their speed."""
_MIN_GAIN: Final = 0.1
"""What a hit at the radius is worth; one of equal hashes is worth 1 more."""
_LONGEST_LAPSE: Final = 1.0
"""Steps without a frame that resembles the listed one, after which `extend` stops."""

_Floats = NDArray[np.float64]
_Item = TypeVar("_Item")


class Hit(NamedTuple):
    """A query frame at `at` is near the listed shot from `start` to `end` (steps)."""

    at: float
    start: float
    end: float
    distance: int
    """In bits."""
    nearness: float
    """1 for equal hashes, 0 at the radius."""
    transform: str | None = None
    weight: float = 1.0
    """How distinctive it is, 0 to 1: less, if many listed items have such a frame."""

    @property
    def gain(self) -> float:
        """What it adds to the score of a line that it is on."""
        return (self.nearness + _MIN_GAIN) * self.weight


class _Line(NamedTuple):
    """The line listed = speed x query + offset, in steps."""

    speed: float
    offset: float

    def place(self, at: float) -> float:
        """The listed place of a query place."""
        return self.speed * at + self.offset


class _Hits:
    """Hits in the order of their times, as columns: arrays with an entry for each hit."""

    def __init__(self, hits: Sequence[Hit], keeps_speed: bool) -> None:
        self.hits = hits
        self.tolerance = _TOLERANCE_OF_COPIES if keeps_speed else _TOLERANCE
        self.speeds = np.ones(1) if keeps_speed else _SPEEDS
        """The speeds that a copy may have."""
        self.at, self.start, self.end, self.gain = np.array(
            [(hit.at, hit.start, hit.end, hit.gain) for hit in hits], np.float64
        ).T
        self.firsts = np.flatnonzero(np.diff(self.at, prepend=-np.inf))
        """The first hit of each query frame."""
        counts = np.diff(self.firsts, append=len(hits))
        # The hits of one frame have together as much weight as the hit of a frame with one hit.
        self.vote = self.gain / np.repeat(counts, counts)

    def misses(self, speeds: _Floats, offsets: _Floats) -> _Floats:
        """By how many steps each line misses the shot of each hit (lines x hits): 0 within it, negative before it."""
        places = speeds[:, None] * self.at + offsets[:, None]
        misses: _Floats = places - np.clip(places, self.start, self.end)
        return misses


class Aligned(NamedTuple):
    """A segment, the line on which it lies, and one hit for each of its frames, in their order."""

    segment: Segment
    line: _Line
    hits: Sequence[Hit]


Resembles = Callable[[int, float], bool]
"""Whether the query frame at a position resembles the listed item at a place (steps)."""


def align(
    hits: Collection[Hit], frames: Sequence[float], interval: float, least: int, *, keeps_speed: bool = False
) -> list[Aligned]:
    """The segments of one pair of items, longest first; each has at least `least` distinct frames of both.

    `frames` are the places of all query frames, ascending; `interval` is the steps that the last frame of a segment
    stands for. The stretches of the segments are in steps. `keeps_speed` says that all copies have speed 1.
    """
    remaining = _most_distinctive(_nearest(hits))
    aligned: list[Aligned] = []
    ats, starts = set[float](), set[float]()
    for _ in range(MOST_SEGMENTS):
        columns = _Hits(remaining, keeps_speed) if count_distinct_frames(remaining) >= least else None
        if columns is None or (line := _best_line(columns, least)) is None:
            break
        chain = _chain(line, columns)
        for part in _parts(chain):
            if count_distinct_frames(part) >= least:
                aligned.append(Aligned(_segment(part, line, frames, interval), line, part))
        # In a slide show that repeats itself, one line through each frame is enough.
        ats.update(hit.at for hit in chain)
        starts.update(hit.start for hit in chain)
        remaining = [hit for hit in remaining if hit.at not in ats or hit.start not in starts]
    return sorted(aligned, key=lambda part: (-part.segment.length, part.segment.query))


def extend(aligned: Aligned, frames: Sequence[float], interval: float, resembles: Resembles) -> Segment:
    """The segment, with the frames before and after it that resemble the listed ones at their place on the line.

    `frames` and `interval` are those of `align`.
    """
    segment, line, _ = aligned

    def last_alike(positions: Iterable[int], end: int) -> int:
        """The last of these positions of frames up to which they resemble the listed item; `end` if none does."""
        at = frames[end]
        for position in positions:
            if abs(frames[position] - at) > _LONGEST_LAPSE:
                break
            if resembles(position, line.place(frames[position])):
                end, at = position, frames[position]
        return end

    first = bisect_left(frames, segment.query[0])
    last = bisect_left(frames, segment.query[1] - interval / 2) - 1
    first = last_alike(range(first - 1, -1, -1), first)
    last = last_alike(range(last + 1, len(frames)), last)
    start, stop = frames[first], frames[last] + interval
    return replace(
        segment,
        query=(start, stop),
        listed=(max(0.0, line.place(start)), max(0.0, line.place(stop))),
        possible=last - first + 1,
    )


def count_distinct_frames(hits: Collection[Hit]) -> int:
    """How many distinct frames the hits have: of the query, or of the listed item, whichever has fewer.

    The repeats of a still, in either item, count once.
    """
    return min(len({hit.at for hit in hits}), len({hit.start for hit in hits}))


def _nearest(hits: Iterable[Hit]) -> list[Hit]:
    """The nearest hit of each frame on each shot, in the order of their times."""
    nearest: dict[tuple[float, float], Hit] = {}
    for hit in hits:
        key = hit.at, hit.start
        if key not in nearest or hit.nearness > nearest[key].nearness:
            nearest[key] = hit
    return sorted(nearest.values(), key=attrgetter("at", "start"))


def _most_distinctive(hits: list[Hit]) -> list[Hit]:
    """At most `MOST_HITS`: of the frames that are near the fewest shots, and of each frame the nearest ones."""
    if len(hits) <= MOST_HITS:
        return hits
    groups = evenly([list(group) for _, group in groupby(hits, attrgetter("at"))], MOST_HITS)
    chosen: list[Hit] = []
    for place, group in enumerate(sorted(groups, key=len)):
        # What the frames with fewer hits leave is shared evenly by the others.
        room = (MOST_HITS - len(chosen)) // (len(groups) - place)
        chosen += sorted(group, key=attrgetter("distance"))[:room]
    return sorted(chosen, key=attrgetter("at", "start"))


def evenly(items: Sequence[_Item], most: int) -> Sequence[_Item]:
    """At most `most` of the items, evenly spread."""
    count = len(items)
    return items if count <= most else [items[place * count // most] for place in range(most)]


def _best_line(hits: _Hits, least: int) -> _Line | None:
    """The line with the highest score among those with `least` distinct frames, or None."""
    speeds, offsets = _candidates(hits)
    fitted = [_fit(np.ones(1), offsets[speeds == 1.0][:1], hits, keeps_speed=True)]
    if len(hits.speeds) > 1:
        fitted.insert(0, _fit(speeds, offsets, hits))
    speeds, offsets = (np.concatenate(columns) for columns in zip(*fitted, strict=True))
    scores = _scores(speeds, offsets, hits) / np.where(speeds == 1.0, _MIN_SHARE_OF_BEST, 1.0)
    for place in np.argsort(-scores, kind="stable"):
        line = _Line(float(speeds[place]), float(offsets[place]))
        if count_distinct_frames(_chain(line, hits)) >= least:
            return line
    return None


def _candidates(hits: _Hits) -> tuple[_Floats, _Floats]:
    """The line with the most hits at each speed, for the speeds with the most, and for speed 1.

    At a speed, a hit allows the offsets that lead into its shot: the best offset is allowed by the most hits.
    """
    # At each speed (row), the lowest and the highest offset that each hit allows.
    shifts = hits.speeds[:, None] * hits.at
    edges = np.concatenate((hits.start - shifts - hits.tolerance, hits.end - shifts + hits.tolerance), axis=1)
    # From one edge to the next, the votes for the offsets between: a hit adds its vote at its lowest offset, and takes
    # it back at its highest.
    order = np.argsort(edges, axis=1, kind="stable")
    votes = np.concatenate((hits.vote, -hits.vote))[order].cumsum(axis=1)
    best = votes.argmax(axis=1)
    rows = np.arange(len(hits.speeds))
    most = votes[rows, best]
    begin, end = (edges[rows, order[rows, edge]] for edge in (best, best + 1))
    # Of speeds with equal votes, those near 1 come first.
    ranked = np.lexsort((np.abs(hits.speeds - 1), -most))
    chosen = np.unique(np.concatenate((ranked[:_FITTED_SPEEDS], np.flatnonzero(hits.speeds == 1.0))))
    return hits.speeds[chosen], (begin + end)[chosen] / 2


def _fit(speeds: _Floats, offsets: _Floats, hits: _Hits, *, keeps_speed: bool = False) -> tuple[_Floats, _Floats]:
    """The lines through the hits beside each by least squares; nearer hits weigh more.

    Each round fits a straight line to the misses, by weighted linear regression, and subtracts it.
    """
    full_weights = hits.vote * hits.gain + 0.001
    for _ in range(_ROUNDS):
        misses = hits.misses(speeds, offsets)
        # Hits that are not beside the line do not count.
        weights = np.where(np.abs(misses) <= hits.tolerance, full_weights, 0.0)
        # The weighted means of the times and of the misses.
        total = weights.sum(axis=1) + 1e-12
        middle, shift = (weights * hits.at).sum(axis=1) / total, (weights * misses).sum(axis=1) / total
        beside = hits.at - middle[:, None]
        spread = (weights * beside**2).sum(axis=1)
        slope = (weights * beside * (misses - shift[:, None])).sum(axis=1) / np.maximum(spread, 1e-9)
        fitted = speeds if keeps_speed else np.clip(speeds - slope, SLOWEST, FASTEST)
        # The line turns around the middle of its hits.
        speeds, offsets = fitted, offsets - shift + (speeds - fitted) * middle
    return speeds, offsets


def _scores(speeds: _Floats, offsets: _Floats, hits: _Hits) -> _Floats:
    """The score of each line: the sum, over the query frames, of the value of their best hit.

    A hit is worth more the nearer its hashes are in bits, and the nearer its shot is to the line.
    """
    beside = np.abs(hits.misses(speeds, offsets)) / hits.tolerance
    values = np.where(beside <= 1, hits.vote * (1 - 0.5 * beside**2), 0.0)
    scores: _Floats = np.maximum.reduceat(values, hits.firsts, axis=1).sum(axis=1)
    return scores


def _chain(line: _Line, hits: _Hits) -> list[Hit]:
    """The hits beside the line, in the order of their times: of each query frame the nearest one in bits."""
    chain: dict[float, Hit] = {}
    for hit in hits.hits:
        place = line.place(hit.at)
        if hit.start - hits.tolerance <= place <= hit.end + hits.tolerance:
            other = chain.get(hit.at)
            if other is None or hit.nearness > other.nearness:
                chain[hit.at] = hit
    return list(chain.values())


def _parts(chain: Sequence[Hit]) -> Iterator[list[Hit]]:
    """The parts of the chain where frames agree often enough: each hit gains, each step between two hits costs."""
    gain = sum(hit.gain for hit in chain)
    # The usual gain a step, where there are hits.
    rate = gain / sum([1.0, *(min(after.at - hit.at, 1.0) for hit, after in pairwise(chain))])
    part: list[Hit] = []
    total = best = 0.0
    end = 0
    for hit in chain:
        # A part ends where its gain is used up, and keeps what it had when its total was highest.
        lapse = hit.at - part[-1].at if part else 0.0
        cost = lapse * rate * _LAPSE_COST
        if part and (lapse > _LONGEST_GAP or cost >= total):
            yield part[:end]
            part, total, best, cost = [], 0.0, 0.0, 0.0
        part.append(hit)
        total += hit.gain - cost
        if total > best:
            best, end = total, len(part)
    yield part[:end]


def _segment(part: Sequence[Hit], line: _Line, frames: Sequence[float], interval: float) -> Segment:
    """The segment, in steps, that these hits on a line make; `frames` and `interval` are those of `align`."""
    first, last = part[0].at, part[-1].at
    names = [hit.transform or "" for hit in part]
    return Segment(
        query=(first, last + interval),
        listed=(max(0.0, line.place(first)), max(0.0, line.place(last + interval))),
        speed=line.speed,
        frames=len(part),
        possible=bisect_right(frames, last) - bisect_left(frames, first),
        distance=min(hit.distance for hit in part),
        transform=max(sorted(set(names)), key=names.count) or None,
    )
