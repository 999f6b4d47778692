"""Matches: the index suggests, the store decides."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from time import perf_counter

from hashdb.domain.accounts.budgets import cost_of
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Head
from hashdb.domain.matching.matches import MATCHES_A_REQUEST, Answer, Holder, Query, Result
from hashdb.domain.matching.suggestions import Distances, decide, results, suggest
from hashdb.domain.signals import Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB
from hashdb.store import Transaction

_NO_RADIUS = "is not for a key that is told no distances"
_SWITCH_EVERY = 0.0005
"""Seconds for which the thread of a batch runs while others wait, where Python's own 5 milliseconds are usual."""
_MATCHING = tuple(standing for standing in Standing if standing.matches)
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
    Raises InvalidInput, LimitReached, TooManyAtOnce.
    """
    actor.require(Scope.MATCH)
    if quarantined:
        actor.require(Scope.AUDIT)
    check(db, queries, told_distances=actor.told_distances)
    if len(queries) <= FEW or has_turn:
        answer = _counted(db, actor, queries, quarantined, level)
    else:
        with db.places.place(actor), turn(db, actor):
            answer = _counted(db, actor, queries, quarantined, None)
    if actor.member is not None:
        db.stats.match(db.now(), actor.member.id, queries, answer)
        db.suspicions.note(actor, queries, answer)
    if not actor.told_distances:
        return replace(answer, results=tuple(one.without_distances() for one in answer.results))
    return answer


def _counted(db: HashDB, actor: Actor, queries: Sequence[Query], quarantined: bool, level: Head | None) -> Answer:
    # Not before it is the request's turn: who is told to come again has used nothing.
    if actor.key is not None:
        db.budgets.spend(actor, cost_of(queries), db.now())
    return _match(db, queries, quarantined, level or db.index.catch_up())


def _match(db: HashDB, queries: Sequence[Query], quarantined: bool, level: Head) -> Answer:
    checkpoint, started = level.seq, perf_counter()
    suggested, through = suggest(queries, db.index.search)
    searched = perf_counter()
    if not any(suggested):
        db.timed((searched - started, 0.0))
        return Answer(tuple(Result(query.id, (), 0) for query in queries), checkpoint)
    standings = tuple(Standing) if quarantined else _MATCHING
    with db.store.read() as tx:
        held = _held(tx, suggested, db.now(), standings)
        decided = decide(queries, suggested, through, held, tx.matches.having)
        confirming = tx.matches.confirming({id for one in decided for id in one.judged})
        unread = {group[0].contribution for one in decided for group in one.chosen if group[0].about is None}
        about = tx.matches.about(unread)
    answer = Answer(results(queries, decided, about, confirming), checkpoint)
    db.timed((searched - started, perf_counter() - searched))
    return answer


@contextmanager
def turn(db: HashDB, actor: Actor) -> Iterator[None]:
    """Wait for a turn of the actor's key to answer a batch, and keep it for the block.

    Python lets other threads in ten times as often meanwhile: single matches wait for the batch's thread otherwise.
    """
    with db.batches.turn(actor.name):
        usual = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_EVERY)
        try:
            yield
        finally:
            sys.setswitchinterval(usual)


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


def _held(
    tx: Transaction, suggested: Sequence[Distances], now: datetime, standings: tuple[Standing, ...]
) -> Mapping[Signal, Sequence[Holder]]:
    """Who holds what the index found for any query, by signal."""
    found = {signal for distances in suggested for signal in distances}
    held: dict[Signal, list[Holder]] = defaultdict(list)
    few = tx.matches.holders(found, now, standings, MATCHES_A_REQUEST + 1)
    holders: Iterable[Holder] = few
    if len(few) > MATCHES_A_REQUEST:
        holders = tx.matches.all_holders(found, now, standings)
    for holder in holders:
        held[holder.signal].append(holder)
    return held
