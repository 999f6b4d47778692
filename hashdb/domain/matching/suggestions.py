"""Suggestions: the stored signals near the queries, as an index finds them, in the service and in a member's copy."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Set

from hashdb.domain.matching.alignment import evenly
from hashdb.domain.matching.frames import Expanded
from hashdb.domain.matching.matches import Neighbor, Query
from hashdb.domain.matching.testing import near_test_item
from hashdb.domain.signals import Algorithm, Signal, is_within_match_radius

Distances = Mapping[Signal, int]
"""For one query: stored signal → distance in bits to the nearest signal of the query."""
Through = Mapping[Signal, str]
"""For one query: stored signal that only a transform found → name of the nearest transform."""
Search = Callable[[Algorithm, Sequence[int], int], list[list[Neighbor]]]
"""Returns, for each value, the stored values of the algorithm within the radius (bits)."""
_View = tuple[Query, str, Sequence[Signal]]
"""A query, the name of one of its transforms (empty: the item itself), and the signals of this view."""
MOST_NEAR = 1_000_000
"""The most signals near the frames of a request, summed over its frames."""
_SAMPLED = 128
"""Frames that are searched for first, and one of each query, to estimate how many signals are near all of them."""
_NO_TRANSFORM: Through = {}


def suggest(queries: Sequence[Query], search: Search) -> tuple[Sequence[Distances], Sequence[Through]]:
    """For each query, the stored signals near it (also those of the test item), and the transforms that found them."""
    transformed = [(position, name) for position, query in enumerate(queries) for name in query.transforms]
    views: list[_View] = [(query, "", query.signals) for query in queries]
    for position, name in transformed:
        views.append((queries[position], name, queries[position].transforms[name]))
    distances = _search(views, search)
    if not transformed:
        return distances, [_NO_TRANSFORM] * len(queries)
    nearest = [dict(of_transform) for of_transform in distances[: len(queries)]]
    through: list[dict[Signal, str]] = [{} for _ in queries]
    for (position, name), of_transform in zip(transformed, distances[len(queries) :], strict=True):
        for signal, distance in of_transform.items():
            if distance < nearest[position].get(signal, distance + 1):
                nearest[position][signal] = distance
                if signal not in distances[position]:
                    through[position][signal] = name
    return nearest, through


def suggest_expanded(
    expanded: Expanded, search: Search, most: int | None = None
) -> tuple[Sequence[Distances], Sequence[Through], Set[int]]:
    """What `suggest` returns, for queries and their frames; and the positions of the queries with frames left out.

    A film that hardly moves may have thousands of frames that are all near each other. A sample of the frames is
    searched first. If it shows that more than `most` signals (by default `MOST_NEAR`) are near all frames, each query
    gets a share of `most`; of a query that needs more, only some frames are searched, evenly spread.
    """
    remaining: float = MOST_NEAR if most is None else most
    queries = expanded.queries
    count = sum(map(len, expanded.frames.values()))
    if count <= _SAMPLED:
        return *suggest(queries, search), frozenset()
    suggested: list[Distances] = [{} for _ in queries]
    through: list[Through] = [_NO_TRANSFORM for _ in queries]

    def search_for(places: Collection[int]) -> None:
        results = suggest([queries[place] for place in places], search)
        for place, distances, transforms in zip(places, *results, strict=True):
            suggested[place], through[place] = distances, transforms

    step = count // _SAMPLED + 1
    # From the middle: many videos begin with the same picture.
    samples = {position: places[len(places) % step // 2 :: step] for position, places in expanded.frames.items()}
    sampled = [place for sample in samples.values() for place in sample]
    search_for(sampled)
    estimates: list[tuple[float, int]] = []
    for position, sample in samples.items():
        near_each = sum(len(suggested[place]) for place in sample) / max(1, len(sample))
        estimates.append((near_each * len(expanded.frames[position]), position))
    # First the queries of the request, before those of frames. A query that needs less than its share leaves the rest.
    chosen, thinned = {*range(len(queries) - count)}, set[int]()
    for number, (estimate, position) in enumerate(sorted(estimates)):
        places, share = expanded.frames[position], remaining / (len(estimates) - number)
        room = int(len(places) * min(1.0, share / (estimate or 1)))
        chosen.update(evenly(places, room))
        if max(room, len(samples[position])) < len(places):
            thinned.add(position)
        remaining -= min(estimate, share)
    search_for(sorted(chosen.difference(sampled)))
    return suggested, through, thinned


def _search(views: Sequence[_View], search: Search) -> Sequence[Distances]:
    """The stored signals near each view, with one search for each algorithm and radius."""
    requests: dict[tuple[Algorithm, int, bool], dict[int, list[int]]] = {}
    suggested: list[dict[Signal, int]] = [{} for _ in views]
    for position, (query, name, signals) in enumerate(views):
        for signal in signals:
            if signal.algorithm.is_digest:
                # The store looks the value up: no index has it.
                suggested[position][signal] = 0
                continue
            radius = query.radius_of(signal.algorithm, name)
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
