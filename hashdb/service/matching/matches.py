"""Matches: the index suggests values, the store decides which active contributions hold them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from time import perf_counter

from hashdb.domain.accounts.budgets import query_cost
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Standing
from hashdb.domain.ledger.events import Head
from hashdb.domain.matching.evidence import verify_candidates
from hashdb.domain.matching.frames import (
    MOST_FRAMES,
    Expanded,
    FramesMatched,
    TimesByHolder,
    expand,
    match_frames,
    signals_of_framed_items,
)
from hashdb.domain.matching.matches import MATCHES_A_REQUEST, Answer, Holder, Order, Query, Result
from hashdb.domain.matching.selections import Verified, build_results, decide
from hashdb.domain.matching.suggestions import Distances, Through, suggest, suggest_expanded
from hashdb.domain.origins import Origin
from hashdb.domain.signals import Signal
from hashdb.errors import Fault, reject
from hashdb.service import HashDB
from hashdb.service.contributions.sight import sees_members
from hashdb.store.matching.matches import MatchReader

_NOT_ALLOWED = "is not allowed for a key that hides distances"
MATCHING = tuple(standing for standing in Standing if standing.matches)
"""The standings with which a contribution matches."""
MOST_SINGLE = 8
"""A request with more queries and frames together is a batch, which waits for its turn."""


def match(
    db: HashDB,
    actor: Actor,
    queries: Sequence[Query],
    *,
    quarantined: bool = False,
    head: Head | None = None,
    has_turn: bool = False,
) -> Answer:
    """For each query the active contributions within its radius, nearest first, as of the head of the log now.

    `quarantined` (scope `audit`) includes quarantined contributions. `head` is the head of the log with which the index
    has caught up since the request arrived: then a single match does not read it again. `has_turn`: the caller has a
    turn of `db.batches`. Raises InvalidInput, LimitReached, TooManyAtOnce.
    """
    actor.require(Scope.MATCH)
    if quarantined:
        actor.require(Scope.AUDIT)
    sees_distances = actor.sees_distances
    _check(db, queries, sees_distances=sees_distances)
    expanded = expand(queries)
    is_batch = not has_turn and len(expanded.queries) > MOST_SINGLE
    with large_request(db, actor) if is_batch else nullcontext():
        # Spent only at the request's turn: a request that is refused with "try again later" has used nothing.
        now = db.now()
        if actor.key is not None:
            db.budgets.spend(actor, query_cost(queries), now)
        if head is None or is_batch:
            head = db.index.catch_up()
        started = perf_counter()
        # By query, the near signals and their transforms; `thinned`: those of which not all frames were searched for.
        suggested, through, thinned = (
            suggest_expanded(expanded, db.index.search)
            if expanded.frames
            else (*suggest(queries, db.index.search), frozenset[int]())
        )
        searched = perf_counter()
        if any(suggested):
            standings = tuple(Standing) if quarantined else MATCHING
            answer = Answer(_results(db, actor, queries, expanded, suggested, through, thinned, standings), head.seq)
            db.on_match_timed((searched - started, perf_counter() - searched))
        else:
            answer = Answer(tuple([Result(query.id, (), 0) for query in queries]), head.seq)
            db.on_match_timed((searched - started, 0.0))
    if actor.member is not None:
        db.stats.note_answer(now, actor.member.id, queries, answer)
        db.suspicions.note(actor, queries, answer)
    if not sees_distances:
        return replace(answer, results=tuple(result.without_distances() for result in answer.results))
    return answer


def _results(
    db: HashDB,
    actor: Actor,
    queries: Sequence[Query],
    expanded: Expanded,
    suggested: Sequence[Distances],
    through: Sequence[Through],
    thinned: Set[int],
    standings: tuple[Standing, ...],
) -> tuple[Result, ...]:
    """The results: which active contributions hold what was suggested of each query of `expanded`, by the store."""
    signals = {signal for distances in suggested for signal in distances}
    now, by_signal = db.now(), defaultdict[Signal, list[Holder]](list)
    upstreams = db.upstream_member_ids()
    with db.store.match_reader() as stored:
        holders = stored.holders(signals, now, standings, MATCHES_A_REQUEST + 1)
        if len(holders) > MATCHES_A_REQUEST:
            # So many are read without the fields of a match; `match_details` reads those of the few that are returned.
            holders = stored.holders(signals, now, standings, detailed=False)
        for holder in holders:
            by_signal[holder.signal].append(holder)
        origins = _set_sources(stored, by_signal, upstreams) if upstreams else {}
        overruling = stored.overruling_algorithms
        shots: TimesByHolder = {}
        by_frames: Mapping[int, FramesMatched] = {}
        if expanded.frames:
            shots = stored.times(signals_of_framed_items(by_signal))
            inputs = queries, expanded, suggested, through, by_signal, shots, stored.shots, overruling, thinned
            by_frames = match_frames(*inputs, shows_distances=actor.sees_distances)
        verified: Mapping[int, Verified] = {}
        for query in queries:
            # Not by `any` and a function: this loop costs a plain query the least.
            if query.transforms or query.signatures or query.min_score is not None or query.order is Order.SCORE:
                verified = verify_candidates(queries, suggested, through, by_signal, overruling, stored.stored_items)
                break
        decided = decide(queries, suggested, through, by_signal, overruling, by_frames, verified)
        if not expanded.frames:
            # Only now: of many holders few are returned.
            framed = defaultdict[int, set[Signal]](set)
            for choice in decided:
                for group in choice.chosen:
                    if group[0].extent is not None:
                        framed[group[0].contribution].update([holder.signal for holder in group])
            shots = stored.times(framed, MOST_FRAMES) if framed else {}
        confirming = stored.confirming_members({id for choice in decided for id in choice.judged})
        # The contributions whose holders were read without the fields of a match.
        unread = {group[0].contribution for choice in decided for group in choice.chosen if group[0].details is None}
        details = stored.match_details(unread)
    results = build_results(queries, decided, details, confirming, shots)
    return tuple([result.with_origins(origins) for result in results]) if origins and sees_members(actor) else results


def _set_sources(
    stored: MatchReader, by_signal: Mapping[Signal, list[Holder]], upstreams: Set[int]
) -> Mapping[int, Origin]:
    """Set the `source` of the holders in `by_signal` that came from other services; return the origins by contribution.

    By its source, a contribution counts as that of the member that first contributed it, by whatever path it came.
    """
    followed = {holder.contribution for each in by_signal.values() for holder in each if holder.member in upstreams}
    origins = stored.origins(followed)
    for holders in by_signal.values() if origins else ():
        for place, holder in enumerate(holders):
            if (origin := origins.get(holder.contribution)) is not None:
                holders[place] = holder._replace(source=origin.source)
    return origins


@contextmanager
def large_request(db: HashDB, actor: Actor) -> Iterator[None]:
    """Hold a slot for a large request, and wait for the actor's turn, for the block. Raises TooManyAtOnce."""
    with db.request_slots.hold(actor), db.batches.turn(actor.name):
        yield


def _check(db: HashDB, queries: Sequence[Query], *, sees_distances: bool) -> None:
    """Raise InvalidInput with every fault of the queries, each at `queries[i].field`.

    A key that hides distances may choose no radius: by halving it repeatedly, the member would learn the distances. The
    score follows from them, so such a key may not choose a least score or the order by score, either.
    """
    faults = list(db.rules.queries_faults(queries))
    if not sees_distances:
        for i, query in enumerate(queries):
            chosen = {
                "radius": query.radius,
                "min_score": query.min_score is not None,
                "order": query.order is Order.SCORE,
            }
            faults += [Fault(f"queries[{i}].{name}", _NOT_ALLOWED) for name, is_chosen in chosen.items() if is_chosen]
    if faults:
        reject(faults)
