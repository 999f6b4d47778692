"""Exchanges: the database as readers of other systems follow it, by values; and what they say of values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from hashdb.domain.audit import Action, Event
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.exchanges import Record, Records, matched
from hashdb.domain.members import Actor, Scope
from hashdb.domain.opinions import OpinionDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB, opinions
from hashdb.service.changes import fed, note
from hashdb.store import Transaction

_ALGORITHM = Algorithm.PDQ
"""The one that the other systems know."""
_TOLD = (*(action for action in Action if action.changes_feed), Action.OPINION_GIVEN)
_HIDDEN = frozenset({"reference"})
_MATCHING = tuple(standing for standing in Standing if standing.matches)


def head(db: HashDB, actor: Actor, before: datetime | None = None) -> int:
    """The number of the last event, or of the last one before an instant."""
    actor.require(Scope.FEED)
    with db.store.read() as tx:
        return tx.audit.head().seq if before is None else tx.audit.before(before)


def read(db: HashDB, actor: Actor, since: int, after: int, upto: int, limit: int) -> Records:
    """What changes between events `after` and `upto` for a reader that was level with event `since`.

    About `limit` records; one contribution is never divided. What the reader never had, it is not told to drop.
    """
    actor.require(Scope.FEED)
    note(db, actor)
    with db.store.read() as tx:
        events = tx.audit.since(after, limit + 1, _TOLD)
        ids = {_contribution(event) for event in events}
        held = {id: [one for one in group if one.algorithm is _ALGORITHM] for id, group in _signals(tx, ids).items()}
        page = _page([event for event in events if event.seq <= upto], held, limit)
        more = bool(page) and len(page) < len(events) and events[len(page)].seq <= upto
        latest = {signal: event for event in page for signal in held.get(_contribution(event), ())}
        had = _had(tx, {id for event in page if (id := _contribution(event)) in held}, since)
        before = {signal for id in had for signal in held[id]}
        records = _records(tx, latest, db.now())
    told = sorted((one for one in records if not one.gone or one.signal in before), key=lambda one: one.seq)
    level = page[-1].seq if more else max(after, upto)
    fed(db, actor, level)
    return Records(tuple(told), level, more)


def judge(db: HashDB, actor: Actor, said: Sequence[tuple[Signal, OpinionDraft]], at: str) -> int:
    """Give an opinion on every contribution of others that matches by a value and is seen; return how many there were.

    Raises InvalidInput, at `at[i]`, where there is none, and LimitReached, before any is given.
    """
    member = actor.require_member(Scope.MATCH)
    with db.store.read() as tx:
        holders = tx.matches.holders({signal for signal, _ in said}, db.now(), _MATCHING)
        if not (actor.has(Scope.FEED) or actor.has(Scope.AUDIT)):
            answered = tx.hits.answered(member.id, {holder.contribution for holder in holders})
            holders = [holder for holder in holders if holder.contribution in answered]
    others: dict[Signal, set[int]] = defaultdict(set)
    for holder in holders:
        if holder.member != member.id:
            others[holder.signal].add(holder.contribution)
    faults = [
        Fault(f"{at}[{i}]", "no other member contributes it, or it was not answered to you")
        for i, (one, _) in enumerate(said)
        if not others[one]
    ]
    if faults:
        raise InvalidInput(tuple(faults))
    pairs = [(id, draft) for signal, draft in said for id in sorted(others[signal])]
    opinions.spend(db, actor, [draft for _, draft in pairs])
    for id, draft in pairs:
        opinions.give(db, actor, id, draft, counted=True)
    return len(pairs)


def _contribution(event: Event) -> int:
    told = event.details.get("contribution", event.id)
    assert isinstance(told, int)
    return told


def _signals(tx: Transaction, ids: Collection[int]) -> Mapping[int, Sequence[Signal]]:
    """The signals of contributions, with those that are kept of erased ones."""
    return tx.contributions.signals(ids)


def _page(events: Sequence[Event], held: Mapping[int, Sequence[Signal]], limit: int) -> Sequence[Event]:
    """As many of the events, in order, as have about `limit` signals."""
    count = 0
    for position, event in enumerate(events[:limit], 1):
        count += len(held.get(_contribution(event), ()))
        if count >= limit:
            return events[:position]
    return events[:limit]


def _had(tx: Transaction, ids: Collection[int], since: int) -> set[int]:
    """Those of the contributions that matched at event `since`."""
    return {id for id, actions in tx.audit.actions(ids, since).items() if matched(actions)} if since else set()


def _records(tx: Transaction, latest: Mapping[Signal, Event], now: datetime) -> list[Record]:
    """What there is now of each value."""
    by_signal: dict[Signal, list[int]] = defaultdict(list)
    for holder in tx.matches.holders(latest, now, _MATCHING):
        by_signal[holder.signal].append(holder.contribution)
    ids = {id for group in by_signal.values() for id in group}
    found: Mapping[int, Contribution] = tx.contributions.get(ids, now, hidden=_HIDDEN)
    said = tx.opinions.of(ids)
    return [
        Record(
            event.seq,
            event.at,
            signal,
            tuple(found[id] for id in sorted(by_signal[signal])),
            tuple(one for id in sorted(by_signal[signal]) for one in said.get(id, ()) if one.counts),
        )
        for signal, event in latest.items()
    ]
