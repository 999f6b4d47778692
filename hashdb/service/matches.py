"""Matches: the index suggests, the store decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import groupby

from hashdb.domain.contributions import Standing
from hashdb.domain.matches import (
    MATCHES_A_QUERY,
    MATCHES_A_REQUEST,
    Answer,
    Holder,
    Match,
    Query,
    Result,
)
from hashdb.domain.members import Actor, Scope
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB
from hashdb.store import Transaction
from hashdb.store.audit import Head

FEW = 8
"""Queries of a request that is answered at once; one of more is a batch."""

Distances = Mapping[Signal, int]
"""What the index found for one query: stored signal → distance in bits to the nearest of the query's."""


def match(
    db: HashDB, actor: Actor, queries: Sequence[Query], *, quarantined: bool = False, level: Head | None = None
) -> Answer:
    """For each query the active contributions within its radius, nearest first, level with the log of this moment.

    `quarantined` (scope `audit`) answers those too; `level` is what the index was brought level with since the
    request came, so that a single match need not ask again. Raises InvalidInput.
    """
    actor.require(Scope.MATCH)
    if quarantined:
        actor.require(Scope.AUDIT)
    check(db, queries)
    if len(queries) <= FEW:
        answer = _match(db, queries, quarantined, level or db.live.level())
    else:
        with db.batches.turn():
            answer = _match(db, queries, quarantined, db.live.level())
    if actor.member is not None:
        db.tallies.match(db.now(), actor.member.id, queries, answer)
    return answer


def _match(db: HashDB, queries: Sequence[Query], quarantined: bool, level: Head) -> Answer:
    checkpoint = level.seq
    suggested, through = _suggest_all(db, queries)
    if not any(suggested):
        return Answer(tuple(Result(query.id, (), 0) for query in queries), checkpoint)
    standings = tuple(standing for standing in Standing if quarantined or standing.matches)
    results, left, now = [], MATCHES_A_REQUEST, db.now()
    with db.store.read() as tx:
        everyone = _everyone(tx, suggested, now, standings)
        for query, found, turns in zip(queries, suggested, through, strict=True):
            if found:
                limit = min(left, MATCHES_A_QUERY)
                known = None if everyone is None else [one for signal in found for one in everyone.get(signal, ())]
                result = _decide(tx, query, found, known, now, limit, standings, turns)
                left -= len(result.matches)
            else:
                result = Result(query.id, (), 0)
            results.append(result)
    return Answer(tuple(results), checkpoint)


def check(db: HashDB, queries: Sequence[Query]) -> None:
    """Raise InvalidInput with every fault of the queries, each at `queries[i].field`."""
    faults = [
        Fault(f"queries[{position}].{fault.at}", fault.reason)
        for position, query in enumerate(queries)
        for fault in db.rules.query_faults(query)
    ]
    if faults:
        raise InvalidInput(tuple(faults))


def suggest(db: HashDB, queries: Sequence[Query]) -> Sequence[Distances]:
    """What the index holds within each query's radius: a search an algorithm and radius for all queries at once."""
    asked: dict[tuple[Algorithm, int], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for position, query in enumerate(queries):
        for signal in query.signals:
            group = asked[signal.algorithm, query.radius_of(signal.algorithm)]
            group[signal.value].append(position)
    suggested: list[dict[Signal, int]] = [{} for _ in queries]
    for (algorithm, radius), values in asked.items():
        answers = db.live.search(algorithm, list(values), radius)
        for positions, neighbors in zip(values.values(), answers, strict=True):
            for distance, value in neighbors:
                signal = Signal(algorithm, value)
                for position in positions:
                    nearest = suggested[position]
                    nearest[signal] = min(distance, nearest.get(signal, distance))
    return suggested


def _suggest_all(db: HashDB, queries: Sequence[Query]) -> tuple[Sequence[Distances], Sequence[Mapping[Signal, str]]]:
    """The same with the queries' transforms, and for each query what only a transform found, by the nearest's name."""
    turned = [
        (position, name, Query(signals, radius=query.radius))
        for position, query in enumerate(queries)
        for name, signals in query.transforms.items()
    ]
    found = suggest(db, [*queries, *(query for _, _, query in turned)])
    together = [dict(distances) for distances in found[: len(queries)]]
    through: list[dict[Signal, str]] = [{} for _ in queries]
    for (position, name, _), distances in zip(turned, found[len(queries) :], strict=True):
        for signal, distance in distances.items():
            if distance < together[position].get(signal, distance + 1):
                together[position][signal] = distance
                if signal not in found[position]:
                    through[position][signal] = name
    return together, through


def _everyone(
    tx: Transaction, suggested: Sequence[Distances], now: datetime, standings: tuple[Standing, ...]
) -> Mapping[Signal, Sequence[Holder]] | None:
    """Who holds what the index found for any query, by signal; None where that is more than an answer may have."""
    found = {signal for distances in suggested for signal in distances}
    holders = tx.matches.holders(found, now, standings, MATCHES_A_REQUEST + 1)
    if len(holders) > MATCHES_A_REQUEST:
        return None
    held: dict[Signal, list[Holder]] = defaultdict(list)
    for holder in holders:
        held[holder.signal].append(holder)
    return held


def _decide(
    tx: Transaction,
    query: Query,
    found: Distances,
    known: Sequence[Holder] | None,
    now: datetime,
    limit: int,
    standings: tuple[Standing, ...],
    through: Mapping[Signal, str],
) -> Result:
    """Which contributions hold what the index found, and how near each is; `known` are all holders, if known."""
    holders, truncated = known or (), False
    if known is None or len(known) > limit:
        holders, truncated = _holders(tx, found, now, limit, standings)
    groups = [
        held for held in _by_contribution(holders) if any(one.signal.algorithm not in query.supporting for one in held)
    ]
    matches = sorted((_spell(held, found, through) for held in groups), key=lambda one: one.rank)
    return Result(query.id, tuple(matches), len({one.member for held in groups for one in held}), truncated)


def _holders(
    tx: Transaction, found: Distances, now: datetime, limit: int, standings: tuple[Standing, ...]
) -> tuple[Sequence[Holder], bool]:
    """The holders of at most `limit` contributions, the nearest, and whether there are more.

    Popular values have more holders than an answer may have, so past that the store is asked ring by ring.
    """
    holders = tx.matches.holders(found, now, standings, limit + 1)
    if len(holders) <= limit:
        return holders, False
    chosen: dict[int, None] = {}
    nearest_first = sorted(found, key=lambda signal: found[signal] / signal.algorithm.radius)
    for ring in _rings(found):
        chosen.update(dict.fromkeys(tx.matches.holding(ring, nearest_first, now, standings, limit + 1)))
        if len(chosen) > limit:
            break
    nearest = list(chosen)[:limit]
    return tx.matches.holders(found, now, standings, only=nearest), len(chosen) > limit


def _rings(found: Distances) -> Iterator[list[Signal]]:
    """The found signals, nearest first against their default radius, those of one nearness together."""

    def nearness(signal: Signal) -> float:
        return found[signal] / signal.algorithm.radius

    for _, ring in groupby(sorted(found, key=nearness), key=nearness):
        yield list(ring)


def _by_contribution(holders: Sequence[Holder]) -> Collection[list[Holder]]:
    grouped: dict[int, list[Holder]] = defaultdict(list)
    for holder in holders:
        grouped[holder.contribution].append(holder)
    return grouped.values()


def _spell(holders: Sequence[Holder], found: Distances, through: Mapping[Signal, str]) -> Match:
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


_ORDER = {algorithm: position for position, algorithm in enumerate(Algorithm)}
