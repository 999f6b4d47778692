"""Which contributions an item with frames matches: by aligned segments, or by frames that are listed pictures.

The frames of a video are pictures in time; those of a document are pages, and windows of its words; those of a text
are windows of its words. Frames of the query and of a listed item are aligned if both have the same unit. A page that
is near a frame of a video, or the reverse, matches as a picture does.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple

from hashdb.domain.frames import Extent, Frame, Unit, extent_of
from hashdb.domain.matching.aligners import Aligner, Near, NearBySignal, ReadShots, ShotTimes, TimesBySignal, WorkBudget
from hashdb.domain.matching.matches import OVERRULING, FrameDetails, FrameMatch, Holder, Query
from hashdb.domain.matching.pages import identifies_page, is_of_document
from hashdb.domain.matching.segments import Covered, Segment, covered_share
from hashdb.domain.signals import Algorithm, Signal

MOST_ALIGNED: Final = 1_000
"""Listed items that are aligned with one query: as many as are returned."""
MOST_WORK: Final = 600_000
"""The `WorkBudget` of a request, about four seconds: hits, shots that are read, and signals that are compared."""
MOST_FRAMES: Final = 100
"""Frames that are near one listed picture, and places of one listed item: the first ones are returned."""


TimesByHolder = Mapping[tuple[int, Signal], Sequence[ShotTimes]]
"""By contribution and signal, the shots that have it; empty for a signal of the whole item."""


OverrulingAlgorithms = Callable[[Collection[int]], Mapping[int, frozenset[Algorithm]]]
"""Returns, for each contribution, the algorithms of its matchable signals that overrule phash."""


class ContributionMatched(NamedTuple):
    """How frames of a query match a contribution, and its signals that they are near."""

    details: FrameDetails
    holders: Sequence[tuple[Holder, int, str | None]]
    """Each with its distance in bits to the nearest frame, and the transform that found it."""


class FramesMatched(dict[int, ContributionMatched]):
    """By contribution, how the frames of one query match it.

    `truncated` says that there may be more: listed items near the query were not aligned, or some of its frames were
    not searched for.
    """

    truncated = False


class Expanded(NamedTuple):
    """The queries that are searched for: those of the request, then one for each of their frames."""

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


def match_frames(
    queries: Sequence[Query],
    expanded: Expanded,
    suggested: Sequence[Mapping[Signal, int]],
    through: Sequence[Mapping[Signal, str]],
    holders_of: Mapping[Signal, Sequence[Holder]],
    shots: TimesByHolder,
    read_shots: ReadShots,
    overruling_algorithms: OverrulingAlgorithms,
    thinned: Set[int] = frozenset(),
    holder_counts: Mapping[Signal, int] | None = None,
    *,
    shows_distances: bool = True,
) -> dict[int, FramesMatched]:
    """What the frames of each query match, by the position of the query.

    For each of `expanded.queries`, `suggested` has the distances in bits of the stored signals that the index found,
    and `through` the names of the transforms that found them. `thinned` has the positions of the queries of which some
    frames were not searched for. `holder_counts` is how many items hold each signal, if `holders_of` has only some of
    them: a signal that many items hold is not distinctive. `shows_distances` is whether the key may see distances.
    At most `MOST_ALIGNED` listed items are aligned with a query, those with the most hits first. The work on all
    queries is bounded: those with the fewest hits come first.
    """
    counts = (
        {signal: len(of_signal) for signal, of_signal in holders_of.items()} if holder_counts is None else holder_counts
    )
    shot_counts = {
        signal: sum(len(shots.get((holder.contribution, signal), ())) for holder in holders)
        for signal, holders in holders_of.items()
    }

    def hits(position: int) -> int:
        return sum(shot_counts.get(signal, 0) for place in expanded.frames[position] for signal in suggested[place])

    matched: dict[int, FramesMatched] = {}
    budget = WorkBudget(MOST_WORK)
    for position in sorted(expanded.frames, key=hits):
        query = queries[position]
        frames = [frame for frame in query.frames if frame.matches]
        near: dict[Signal, list[Near]] = defaultdict(list)
        for frame, place in zip(frames, expanded.frames[position], strict=True):
            for signal, distance in suggested[place].items():
                near[signal].append(Near(frame.at, distance, through[place].get(signal)))
        matched[position] = _match_query(
            query, frames, near, holders_of, counts, shots, read_shots, overruling_algorithms, budget, shows_distances
        )
        matched[position].truncated |= position in thinned
    return matched


def _match_query(
    query: Query,
    frames: Sequence[Frame],
    near: NearBySignal,
    holders_of: Mapping[Signal, Sequence[Holder]],
    counts: Mapping[Signal, int],
    shots: TimesByHolder,
    read_shots: ReadShots,
    overruling_algorithms: OverrulingAlgorithms,
    budget: WorkBudget,
    shows_distances: bool,
) -> FramesMatched:
    """The contributions that the frames of one query match; `frames` has those that are searched for, ascending.

    For each stored signal, `near` has the frames near it, and `counts` how many items hold it.
    """
    groups: dict[int, list[Holder]] = defaultdict(list)
    for signal in near:
        for holder in holders_of.get(signal, ()):
            groups[holder.contribution].append(holder)
    by_unit: dict[Unit, list[Frame]] = defaultdict(list)
    for frame in frames:
        by_unit[frame.unit].append(frame)
    listed, pictures = _split_by_kind(groups, shots, by_unit.keys())
    details = _match_pictures(by_unit, near, pictures, overruling_algorithms)
    ranked = sorted(listed, key=lambda id: (-_count_possible_hits(near, listed[id]), id))
    weights = {signal: counts[signal] ** -0.5 for signal in near if holders_of.get(signal)}
    aligners = {
        unit: Aligner(query, unit, of_unit, near, weights, read_shots, budget, shows_distances=shows_distances)
        for unit, of_unit in by_unit.items()
    }
    query_extent = extent_of(query.frames, query.duration) or Extent()
    matched = FramesMatched()
    for place, id in enumerate(ranked):
        if place == MOST_ALIGNED or budget.is_spent:
            matched.truncated = True
            break
        extent = groups[id][0].extent or Extent()
        of_units = [
            aligners[unit].segments(id, times, query_extent.length_in(unit), extent.length_in(unit))
            for unit, times in listed[id].items()
        ]
        if segments := sorted(chain(*of_units), key=lambda segment: -segment.steps):
            covered = _covered(segments, query_extent, extent)
            details[id] = details.get(id, FrameDetails())._replace(segments=tuple(segments), covered=covered)
    nearest = {signal: min(group, key=attrgetter("distance")) for signal, group in near.items()}
    for id, of_id in details.items():
        holders = [(holder, nearest[holder.signal].distance, nearest[holder.signal].transform) for holder in groups[id]]
        matched[id] = ContributionMatched(of_id, holders)
    return matched


def _match_pictures(
    by_unit: Mapping[Unit, Sequence[Frame]],
    near: NearBySignal,
    pictures: Mapping[int, Sequence[_PictureSignal]],
    overruling_algorithms: OverrulingAlgorithms,
) -> dict[int, FrameDetails]:
    """How frames or pages match contributions as pictures, by contribution; windows of words match none."""
    by_phash = [
        id for id, signals in pictures.items() if any(signal.algorithm is Algorithm.PHASH for signal, _ in signals)
    ]
    overruling = overruling_algorithms(by_phash) if by_phash else {}
    unit = next((unit for unit in by_unit if unit is not Unit.WORDS), Unit.SECONDS)
    of_pictures = _Pictures(by_unit.get(unit, ()), unit, near)
    matches = {id: of_pictures.matches(signals, overruling.get(id, frozenset())) for id, signals in pictures.items()}
    return {id: FrameDetails(frames=frames) for id, frames in matches.items() if frames}


def _split_by_kind(
    groups: Mapping[int, Sequence[Holder]], shots: TimesByHolder, units: Collection[Unit]
) -> tuple[dict[int, _TimesByUnit], dict[int, list[_PictureSignal]]]:
    """By contribution, its shots that can be aligned with frames of these units, and its signals of pictures.

    The signals of a shot in another unit count as pictures.
    """
    listed: dict[int, _TimesByUnit] = {}
    pictures: dict[int, list[_PictureSignal]] = {}
    for id, group in groups.items():
        times: dict[Unit, dict[Signal, Sequence[ShotTimes]]] = defaultdict(dict)
        of_picture = list[_PictureSignal]()
        for holder in group:
            shot_times = shots.get((id, holder.signal), ())
            if shot_times and (unit := unit_of(holder)) in units:
                times[unit][holder.signal] = shot_times
            elif not holder.signal.algorithm.of_text:
                of_picture.append(_PictureSignal(holder.signal, bool(shot_times) and is_of_document(holder)))
        if times:
            listed[id] = times
        if of_picture:
            pictures[id] = of_picture
    return listed, pictures


class _PictureSignal(NamedTuple):
    """A stored signal that frames of the query match as a picture, and whether it is of a page."""

    signal: Signal
    is_page: bool


_TimesByUnit = Mapping[Unit, TimesBySignal]
"""By unit and stored signal, the shots of one listed item that have the signal."""


def unit_of(holder: Holder) -> Unit:
    """The unit of the shots of a listed item that have the holder's signal."""
    if holder.signal.algorithm.of_text:
        return Unit.WORDS
    return Unit.PAGES if holder.extent is None or holder.extent.duration is None else Unit.SECONDS


def _covered(segments: Sequence[Segment], query: Extent, listed: Extent) -> Covered:
    """The shares of both items that segments cover, in words if there is a segment of words."""
    units = {segment.unit for segment in segments}
    unit = Unit.WORDS if Unit.WORDS in units else segments[0].unit
    # The last page is covered, too.
    after = int(unit is Unit.PAGES)
    of_unit = [segment for segment in segments if segment.unit is unit]
    return Covered(
        covered_share([(segment.query[0], segment.query[1] + after) for segment in of_unit], query.length_in(unit)),
        covered_share([(segment.listed[0], segment.listed[1] + after) for segment in of_unit], listed.length_in(unit)),
    )


def _count_possible_hits(near: NearBySignal, times: _TimesByUnit) -> int:
    """How many frames of the query may be near a shot of the listed item, or the reverse, whichever is fewer."""
    return sum(
        min(sum(len(near[signal]) for signal in of_unit), sum(len(shot_times) for shot_times in of_unit.values()))
        for of_unit in times.values()
    )


class _Pictures:
    """Finds the frames of a query that are near listed pictures; cached, since many pictures have the same signals."""

    def __init__(self, frames: Sequence[Frame], unit: Unit, near: NearBySignal) -> None:
        self._near, self._unit = near, unit
        self._overruling_by_place = {
            frame.at: OVERRULING.intersection([signal.algorithm for signal in frame.signals]) for frame in frames
        }
        """The algorithms of each frame that overrule phash, by the place of the frame."""
        self._results: dict[tuple[object, ...], tuple[FrameMatch, ...]] = {}
        """What `matches` returned, by its arguments."""

    def matches(self, signals: Sequence[_PictureSignal], overruling: frozenset[Algorithm]) -> tuple[FrameMatch, ...]:
        """The first `MOST_FRAMES` of the frames that are near one of these signals.

        `overruling` are the algorithms of the picture that overrule phash in frames that have them too.
        """
        key = tuple(signals), overruling
        if key not in self._results:
            distances: dict[float, dict[Algorithm, int]] = defaultdict(dict)
            for signal, is_page in signals:
                near = self._near[signal]
                if is_page:
                    near = [frame for frame in near if identifies_page(signal, frame.distance)]
                for at, distance, _ in near[:MOST_FRAMES]:
                    known = distances[at].get(signal.algorithm, distance)
                    distances[at][signal.algorithm] = min(distance, known)
            matching = [
                at
                for at in sorted(distances)
                if distances[at].keys() != {Algorithm.PHASH} or overruling.isdisjoint(self._overruling_by_place[at])
            ]
            self._results[key] = tuple(FrameMatch(at, distances[at], self._unit) for at in matching[:MOST_FRAMES])
        return self._results[key]


def signals_of_framed_items(holders_of: Mapping[Signal, Sequence[Holder]]) -> dict[int, set[Signal]]:
    """The signals that listed items with frames hold, by contribution."""
    signals_by_id: dict[int, set[Signal]] = defaultdict(set)
    for signal, holders in holders_of.items():
        for holder in holders:
            if holder.extent is not None:
                signals_by_id[holder.contribution].add(signal)
    return signals_by_id


def places_of(holders: Iterable[Holder], shots: TimesByHolder) -> FrameDetails:
    """The places of one listed item with a signal of these holders, in ascending order."""
    places: dict[Unit, set[ShotTimes]] = defaultdict(set)
    for holder in holders:
        places[unit_of(holder)].update(shots.get((holder.contribution, holder.signal), ()))
    first = {unit: sorted(of_unit)[:MOST_FRAMES] for unit, of_unit in places.items()}
    return FrameDetails(
        at=tuple(dict.fromkeys(shot.start for shot in first.get(Unit.SECONDS, ()))),
        pages=tuple(dict.fromkeys(int(shot.start) for shot in first.get(Unit.PAGES, ()))),
        words=tuple((int(shot.start), int(shot.end)) for shot in first.get(Unit.WORDS, ())),
    )
