"""Matches: the index suggests, the store decides."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from time import perf_counter

from hashdb.domain.accounts.budgets import cost_of
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Head
from hashdb.domain.matching.matches import MATCHES_A_REQUEST, Answer, Holder, Query, Result
from hashdb.domain.matching.suggestions import Distances, Through, decide, results, suggest
from hashdb.domain.signals import Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB

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
    head: Head | None = None,
    has_turn: bool = False,
) -> Answer:
    """For each query the active contributions within its radius, nearest first, as of the log's head of this moment.

    `quarantined` (scope `audit`) answers those too; `head` is the head with which the index caught up since the
    request came, so that a single match need not catch up again. `has_turn`: the caller is in a block of `turn`.
    Raises InvalidInput, LimitReached, TooManyAtOnce.
    """
    actor.require(Scope.MATCH)
    if quarantined:
        actor.require(Scope.AUDIT)
    told_distances = actor.told_distances
    check(db, queries, told_distances=told_distances)
    is_batch = len(queries) > FEW and not has_turn
    with db.places.place(actor) if is_batch else nullcontext(), turn(db, actor) if is_batch else nullcontext():
        # Not before it is the request's turn: a request that is refused for its place has used nothing.
        now = db.now()
        if actor.key is not None:
            db.budgets.spend(actor, cost_of(queries), now)
        if head is None or is_batch:
            head = db.index.catch_up()
        started = perf_counter()
        suggested, through = suggest(queries, db.index.search)
        searched = perf_counter()
        if any(suggested):
            standings = tuple(Standing) if quarantined else _MATCHING
            answer = Answer(_results(db, queries, suggested, through, standings), head.seq)
            db.timed((searched - started, perf_counter() - searched))
        else:
            answer = Answer(tuple([Result(query.id, (), 0) for query in queries]), head.seq)
            db.timed((searched - started, 0.0))
    if actor.member is not None:
        db.stats.match(now, actor.member.id, queries, answer)
        db.suspicions.note(actor, queries, answer)
    if not told_distances:
        return replace(answer, results=tuple(one.without_distances() for one in answer.results))
    return answer


def _results(
    db: HashDB,
    queries: Sequence[Query],
    suggested: Sequence[Distances],
    through: Sequence[Through],
    standings: tuple[Standing, ...],
) -> tuple[Result, ...]:
    """What the store decides of what the index suggested."""
    signals = {signal for distances in suggested for signal in distances}
    now, by_signal = db.now(), defaultdict[Signal, list[Holder]](list)
    with db.store.read() as tx:
        few = tx.matches.holders(signals, now, standings, MATCHES_A_REQUEST + 1)
        is_many = len(few) > MATCHES_A_REQUEST
        for holder in tx.matches.all_holders(signals, now, standings) if is_many else few:
            by_signal[holder.signal].append(holder)
        decided = decide(queries, suggested, through, by_signal, tx.matches.having)
        confirming = tx.matches.confirming({id for one in decided for id in one.judged})
        # Few holders were read with all that a match says of them.
        unread = {group[0].contribution for one in decided for group in one.chosen if group[0].about is None}
        about = tx.matches.about(unread)
    return results(queries, decided, about, confirming)


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
