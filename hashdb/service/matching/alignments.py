"""Alignments: which seconds, pages or words of an item are those of contributions, for the pages that show both."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution
from hashdb.domain.frames import FRAMES_A_REQUEST, MOST_SHOTS_OF_SIGNAL, STEP, Extent, Frame, Shot, Unit
from hashdb.domain.matching.aligners import ListedShot, ShotTimes, first_signals
from hashdb.domain.matching.frames import (
    Expanded,
    FramesMatched,
    TimesByHolder,
    expand,
    match_frames,
    places_of,
    unit_of,
)
from hashdb.domain.matching.matches import OVERRULING, FrameDetails, Holder, Neighbor, Query
from hashdb.domain.matching.segments import Segment
from hashdb.domain.matching.selections import decide
from hashdb.domain.matching.suggestions import Distances, Through, suggest_expanded
from hashdb.domain.signals import DIGESTS, Algorithm, Signal
from hashdb.errors import reject
from hashdb.index.tiered import TieredIndex
from hashdb.service import HashDB
from hashdb.service.contributions.sight import visible_fields
from hashdb.service.matching.matches import large_request

MOST_HOLDERS = 50
"""Contributions of one value that are read; a popular value has thousands."""
MOST_NEAR = 100_000
"""Signals that may be near the frames of an item of the console: a person waits for the page."""
_BESIDE = 1.0
"""How far from a shot a frame of a segment may be and still be at its place, in steps of its unit (`STEP`)."""


class Alignment(NamedTuple):
    """How an item and a contribution show the same, and the shots of the contribution if it has frames."""

    details: FrameDetails
    shots: Sequence[Shot]


class Aligned(NamedTuple):
    """The shots of a contribution, if it has frames, and by id the contributions that show the same."""

    shots: Sequence[Shot]
    others: Mapping[int, Alignment]


class FrameHit(NamedTuple):
    """A frame of a query, from `at` to `end` in `unit`, that is near a contribution, and the nearest signal of that.

    `listed` is the shot of the contribution that has the signal, in `listed_unit`; None for a picture. `segment` is the
    number, counted from 1, of the segment in which the frame shows the place of this shot; None if there is none.
    """

    at: float
    end: float
    unit: Unit
    listed: ShotTimes | None
    listed_unit: Unit
    algorithm: Algorithm
    distance: int
    transform: str | None
    segment: int | None


class NearByFrames(NamedTuple):
    """A contribution that frames of a query are near, or that has its digest.

    `is_match` says whether a member gets it as a match. `hits` are in the order of the query.
    """

    contribution: Contribution
    is_match: bool
    details: FrameDetails
    digest: Algorithm | None
    hits: Sequence[FrameHit]
    shots: Sequence[Shot]


def align_listed(db: HashDB, actor: Actor, contribution: Contribution, others: Sequence[Contribution]) -> Aligned:
    """How a contribution and each of these others show the same; those that do not are left out.

    Two without frames are not aligned. Reads at most 20,000 frames of the others: what follows is left out.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    if not contribution.frame_count and not any(other.frame_count for other in others):
        return Aligned((), {})
    with db.store.read() as tx:
        signals = tx.contributions.signals([contribution.id, *(other.id for other in others)])
        own_shots = tx.frames.shots(contribution.id) if contribution.frame_count else ()
        shots = {other.id: tx.frames.shots(other.id) for other in _few_frames(others) if other.frame_count}
    query = Query(
        tuple(signal for signal in signals.get(contribution.id, ()) if not signal.algorithm.is_digest),
        frames=tuple(
            replace(frame, signals=tuple(first_signals(frame.signals).values()))
            for shot in own_shots
            for frame in shot.frames
            if frame.signals
        ),
        duration=contribution.duration,
    )
    items = ListedItems()
    for other in others:
        items.add(other.id, signals.get(other.id, ()), shots.get(other.id, ()), partial(holder_of, contribution=other))
    expanded = expand([query])
    suggested, through, _ = suggest_expanded(expanded, items.search, MOST_NEAR)
    if query.frames:
        matched = items.match_frames(query, expanded, suggested, through)
        return Aligned(own_shots, {id: Alignment(match.details, shots.get(id, ())) for id, match in matched.items()})
    near = [holder for signal in suggested[0] for holder in items.held.get(signal, ())]
    places = {id: places_of([holder for holder in near if holder.contribution == id], items.times) for id in shots}
    return Aligned(
        (), {id: Alignment(details, shots[id]) for id, details in places.items() if details != FrameDetails()}
    )


def list_near_frames(db: HashDB, actor: Actor, query: Query, limit: int) -> tuple[NearByFrames, ...]:
    """The contributions near frames of a query or with its digest: matches first, then those with more frames near.

    Nothing of the query is kept. A radius above the default one finds more frames, and the same segments.
    Raises InvalidInput, TooManyAtOnce.
    """
    actor.require(Scope.AUDIT, Scope.REVIEW)
    reject(db.rules.query_faults(replace(query, radius={})))
    with large_request(db, actor):
        db.index.catch_up()
        expanded = expand([query])
        suggested, through, _ = suggest_expanded(expanded, db.index.search, MOST_NEAR)
        within_default = [
            {signal: bits for signal, bits in near.items() if bits <= signal.algorithm.radius} for near in suggested
        ]
        with db.store.read() as tx:
            near_signals = {signal for near in suggested for signal in near}
            signals_of = tx.matches.contributions_with(near_signals, most_per_value=MOST_HOLDERS)
            ids = sorted(signals_of, key=lambda id: (-len(signals_of[id]), id))[:limit]
            contributions = tx.contributions.get(ids, db.now())
            held = defaultdict[Signal, list[Holder]](list)
            for id, contribution in contributions.items():
                for signal in signals_of[id]:
                    held[signal].append(holder_of(signal, contribution))
            times = tx.matches.times({id: signals_of[id] for id, item in contributions.items() if item.frame_count})
            overruling = tx.matches.overruling_algorithms
            shots_of = tx.matches.shots
            matched = match_frames([query], expanded, within_default, through, held, times, shots_of, overruling)
            (decided,) = decide([query], within_default, through, held, overruling, matched)
            # Each group has the holders of one contribution.
            chosen = {group[0].contribution for group in decided.chosen}
            details = {id: decided.by_frames.get(id, FrameDetails()) for id in contributions}
            shots = {id: tx.frames.shots(id) if details[id].segments else () for id in contributions}
        hits = hits_by_contribution(frames_near(query, expanded, suggested, through), held, times, details)
    near_by_frames = (
        NearByFrames(
            visible_fields(actor, item),
            is_match=id in chosen and item.no_match_reason is None,
            details=details[id],
            digest=next(
                (digest for digest in DIGESTS if digest in {signal.algorithm for signal in signals_of[id]}), None
            ),
            hits=tuple(hits.get(id, ())),
            shots=shots[id],
        )
        for id, item in contributions.items()
    )
    return tuple(sorted(near_by_frames, key=lambda near: (not near.is_match, -len(near.hits), near.contribution.id)))


NearFrame = tuple[Frame, Distances, Through]
"""A frame of a query, the signals that are near it, and the transforms that found them."""


def frames_near(
    query: Query, expanded: Expanded, suggested: Sequence[Distances], through: Sequence[Through]
) -> list[NearFrame]:
    """The frames that were searched for, of the only query, which has position 0."""
    frames = [frame for frame in query.frames if frame.matches]
    places = expanded.frames.get(0, ())
    return [(frame, suggested[place], through[place]) for frame, place in zip(frames, places, strict=True)]


def hits_by_contribution(
    frames: Iterable[NearFrame],
    held: Mapping[Signal, Sequence[Holder]],
    times: TimesByHolder,
    details: Mapping[int, FrameDetails],
) -> dict[int, list[FrameHit]]:
    """By contribution, the frames that are near it, each with the nearest signal; `held` has the holders of signals.

    A signal of the shot that is at the frame's place in a segment comes before nearer ones.
    """
    hits: dict[int, list[FrameHit]] = defaultdict(list)
    for frame, near, through in frames:
        at, end = frame.at, frame.end
        best: dict[int, FrameHit] = {}
        for signal, bits in near.items():
            algorithm, transform = signal.algorithm, through.get(signal)
            for holder in held.get(signal, ()):
                id, unit = holder.contribution, unit_of(holder)
                for shot in times.get((id, signal), ()) or (None,):
                    segment = _segment(frame, shot, details[id].segments)
                    hit = FrameHit(at, end, frame.unit, shot, unit, algorithm, bits, transform, segment)
                    best[id] = min(best.get(id, hit), hit, key=_rank)
        for id, hit in best.items():
            hits[id].append(hit)
    return hits


def _rank(hit: FrameHit) -> tuple[bool, float, Sequence[float]]:
    """Sorts the best first: in a segment, then nearest, then earliest."""
    return hit.segment is None, hit.distance / (hit.algorithm.radius or 1), hit.listed or ()


def _segment(frame: Frame, shot: ShotTimes | None, segments: Sequence[Segment]) -> int | None:
    """The number of the segment in which a frame of the query is at the place of a shot."""
    beside = _BESIDE * STEP[frame.unit]
    for number, segment in enumerate(segments, 1):
        begin, end = segment.query
        if frame.unit is Unit.PAGES:
            end += 1
        elif frame.unit is Unit.WORDS:
            # The first window begins before the words that agree.
            begin -= frame.length
        if shot is not None and segment.unit is frame.unit and begin <= frame.at < end:
            place = segment.listed[0] + segment.speed * (frame.at - segment.query[0])
            last = shot.start if frame.unit is Unit.WORDS else shot.end
            if shot.start - beside <= place <= last + beside:
                return number
    return None


def _few_frames(others: Sequence[Contribution]) -> Iterator[Contribution]:
    """The first of the contributions, with 20,000 frames in all at most."""
    total = 0
    for other in others:
        total += other.frame_count
        if total > FRAMES_A_REQUEST:
            return
        yield other


def holder_of(signal: Signal, contribution: Contribution) -> Holder:
    """A contribution as the holder of a signal, with what an alignment needs of it."""
    item = contribution
    extent = Extent(item.duration, item.pages, item.words) if item.frame_count else None
    return Holder(signal, item.id, item.member, item.severity, item.standing, details=None, extent=extent)


class ListedItems:
    """A few listed items in memory, which are searched and read as all items of the store are.

    `held` and `times` are what the store returns for a match: by signal the items that hold it, and when they show it.
    """

    def __init__(self) -> None:
        """Empty; every item is added before the first search."""
        self.held: dict[Signal, list[Holder]] = defaultdict(list)
        self.times: dict[tuple[int, Signal], list[ShotTimes]] = defaultdict(list)
        self._shots: dict[int, list[ListedShot]] = {}
        self._overruling: dict[int, frozenset[Algorithm]] = {}
        self._indexes: dict[Algorithm, TieredIndex] = {}

    def add(
        self, id: int, signals: Sequence[Signal], shots: Iterable[Shot], holder: Callable[[Signal], Holder]
    ) -> None:
        """Add an item with its own signals, its shots, and what it is as the holder of a signal."""
        # Only these are searched for in a match.
        searched = [shot for shot in shots if shot.frames[0].matches]
        listed = [ListedShot(shot.start, shot.end, shot.frames[0].signals, shot.unit) for shot in searched]
        for shot in listed:
            for signal in shot.signals:
                if len(times := self.times[id, signal]) < MOST_SHOTS_OF_SIGNAL:
                    times.append(ShotTimes(shot.start, shot.end))
        for signal in dict.fromkeys((*signals, *(signal for shot in listed for signal in shot.signals))):
            self.held[signal].append(holder(signal))
        self._shots[id] = listed
        self._overruling[id] = OVERRULING.intersection([signal.algorithm for signal in signals])

    def search(self, algorithm: Algorithm, values: Sequence[int], radius: int) -> list[list[Neighbor]]:
        """For each value, the values of the items within the radius (bits)."""
        index = self._indexes.get(algorithm)
        if index is None:
            index = self._indexes[algorithm] = TieredIndex(algorithm.bits, algorithm.radius)
            index.add(signal.value for signal in self.held if signal.algorithm is algorithm)
        return index.search(values, radius)

    def match_frames(
        self, query: Query, expanded: Expanded, suggested: Sequence[Distances], through: Sequence[Through]
    ) -> FramesMatched:
        """How the frames of the only query match the items."""
        shots = self._shots.__getitem__
        matched = match_frames(
            [query], expanded, suggested, through, self.held, self.times, shots, self.overruling_algorithms
        )
        # By the position of the query.
        return matched[0]

    def overruling_algorithms(self, ids: Collection[int]) -> dict[int, frozenset[Algorithm]]:
        """By item, the algorithms of its own signals that overrule phash."""
        return {id: self._overruling[id] for id in ids}
