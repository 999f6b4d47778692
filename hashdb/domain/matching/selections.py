"""Selections: which of the suggested contributions are returned, and in which order; and the results of the queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any, NamedTuple

from hashdb.domain.contributions import Standing
from hashdb.domain.matching.frames import FramesMatched, OverrulingAlgorithms, TimesByHolder, places_of
from hashdb.domain.matching.matches import (
    MATCHES_A_QUERY,
    MATCHES_A_REQUEST,
    MAX_SCORE,
    Evidence,
    FrameDetails,
    Holder,
    Match,
    MatchDetails,
    Query,
    Result,
    Verdict,
)
from hashdb.domain.matching.pages import SPARSE_RADIUS, is_of_document, too_far_for_pages
from hashdb.domain.matching.suggestions import Distances, Through
from hashdb.domain.matching.testing import TEST_HOLDERS, TEST_ID
from hashdb.domain.matching.verification import distance_score
from hashdb.domain.signals import DIGESTS, Algorithm, Signal

_NONE: frozenset[Signal] = frozenset()
_EMPTY: Mapping[Any, Any] = {}


class Verified(NamedTuple):
    """The contributions, each as its holders, that remain matches of a query that is not `is_plain`; verdicts by id."""

    groups: Sequence[Sequence[Holder]]
    verdicts: Mapping[int, Verdict]
    by_score: bool
    """Whether the matches are ordered by score."""


class Selection(NamedTuple):
    """The matches of one query that are returned, and the sums over all matches within its radius."""

    distances: Distances
    through: Through
    chosen: Sequence[Sequence[Holder]]
    """The holders of each contribution that is returned, nearest first."""
    members: Set[int]
    """The contributors of all matches, or their `Holder.source`."""
    severity: int | None
    """The highest of all matches."""
    judged: Sequence[int]
    """The matching contributions on which there is an opinion or a decision."""
    truncated: bool
    by_frames: Mapping[int, FrameDetails] = {}
    """How the frames of the query match, by contribution."""
    verdicts: Mapping[int, Verdict] = {}
    """The verdict of each contribution, if the query is not plain."""


def decide(
    queries: Sequence[Query],
    suggested: Sequence[Distances],
    through: Sequence[Through],
    holders_of: Mapping[Signal, Sequence[Holder]],
    overruling_algorithms: OverrulingAlgorithms,
    by_frames: Mapping[int, FramesMatched] = _EMPTY,
    verified: Mapping[int, Verified] = _EMPTY,
) -> list[Selection]:
    """For each query the contributions to return, at most `MATCHES_A_REQUEST` together.

    `suggested` and `through` are the results of `suggest_expanded`: after those of the queries, they have those of
    their frames. By the position of a query, `by_frames` has what its frames match, and `verified` what remains of the
    suggestions if the query is not plain.
    Queries that are near the same signals at the same distances share one Selection. Once `MATCHES_A_REQUEST` are
    selected, no more matches are returned, and queries near the same signals share one at any distances.
    """
    decided: list[Selection] = []
    remaining = MATCHES_A_REQUEST
    reused: dict[tuple[object, ...], Selection] = {}
    candidates: dict[tuple[object, ...], _Candidates] = {}
    held_by_documents: dict[Signal, bool] = {}
    for position, (query, distances, transforms) in enumerate(zip(queries, suggested, through, strict=False)):
        matched, limit = by_frames.get(position), min(remaining, MATCHES_A_QUERY)
        if matched is not None and (matched or matched.truncated):
            far = too_far_for_pages(distances, transforms, holders_of, held_by_documents)
            groups = group_by_contribution(query.overruling, distances, far, holders_of, overruling_algorithms)
            selection = _decide_by_frames(matched, groups, distances, transforms, limit)
        elif not distances:
            selection = _NO_MATCH
        elif (remains := verified.get(position)) is not None:
            selection = _decide_verified(remains, distances, transforms, limit)
        else:
            near, overruling = frozenset(distances.items() if remaining else distances), query.overruling
            key = near, frozenset(transforms.items()), overruling, limit
            if key not in reused:
                is_near = not transforms and max(distances.values()) <= SPARSE_RADIUS
                far = _NONE if is_near else too_far_for_pages(distances, transforms, holders_of, held_by_documents)
                shared_key = frozenset(distances), far, overruling
                if shared_key not in candidates:
                    candidates[shared_key] = _Candidates(
                        group_by_contribution(overruling, distances, far, holders_of, overruling_algorithms)
                    )
                reused[key] = candidates[shared_key].decide(distances, transforms, limit)
            selection = reused[key]
        decided.append(selection)
        remaining -= len(selection.chosen)
    return decided


def _decide_verified(verified: Verified, distances: Distances, transforms: Through, limit: int) -> Selection:
    """The contributions that remain matches, nearest or most certain first."""
    groups, verdicts = verified.groups, verified.verdicts
    selection = _Candidates(groups).decide(distances, transforms, limit)
    if verified.by_score:
        ranked = sorted(groups, key=lambda group: (-verdicts[group[0].contribution].score, group[0].contribution))
        selection = selection._replace(chosen=_alternate_members(ranked, limit))
    return selection._replace(verdicts=verdicts)


def _decide_by_frames(
    matched: FramesMatched, groups: Sequence[Sequence[Holder]], distances: Distances, transforms: Through, limit: int
) -> Selection:
    """The contributions that an item matches: as a whole (`groups`), then by its frames, the longest segments first."""
    nearest, through = dict(distances), dict(transforms)
    holders_by_id = {group[0].contribution: list(group) for group in groups}
    for id, of_frames in matched.items():
        for holder, distance, transform in of_frames.holders:
            holders_by_id.setdefault(id, []).append(holder)
            if distance < nearest.get(holder.signal, distance + 1):
                nearest[holder.signal] = distance
                if transform is None:
                    through.pop(holder.signal, None)
                else:
                    through[holder.signal] = transform
    details = {id: of_frames.details for id, of_frames in matched.items()}

    def rank(id: int) -> tuple[bool, float, int]:
        steps = sum(segment.steps for segment in details[id].segments) if id in details else 0.0
        return id in details, -steps, id

    ordered = [holders_by_id[id] for id in sorted(holders_by_id, key=rank)]
    every = _Candidates(ordered).decide(nearest, through, len(ordered))
    return every._replace(
        chosen=ordered[:limit], truncated=matched.truncated or len(ordered) > limit, by_frames=details
    )


def build_results(
    queries: Sequence[Query],
    decided: Sequence[Selection],
    details: Mapping[int, MatchDetails] = _EMPTY,
    confirming: Mapping[int, Set[int]] = _EMPTY,
    shots: TimesByHolder = _EMPTY,
) -> tuple[Result, ...]:
    """The results of the queries, each with its nearest match first.

    By contribution, `details` has the fields that its holders do not have, and `confirming` the members that confirmed
    it. `shots` has the places at which listed items show a signal.
    """
    answers: list[Result] = []
    reused: dict[int, Result] = {}
    for query, selection in zip(queries, decided, strict=True):
        if (result := reused.get(id(selection))) is None:
            matches = [
                _build_match(group, selection, group[0].details or details[group[0].contribution], shots)
                for group in selection.chosen
            ]
            members = set(selection.members)
            for contribution in selection.judged:
                members.update(confirming.get(contribution, ()))
            result = Result(query.id, tuple(matches), len(members), selection.truncated, severity=selection.severity)
            reused[id(selection)] = result
        answers.append(result if result.id == query.id else replace(result, id=query.id))
    return tuple(answers)


def _build_match(holders: Sequence[Holder], decided: Selection, details: MatchDetails, shots: TimesByHolder) -> Match:
    """The match that the holders of one contribution make."""
    first, distances, through = holders[0], decided.distances, decided.through
    nearest, distance, digest = first.signal, {first.signal.algorithm: distances[first.signal]}, None
    if len(holders) > 1 or nearest.algorithm.is_digest:
        signals = sorted(
            [holder.signal for holder in holders], key=lambda signal: (distances[signal], signal.algorithm)
        )
        nearest, distance = signals[0], {}
        for signal in signals:
            distance.setdefault(signal.algorithm, distances[signal])
        distance = dict(sorted(distance.items(), key=lambda pair: _POSITIONS[pair[0]]))
        for algorithm in reversed(DIGESTS):
            if distance.pop(algorithm, None) is not None:
                digest = algorithm
    # Matches by frames have no score.
    score = None if first.contribution in decided.by_frames else distance_score(tuple(distance.items()))
    if digest is not None:
        score = MAX_SCORE
    evidence = None
    if (verdict := decided.verdicts.get(first.contribution)) is not None:
        score = verdict.score
        evidence = Evidence(verdict.views, verdict.detail, verdict.colour) if verdict.views else None
    return Match(
        first.contribution,
        distance,
        details.labels,
        first.severity,
        first.standing,
        details.context,
        details.removed_at,
        details.received_at,
        through.get(nearest) if through and all(holder.signal in through for holder in holders) else None,
        digest,
        # The fields of FrameDetails are the next fields of Match, in the same order.
        *(_details(holders, decided, shots) if decided.by_frames or shots else _NO_DETAILS_OF_FRAMES),
        score,
        evidence,
    )


_NO_DETAILS_OF_FRAMES = FrameDetails()


def _details(holders: Sequence[Holder], decided: Selection, shots: TimesByHolder) -> FrameDetails:
    """How a query with frames matches, or the places at which a listed item with frames shows the query."""
    id = holders[0].contribution
    if id in decided.by_frames:
        return decided.by_frames[id]
    return places_of(holders, shots) if shots else _NO_DETAILS_OF_FRAMES


class _Candidates:
    """The contributions that match one query, each as its holders; queries near the same signals share them."""

    def __init__(self, groups: Sequence[Sequence[Holder]]) -> None:
        self._groups = groups
        self._members: set[int] = set()
        self._severity: int | None = None
        self._judged: list[int] = []
        for group in groups:
            holder = group[0]
            self._members.add(holder.member if holder.source is None else holder.source)
            if holder.severity is not None and (self._severity is None or holder.severity > self._severity):
                self._severity = holder.severity
            if holder.standing is not Standing.UNREVIEWED:
                self._judged.append(holder.contribution)
        self._chosen: dict[tuple[object, ...], Sequence[Sequence[Holder]]] = {}

    def decide(self, distances: Distances, through: Through, limit: int) -> Selection:
        """Select at most `limit` contributions to return for one of the queries."""
        is_cut = len(self._groups) > limit
        if len(self._groups) <= 1 and not is_cut:
            return Selection(distances, through, self._groups, self._members, self._severity, self._judged, is_cut)
        # The key has the order of the distances: queries near one value share a choice, whatever the distance.
        radius_shares = {signal: bits / (signal.algorithm.radius or 1) for signal, bits in distances.items()}
        places = {value: place for place, value in enumerate(sorted(set(radius_shares.values())))}
        order = {signal: places[value] for signal, value in radius_shares.items()}
        key = frozenset(order.items()), limit
        if key not in self._chosen:
            self._chosen[key] = _alternate_members(_rank(self._groups, order), limit) if limit else ()
        return Selection(distances, through, self._chosen[key], self._members, self._severity, self._judged, is_cut)


def group_by_contribution(
    overruling: Collection[Algorithm],
    signals: Distances,
    far: Set[Signal],
    holders_of: Mapping[Signal, Sequence[Holder]],
    overruling_algorithms: OverrulingAlgorithms,
) -> list[list[Holder]]:
    """The holders of each contribution that matches a query, grouped by contribution.

    `overruling` has the algorithms of the query that overrule phash. No document matches by `far` signals.
    """
    grouped: dict[int, list[Holder]] = defaultdict(list)
    for signal in TEST_HOLDERS.keys() & signals.keys():
        grouped[TEST_ID].append(TEST_HOLDERS[signal])
    for signal in signals:
        for holder in holders_of.get(signal, ()):
            if signal not in far or not is_of_document(holder):
                grouped[holder.contribution].append(holder)
    if overruling and Algorithm.PHASH in [signal.algorithm for signal in signals]:
        phash_only = {
            id for id, group in grouped.items() if all(holder.signal.algorithm is Algorithm.PHASH for holder in group)
        }
        if TEST_ID in phash_only:
            del grouped[TEST_ID]
        for id, algorithms in overruling_algorithms(phash_only).items():
            if not algorithms.isdisjoint(overruling):
                del grouped[id]
    return list(grouped.values())


def _rank(groups: Sequence[Sequence[Holder]], order: Mapping[Signal, int]) -> Sequence[Sequence[Holder]]:
    """The contributions in the order of `Match.rank`; `order` has the rank of each signal's distance."""
    ranked = [
        (
            # The common case first: one value is near, and it may have thousands of holders.
            order[group[0].signal] if len(group) == 1 else min([order[holder.signal] for holder in group]),
            -1 if len(group) == 1 else -len({holder.signal.algorithm for holder in group}),
            group[0].contribution,
            group,
        )
        for group in groups
    ]
    ranked.sort()
    return [group for *_, group in ranked]


def _alternate_members(ranked: Sequence[Sequence[Holder]], limit: int) -> Sequence[Sequence[Holder]]:
    """At most `limit` contributions: the nearest of each member, then the second of each, and so on."""
    if len(ranked) <= limit:
        return ranked
    counts_by_member: dict[int, int] = defaultdict(int)
    order = []
    for place, group in enumerate(ranked):
        member = group[0].member
        order.append((counts_by_member[member], place))
        counts_by_member[member] += 1
    order.sort()
    return [ranked[place] for place in sorted(place for _, place in order[:limit])]


_POSITIONS = {algorithm: position for position, algorithm in enumerate(Algorithm)}
_NO_MATCH = Selection({}, {}, chosen=(), members=frozenset(), severity=None, judged=(), truncated=False)
