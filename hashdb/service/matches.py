"""Matches: the index suggests, the store decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from time import perf_counter

from hashdb.domain.contributions import Standing
from hashdb.domain.matches import (
    MATCHES_A_QUERY,
    MATCHES_A_REQUEST,
    Answer,
    Holder,
    Query,
    Result,
)
from hashdb.domain.members import Actor, Scope
from hashdb.domain.signals import Signal
from hashdb.domain.suggestions import Distances, Through, by_contribution, nearness, rings, spelled, suggest
from hashdb.domain.testing import holders_of_test
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB
from hashdb.store import Transaction
from hashdb.store.audit import Head

_NO_RADIUS = "is not for a key that is told no distances"
FEW = 8
"""Queries of a request that is answered at once; one of more is a batch."""


def match(
    db: HashDB,
    actor: Actor,
    queries: Sequence[Query],
    *,
    quarantined: bool = False,
    level: Head | None = None,
    has_turn: bool = False,
) -> Answer:
    """For each query the active contributions within its radius, nearest first, level with the log of this moment.

    `quarantined` (scope `audit`) answers those too; `level` is what the index was brought level with since the
    request came, so that a single match need not ask again. `has_turn`: the caller is in a block of `turn`.
    Raises InvalidInput, TooManyAtOnce.
    """
    actor.require(Scope.MATCH)
    if quarantined:
        actor.require(Scope.AUDIT)
    check(db, queries, told_distances=actor.told_distances)
    if len(queries) <= FEW or has_turn:
        answer = _match(db, queries, quarantined, level or db.live.level())
    else:
        with db.places.place(actor), db.batches.turn(actor.name):
            answer = _match(db, queries, quarantined, db.live.level())
    if actor.member is not None:
        db.tallies.match(db.now(), actor.member.id, queries, answer)
    if not actor.told_distances:
        return replace(answer, results=tuple(result.without_distances() for result in answer.results))
    return answer


def _match(db: HashDB, queries: Sequence[Query], quarantined: bool, level: Head) -> Answer:
    checkpoint, started = level.seq, perf_counter()
    suggested, through = suggest(queries, db.live.search)
    searched = perf_counter()
    if not any(suggested):
        db.timed((searched - started, 0.0))
        return Answer(tuple(Result(query.id, (), 0) for query in queries), checkpoint)
    standings = tuple(standing for standing in Standing if quarantined or standing.matches)
    decided: list[tuple[Result, set[int]]] = []
    left, now = MATCHES_A_REQUEST, db.now()
    with db.store.read() as tx:
        everyone = _everyone(tx, suggested, now, standings)
        for query, found, turns in zip(queries, suggested, through, strict=True):
            if found:
                limit = min(left, MATCHES_A_QUERY)
                known = None if everyone is None else [one for signal in found for one in everyone.get(signal, ())]
                decided.append(_decide(tx, query, found, known, now, limit, standings, turns))
                left -= len(decided[-1][0].matches)
            else:
                decided.append((Result(query.id, (), 0), set()))
        results = _corroborated(tx, decided)
    db.timed((searched - started, perf_counter() - searched))
    return Answer(results, checkpoint)


def check(db: HashDB, queries: Sequence[Query], *, told_distances: bool = True) -> None:
    """Raise InvalidInput with every fault of the queries, each at `queries[i].field`.

    Who is not told distances may choose no radius: halving it again and again would tell them.
    """
    faults = [
        Fault(f"queries[{position}].{fault.at}", fault.reason)
        for position, query in enumerate(queries)
        for fault in db.rules.query_faults(query)
    ]
    if not told_distances:
        faults += [Fault(f"queries[{i}].radius", _NO_RADIUS) for i, query in enumerate(queries) if query.radius]
    if faults:
        raise InvalidInput(tuple(faults))


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
    through: Through,
) -> tuple[Result, set[int]]:
    """Which contributions hold what the index found, how near each is, and the members that contributed them.

    `known` are all holders, if known.
    """
    tests = holders_of_test(found) if limit else []
    limit -= bool(tests)
    holders, truncated = known or (), False
    if known is None or len(known) > limit:
        holders, truncated = _holders(tx, found, now, limit, standings)
    groups = by_contribution([*tests, *holders], query.supporting)
    matches = sorted((spelled(held, found, through) for held in groups), key=lambda one: one.rank)
    contributors = {one.member for held in groups for one in held}
    return Result(query.id, tuple(matches), len(contributors), truncated), contributors


def _corroborated(tx: Transaction, decided: Sequence[tuple[Result, set[int]]]) -> tuple[Result, ...]:
    """The results, whose `members` count who confirmed as well; asked only where there is an opinion on any match."""
    judged = [
        [match.contribution for match in result.matches if match.standing is not Standing.UNREVIEWED]
        for result, _ in decided
    ]
    if not any(judged):
        return tuple(result for result, _ in decided)
    confirming = tx.matches.confirming({id for ids in judged for id in ids})
    return tuple(
        replace(result, members=len(contributors.union(*(confirming.get(id, ()) for id in ids)))) if ids else result
        for (result, contributors), ids in zip(decided, judged, strict=True)
    )


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
    nearest_first = sorted(found, key=lambda signal: nearness(found, signal))
    for ring in rings(found):
        chosen.update(dict.fromkeys(tx.matches.holding(ring, nearest_first, now, standings, limit + 1)))
        if len(chosen) > limit:
            break
    nearest = list(chosen)[:limit]
    return tx.matches.holders(found, now, standings, only=nearest), len(chosen) > limit
