"""Matches from what an index finds near the queries: the same in the service and in a member's copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from hashdb.domain.contributions import Contribution, Media, Standing, Status
from hashdb.domain.matching.matches import (
    MATCHES_A_QUERY,
    MATCHES_A_REQUEST,
    Holder,
    Match,
    MatchDetails,
    Neighbor,
    Query,
    Result,
)
from hashdb.domain.signals import Algorithm, Signal, is_within_match_radius

Distances = Mapping[Signal, int]
"""For one query: stored signal → distance in bits to the nearest signal of the query."""

Through = Mapping[Signal, str]
"""For one query: stored signal that only a transform found → name of the nearest transform."""

Search = Callable[[Algorithm, Sequence[int], int], list[list[Neighbor]]]
"""Returns, for each value, the stored values of the algorithm within the radius (bits)."""

OverrulingAlgorithms = Callable[[Collection[int]], Mapping[int, frozenset[Algorithm]]]
"""Returns, for each contribution, the algorithms of its matchable signals that overrule phash."""


def suggest(queries: Sequence[Query], search: Search) -> tuple[Sequence[Distances], Sequence[Through]]:
    """The stored signals within the radius of each query or its transforms; the test item is among them."""
    transformed = [
        (position, name, Query(signals, radius=query.radius))
        for position, query in enumerate(queries)
        for name, signals in query.transforms.items()
    ]
    if not transformed:
        return _search(queries, search), [_NO_TRANSFORM] * len(queries)
    distances = _search([*queries, *[query for _, _, query in transformed]], search)
    nearest = [dict(of_transform) for of_transform in distances[: len(queries)]]
    through: list[dict[Signal, str]] = [{} for _ in queries]
    for (position, name, _), of_transform in zip(transformed, distances[len(queries) :], strict=True):
        for signal, distance in of_transform.items():
            if distance < nearest[position].get(signal, distance + 1):
                nearest[position][signal] = distance
                if signal not in distances[position]:
                    through[position][signal] = name
    return nearest, through


_NO_TRANSFORM: Through = {}
_NO_DETAILS: Mapping[int, MatchDetails] = {}
_NO_CONFIRMATIONS: Mapping[int, Set[int]] = {}


class Selection(NamedTuple):
    """The matches of one query that are returned, and the sums over all matches within its radius."""

    found: Distances
    through: Through
    chosen: Sequence[Sequence[Holder]]
    """The holders of each contribution that is returned, nearest first."""
    members: Set[int]
    severity: int | None
    judged: Sequence[int]
    """The contributions on which there is an opinion or a decision."""
    truncated: bool


def decide(
    queries: Sequence[Query],
    suggested: Sequence[Distances],
    through: Sequence[Through],
    held: Mapping[Signal, Sequence[Holder]],
    having: OverrulingAlgorithms,
) -> list[Selection]:
    """For each query the contributions to return, at most `MATCHES_A_REQUEST` together.

    Queries that found the same share one value. Once the answer is full, queries that differ only in distances do too.
    """
    decided: list[Selection] = []
    remaining = MATCHES_A_REQUEST
    reused: dict[tuple[object, ...], Selection] = {}
    candidates: dict[tuple[object, ...], _Candidates] = {}
    for query, distances, transforms in zip(queries, suggested, through, strict=True):
        if not distances:
            decided.append(_NO_MATCH)
            continue
        limit, decisive = min(remaining, MATCHES_A_QUERY), query.decisive
        key = frozenset(distances.items() if remaining else distances), frozenset(transforms.items()), decisive, limit
        if key not in reused:
            shared_key = frozenset(distances), decisive
            if shared_key not in candidates:
                candidates[shared_key] = _Candidates(_group_by_contribution(decisive, distances, held, having))
            reused[key] = candidates[shared_key].decide(distances, transforms, limit)
        decided.append(reused[key])
        remaining -= len(reused[key].chosen)
    return decided


def build_results(
    queries: Sequence[Query],
    decided: Sequence[Selection],
    about: Mapping[int, MatchDetails] = _NO_DETAILS,
    confirming: Mapping[int, Set[int]] = _NO_CONFIRMATIONS,
) -> tuple[Result, ...]:
    """The results of the queries, each with its nearest match first.

    `about` has the details of contributions whose holders have none. `confirming` has the members that confirmed them.
    """
    answers: list[Result] = []
    reused: dict[int, Result] = {}
    for query, selection in zip(queries, decided, strict=True):
        if (result := reused.get(id(selection))) is None:
            matches = [
                _build_match(group, selection, group[0].about or about[group[0].contribution])
                for group in selection.chosen
            ]
            members = set(selection.members)
            for contribution in selection.judged:
                members.update(confirming.get(contribution, ()))
            result = Result(query.id, tuple(matches), len(members), selection.truncated, severity=selection.severity)
            reused[id(selection)] = result
        answers.append(result if result.id == query.id else replace(result, id=query.id))
    return tuple(answers)


def _build_match(holders: Sequence[Holder], decided: Selection, about: MatchDetails) -> Match:
    """The match that the holders of one contribution make."""
    first, distances, through = holders[0], decided.found, decided.through
    nearest, distance = first.signal, {first.signal.algorithm: distances[first.signal]}
    if len(holders) > 1:
        signals = sorted(
            [holder.signal for holder in holders], key=lambda signal: (distances[signal], signal.algorithm)
        )
        nearest, distance = signals[0], {}
        for signal in signals:
            distance.setdefault(signal.algorithm, distances[signal])
        distance = dict(sorted(distance.items(), key=lambda pair: _POSITIONS[pair[0]]))
    return Match(
        first.contribution,
        distance,
        about.labels,
        first.severity,
        first.standing,
        about.context,
        about.removed_at,
        about.received_at,
        through.get(nearest) if through and all(holder.signal in through for holder in holders) else None,
    )


class _Candidates:
    """The contributions that match queries which found the same signals, each as its holders."""

    def __init__(self, groups: Sequence[Sequence[Holder]]) -> None:
        self._groups = groups
        self._members: set[int] = set()
        self._severity: int | None = None
        self._judged: list[int] = []
        for group in groups:
            holder = group[0]
            self._members.add(holder.member)
            if holder.severity is not None and (self._severity is None or holder.severity > self._severity):
                self._severity = holder.severity
            if holder.standing is not Standing.UNREVIEWED:
                self._judged.append(holder.contribution)
        self._chosen: dict[tuple[object, ...], Sequence[Sequence[Holder]]] = {}

    def decide(self, found: Distances, through: Through, limit: int) -> Selection:
        """Select the contributions to return for one of the queries."""
        is_cut = len(self._groups) > limit
        if len(self._groups) <= 1 and not is_cut:
            return Selection(found, through, self._groups, self._members, self._severity, self._judged, is_cut)
        # The key has the order of the distances: queries near one value share a choice, whatever the distance.
        near = {signal: bits / signal.algorithm.radius for signal, bits in found.items()}
        places = {nearness: place for place, nearness in enumerate(sorted(set(near.values())))}
        order = {signal: places[nearness] for signal, nearness in near.items()}
        key = frozenset(order.items()), limit
        if key not in self._chosen:
            self._chosen[key] = _alternate_members(_rank(self._groups, order), limit) if limit else ()
        return Selection(found, through, self._chosen[key], self._members, self._severity, self._judged, is_cut)


def _group_by_contribution(
    decisive: Collection[Algorithm],
    signals: Distances,
    held: Mapping[Signal, Sequence[Holder]],
    having: OverrulingAlgorithms,
) -> list[list[Holder]]:
    """The holders of each contribution that matches, grouped by contribution."""
    grouped: dict[int, list[Holder]] = defaultdict(list)
    for signal in TEST_HOLDERS.keys() & signals.keys():
        grouped[TEST_ID].append(TEST_HOLDERS[signal])
    for signal in signals:
        for holder in held.get(signal, ()):
            grouped[holder.contribution].append(holder)
    if decisive and Algorithm.PHASH in [signal.algorithm for signal in signals]:
        phash_only = {
            id for id, group in grouped.items() if all(holder.signal.algorithm is Algorithm.PHASH for holder in group)
        }
        if TEST_ID in phash_only:
            del grouped[TEST_ID]
        for id, algorithms in having(phash_only).items():
            if not algorithms.isdisjoint(decisive):
                del grouped[id]
    return list(grouped.values())


def _rank(groups: Sequence[Sequence[Holder]], order: Mapping[Signal, int]) -> Sequence[Sequence[Holder]]:
    """The contributions in the order of `Match.rank`."""
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


def _search(queries: Sequence[Query], search: Search) -> Sequence[Distances]:
    """Search once for each algorithm and radius, for all queries together."""
    requests: dict[tuple[Algorithm, int, bool], dict[int, list[int]]] = {}
    suggested: list[dict[Signal, int]] = [{} for _ in queries]
    for position, query in enumerate(queries):
        for signal in query.signals:
            radius = query.radius_of(signal.algorithm)
            # A query that names a radius gets all that is within it, sparse values too.
            named = signal.algorithm in query.radius
            requests.setdefault((signal.algorithm, radius, named), {}).setdefault(signal.value, []).append(position)
            if test_item := near_test_item(signal, radius):
                distance, test_signal = test_item
                suggested[position][test_signal] = min(distance, suggested[position].get(test_signal, distance))
    for (algorithm, radius, named), values in requests.items():
        neighbors_by_value = search(algorithm, list(values), radius)
        for (value, positions), neighbors in zip(values.items(), neighbors_by_value, strict=True):
            for distance, stored in neighbors:
                if not named and not is_within_match_radius(algorithm, distance, value, stored):
                    continue
                signal = Signal(algorithm, stored)
                for position in positions:
                    suggested[position][signal] = min(distance, suggested[position].get(signal, distance))
    return suggested


_POSITIONS = {algorithm: position for position, algorithm in enumerate(Algorithm)}
_NO_MATCH = Selection({}, {}, (), frozenset(), None, (), False)


TEST_ID = 0
"""The id of the test item as a contribution and as a member: stored ids begin with 1."""
TEST_LABEL = "test"
_PUBLISHED = datetime(2026, 11, 1, tzinfo=UTC)
TEST_SIGNALS = tuple(
    map(
        Signal.parse,
        (
            "pdq:640ff64e9c0d70ce7b179b33c8e10fd11387ce448f610a320e7e2c99e63ef487",
            "phash256:e633f0973e334c9abf38262843ea1131f0e4c4f8438be64cf46f3987d81c3937",
            "phash:e6f03e4cbf264311",
            "dhash:3c948c8fd3c5ef6e",
            "whash:02c6e4fffff00103",
            "ahash:82c660ffff702102",
        ),
    )
)
_TEST_DETAILS = MatchDetails((TEST_LABEL,), (), None, _PUBLISHED)
_TEST_VALUES = {signal.algorithm: signal.value for signal in TEST_SIGNALS}
TEST_HOLDERS = {
    signal: Holder(signal, TEST_ID, TEST_ID, None, Standing.UNREVIEWED, _TEST_DETAILS) for signal in TEST_SIGNALS
}
"""The test item, as the holder of each of its signals."""


def near_test_item(signal: Signal, radius: int) -> tuple[int, Signal] | None:
    """The test item's signal of the algorithm and its distance in bits (first); None beyond the radius."""
    value = _TEST_VALUES[signal.algorithm]
    distance = (signal.value ^ value).bit_count()
    return (distance, Signal(signal.algorithm, value)) if distance <= radius else None


def contribution_of_test_item(algorithms: Collection[Algorithm]) -> Contribution:
    """The test item as a contribution, with its signals of these algorithms."""
    return Contribution(
        id=TEST_ID,
        member=TEST_ID,
        member_name="hashdb",
        status=Status.ACTIVE,
        standing=Standing.UNREVIEWED,
        received_at=_PUBLISHED,
        signals=tuple(signal for signal in TEST_SIGNALS if signal.algorithm in algorithms),
        labels=(TEST_LABEL,),
        removed_at=None,
        quality=100,
        media=Media.IMAGE,
        severity=None,
        basis=None,
        tco_ground=None,
        entity=None,
        incident=None,
        context=(),
        notified_at=None,
        reference=None,
        expires_at=None,
        withdrawn_at=None,
        withdrawal_reason=None,
        erased=False,
    )
