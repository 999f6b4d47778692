"""From what an index holds near the queries to matches: the same at the service and at a member's copy."""

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
    About,
    Holder,
    Match,
    Neighbor,
    Query,
    Result,
)
from hashdb.domain.signals import Algorithm, Signal, counts

Distances = Mapping[Signal, int]
"""What was found for one query: stored signal → distance in bits to the nearest of the query's."""

Through = Mapping[Signal, str]
"""What only a transform of one query found, by the nearest one's name."""

Search = Callable[[Algorithm, Sequence[int], int], list[list[Neighbor]]]
"""For each value, all of an algorithm that are stored within so many bits of it."""

Having = Callable[[Collection[int]], Mapping[int, frozenset[Algorithm]]]
"""For each contribution, the algorithms that overrule phash of which it has a signal that can match."""


def suggest(queries: Sequence[Query], search: Search) -> tuple[Sequence[Distances], Sequence[Through]]:
    """What is stored within each query's radius, or its transforms': the test item, and what the index finds."""
    turned = [
        (position, name, Query(signals, radius=query.radius))
        for position, query in enumerate(queries)
        for name, signals in query.transforms.items()
    ]
    if not turned:
        return _suggest(queries, search), [_DIRECT] * len(queries)
    found = _suggest([*queries, *[query for _, _, query in turned]], search)
    together = [dict(distances) for distances in found[: len(queries)]]
    through: list[dict[Signal, str]] = [{} for _ in queries]
    for (position, name, _), distances in zip(turned, found[len(queries) :], strict=True):
        for signal, distance in distances.items():
            if distance < together[position].get(signal, distance + 1):
                together[position][signal] = distance
                if signal not in found[position]:
                    through[position][signal] = name
    return together, through


_DIRECT: Through = {}
_UNREAD: Mapping[int, About] = {}
_UNTOLD: Mapping[int, Set[int]] = {}


class Decided(NamedTuple):
    """What is answered of one query, and what all matches within its radius add up to."""

    found: Distances
    through: Through
    chosen: Sequence[Sequence[Holder]]
    """The holders of each contribution that is answered, nearest first."""
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
    having: Having,
) -> list[Decided]:
    """For each query the contributions to answer, at most `MATCHES_A_REQUEST` together.

    Queries that found the same share one value; once the answer is full, so do those that differ in distances only.
    """
    decided: list[Decided] = []
    left = MATCHES_A_REQUEST
    known: dict[tuple[object, ...], Decided] = {}
    matching: dict[tuple[object, ...], _Matching] = {}
    for query, found, turns in zip(queries, suggested, through, strict=True):
        if not found:
            decided.append(_NOTHING)
            continue
        limit, decisive = min(left, MATCHES_A_QUERY), query.decisive
        key = frozenset(found.items() if left else found), frozenset(turns.items()), decisive, limit
        if key not in known:
            alike = frozenset(found), decisive
            if alike not in matching:
                matching[alike] = _Matching(_groups(decisive, found, held, having))
            known[key] = matching[alike].decide(found, turns, limit)
        decided.append(known[key])
        left -= len(known[key].chosen)
    return decided


def results(
    queries: Sequence[Query],
    decided: Sequence[Decided],
    about: Mapping[int, About] = _UNREAD,
    confirming: Mapping[int, Set[int]] = _UNTOLD,
) -> tuple[Result, ...]:
    """The answers to queries, each nearest first.

    `about` says what the holders do not, and `confirming` which members confirmed a contribution.
    """
    answers: list[Result] = []
    known: dict[int, Result] = {}
    for query, decision in zip(queries, decided, strict=True):
        if (result := known.get(id(decision))) is None:
            matches = [
                _match(group, decision, group[0].about or about[group[0].contribution]) for group in decision.chosen
            ]
            members = set(decision.members)
            for contribution in decision.judged:
                members.update(confirming.get(contribution, ()))
            result = Result(query.id, tuple(matches), len(members), decision.truncated, severity=decision.severity)
            known[id(decision)] = result
        answers.append(result if result.id == query.id else replace(result, id=query.id))
    return tuple(answers)


def _match(holders: Sequence[Holder], decided: Decided, about: About) -> Match:
    """The match that the holders of one contribution make."""
    first, found, through = holders[0], decided.found, decided.through
    nearest, distance = first.signal, {first.signal.algorithm: found[first.signal]}
    if len(holders) > 1:
        near = sorted([holder.signal for holder in holders], key=lambda signal: (found[signal], signal.algorithm))
        nearest, distance = near[0], {}
        for signal in near:
            distance.setdefault(signal.algorithm, found[signal])
        distance = dict(sorted(distance.items(), key=lambda pair: _ORDER[pair[0]]))
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


class _Matching:
    """The contributions that match what some queries found alike, each as its holders."""

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

    def decide(self, found: Distances, through: Through, limit: int) -> Decided:
        """What is answered of one of the queries."""
        is_cut = len(self._groups) > limit
        if len(self._groups) <= 1 and not is_cut:
            return Decided(found, through, self._groups, self._members, self._severity, self._judged, is_cut)
        # Not how near the values are, but which is nearer than which: of one value, each query chooses the same.
        near = {signal: bits / signal.algorithm.radius for signal, bits in found.items()}
        places = {nearness: place for place, nearness in enumerate(sorted(set(near.values())))}
        order = {signal: places[nearness] for signal, nearness in near.items()}
        key = frozenset(order.items()), limit
        if key not in self._chosen:
            self._chosen[key] = _in_turns(_ranked(self._groups, order), limit) if limit else ()
        return Decided(found, through, self._chosen[key], self._members, self._severity, self._judged, is_cut)


def _groups(
    decisive: Collection[Algorithm], found: Distances, held: Mapping[Signal, Sequence[Holder]], having: Having
) -> list[list[Holder]]:
    """The holders of each contribution that matches, those of a contribution together."""
    grouped: dict[int, list[Holder]] = defaultdict(list)
    for signal in TEST_HOLDERS.keys() & found.keys():
        grouped[TEST_ID].append(TEST_HOLDERS[signal])
    for signal in found:
        for holder in held.get(signal, ()):
            grouped[holder.contribution].append(holder)
    if decisive and Algorithm.PHASH in [signal.algorithm for signal in found]:
        alone = {id for id, group in grouped.items() if all(one.signal.algorithm is Algorithm.PHASH for one in group)}
        for id in alone & {TEST_ID}:
            del grouped[id]
        for id, algorithms in having(alone).items():
            if not algorithms.isdisjoint(decisive):
                del grouped[id]
    return list(grouped.values())


def _ranked(groups: Sequence[Sequence[Holder]], order: Mapping[Signal, int]) -> Sequence[Sequence[Holder]]:
    """The contributions as `Match.rank` of their matches ranks them."""
    ranked = [
        (
            # Mostly one value is near, and popular ones have thousands of holders.
            order[group[0].signal] if len(group) == 1 else min([order[one.signal] for one in group]),
            -1 if len(group) == 1 else -len({one.signal.algorithm for one in group}),
            group[0].contribution,
            group,
        )
        for group in groups
    ]
    ranked.sort()
    return [one[3] for one in ranked]


def _in_turns(ranked: Sequence[Sequence[Holder]], limit: int) -> Sequence[Sequence[Holder]]:
    """At most `limit` contributions: the nearest of each member, then the second of each, and so on."""
    if len(ranked) <= limit:
        return ranked
    turns: dict[int, int] = defaultdict(int)
    in_turns = []
    for place, group in enumerate(ranked):
        member = group[0].member
        in_turns.append((turns[member], place))
        turns[member] += 1
    in_turns.sort()
    return [ranked[place] for place in sorted(place for _, place in in_turns[:limit])]


def _suggest(queries: Sequence[Query], search: Search) -> Sequence[Distances]:
    """A search an algorithm and radius for all queries at once."""
    asked: dict[tuple[Algorithm, int, bool], dict[int, list[int]]] = {}
    suggested: list[dict[Signal, int]] = [{} for _ in queries]
    for position, query in enumerate(queries):
        for signal in query.signals:
            radius = query.radius_of(signal.algorithm)
            # A query that names a radius is answered with all that is within it.
            named = signal.algorithm in query.radius
            asked.setdefault((signal.algorithm, radius, named), {}).setdefault(signal.value, []).append(position)
            if near := near_test(signal, radius):
                distance, test = near
                suggested[position][test] = min(distance, suggested[position].get(test, distance))
    for (algorithm, radius, named), values in asked.items():
        answers = search(algorithm, list(values), radius)
        for (one, positions), neighbors in zip(values.items(), answers, strict=True):
            for distance, value in neighbors:
                if not named and not counts(algorithm, distance, one, value):
                    continue
                signal = Signal(algorithm, value)
                for position in positions:
                    suggested[position][signal] = min(distance, suggested[position].get(signal, distance))
    return suggested


_ORDER = {algorithm: position for position, algorithm in enumerate(Algorithm)}
_NOTHING = Decided({}, {}, (), frozenset(), None, (), False)


TEST_ID = 0
"""Its number, as a contribution and as a member: those that are stored begin with 1."""
LABEL = "test"
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
_ABOUT = About((LABEL,), (), None, _PUBLISHED)
_TEST_VALUES = {signal.algorithm: signal.value for signal in TEST_SIGNALS}
TEST_HOLDERS = {signal: Holder(signal, TEST_ID, TEST_ID, None, Standing.UNREVIEWED, _ABOUT) for signal in TEST_SIGNALS}
"""The test item, as the holder of each of its signals."""


def near_test(signal: Signal, radius: int) -> tuple[int, Signal] | None:
    """How far the test item's signal of the same algorithm is, and that signal, where it is within the radius."""
    value = _TEST_VALUES[signal.algorithm]
    distance = (signal.value ^ value).bit_count()
    return (distance, Signal(signal.algorithm, value)) if distance <= radius else None


def contribution_of_test(algorithms: Collection[Algorithm]) -> Contribution:
    """The test item as a contribution, with its signals of these algorithms."""
    return Contribution(
        id=TEST_ID,
        member=TEST_ID,
        member_name="hashdb",
        status=Status.ACTIVE,
        standing=Standing.UNREVIEWED,
        received_at=_PUBLISHED,
        signals=tuple(signal for signal in TEST_SIGNALS if signal.algorithm in algorithms),
        labels=(LABEL,),
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
