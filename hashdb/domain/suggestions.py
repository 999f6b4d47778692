"""From what an index holds near the queries to matches: the same at the service and at a member's copy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby

from hashdb.domain.matches import Holder, Match, Neighbor, Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.sparseness import counts
from hashdb.domain.testing import near_test

Distances = Mapping[Signal, int]
"""What was found for one query: stored signal → distance in bits to the nearest of the query's."""

Through = Mapping[Signal, str]
"""What only a transform of one query found, by the nearest one's name."""

Search = Callable[[Algorithm, Sequence[int], int], list[list[Neighbor]]]
"""For each value, all of an algorithm that are stored within so many bits of it."""


def suggest(queries: Sequence[Query], search: Search) -> tuple[Sequence[Distances], Sequence[Through]]:
    """What is stored within each query's radius, or its transforms': the test item, and what the index finds."""
    turned = [
        (position, name, Query(signals, radius=query.radius))
        for position, query in enumerate(queries)
        for name, signals in query.transforms.items()
    ]
    found = _suggest([*queries, *(query for _, _, query in turned)], search)
    together = [dict(distances) for distances in found[: len(queries)]]
    through: list[dict[Signal, str]] = [{} for _ in queries]
    for (position, name, _), distances in zip(turned, found[len(queries) :], strict=True):
        for signal, distance in distances.items():
            if distance < together[position].get(signal, distance + 1):
                together[position][signal] = distance
                if signal not in found[position]:
                    through[position][signal] = name
    return together, through


def nearness(found: Distances, signal: Signal) -> float:
    """How near a signal is that was found, against its algorithm's default radius."""
    return found[signal] / signal.algorithm.radius


def rings(found: Distances) -> Iterator[list[Signal]]:
    """The found signals, nearest first against their default radius, those of one nearness together."""

    def near(signal: Signal) -> float:
        return nearness(found, signal)

    for _, ring in groupby(sorted(found, key=near), key=near):
        yield list(ring)


def by_contribution(holders: Sequence[Holder], supporting: Collection[Algorithm]) -> list[list[Holder]]:
    """Holders, those of a contribution together; what only `supporting` algorithms found is left out."""
    grouped: dict[int, list[Holder]] = defaultdict(list)
    for holder in holders:
        grouped[holder.contribution].append(holder)
    return [held for held in grouped.values() if any(one.signal.algorithm not in supporting for one in held)]


def spelled(holders: Sequence[Holder], found: Distances, through: Through) -> Match:
    """The match that the holders of one contribution make."""
    first = holders[0]
    distance: dict[Algorithm, int] = {}
    nearest_first = sorted((holder.signal for holder in holders), key=lambda signal: (found[signal], signal.algorithm))
    for signal in nearest_first:
        distance.setdefault(signal.algorithm, found[signal])
    return Match(
        contribution=first.contribution,
        distance=dict(sorted(distance.items(), key=lambda pair: _ORDER[pair[0]])),
        labels=first.labels,
        severity=first.severity,
        standing=first.standing,
        context=first.context,
        removed_at=first.removed_at,
        received_at=first.received_at,
        transform=through.get(nearest_first[0]) if all(signal in through for signal in nearest_first) else None,
    )


def _suggest(queries: Sequence[Query], search: Search) -> Sequence[Distances]:
    """A search an algorithm and radius for all queries at once."""
    asked: dict[tuple[Algorithm, int, bool], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    suggested: list[dict[Signal, int]] = [{} for _ in queries]
    for position, query in enumerate(queries):
        for signal in query.signals:
            radius = query.radius_of(signal.algorithm)
            # Who names a radius is answered with all that is within it.
            named = signal.algorithm in query.radius
            asked[signal.algorithm, radius, named][signal.value].append(position)
            if near := near_test(signal, radius):
                _take(suggested[position], *near)
    for (algorithm, radius, named), values in asked.items():
        answers = search(algorithm, list(values), radius)
        for (one, positions), neighbors in zip(values.items(), answers, strict=True):
            for distance, value in neighbors:
                if not named and not counts(algorithm, distance, one, value):
                    continue
                signal = Signal(algorithm, value)
                for position in positions:
                    _take(suggested[position], distance, signal)
    return suggested


def _take(nearest: dict[Signal, int], distance: int, signal: Signal) -> None:
    nearest[signal] = min(distance, nearest.get(signal, distance))


_ORDER = {algorithm: position for position, algorithm in enumerate(Algorithm)}
