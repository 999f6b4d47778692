"""Events: the log as it is read, by number, subject or day; and what happened to a contribution, in order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.events import Action, Details, Event, Moment
from hashdb.service import HashDB
from hashdb.store import Transaction

SEARCHED = 200_000
_BLOCK = 5_000


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; None is any. `subject` is a kind and an id."""

    actor: str | None = None
    action: str | None = None
    subject: tuple[str, int] | None = None


def page(db: HashDB, actor: Actor, chosen: EventFilter, after: int, limit: int) -> tuple[Event, ...]:
    """At most `limit` events with numbers above `after` that the filter lets through, in order."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.audit.events(after, limit, chosen.actor, chosen.action, chosen.subject)


@dataclass(frozen=True, slots=True)
class SeqRange:
    """A stretch of the log: events with `after` < number < `before`; None is up to either end."""

    after: int = 0
    before: int | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events of a stretch, the last first, and where to look on (None: the stretch is at its end)."""

    events: tuple[Event, ...]
    before: int | None
    head: int


def latest(db: HashDB, actor: Actor, chosen: EventFilter, stretch: SeqRange, limit: int) -> EventPage:
    """At most `limit` events of a stretch that the filter lets through, the last first.

    Actions have no index, so of a long stretch the last 200,000 events are searched for one.
    """
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        head = tx.audit.head().seq
        before = min(head + 1, head + 1 if stretch.before is None else stretch.before)
        least = max(stretch.after, before - 1 - SEARCHED) if chosen.action else stretch.after
        found = tx.audit.between(least, before, limit + 1, chosen.actor, chosen.action, chosen.subject)
    if len(found) > limit:
        return EventPage(found[:limit], found[limit - 1].seq, head)
    return EventPage(found, least + 1 if least > stretch.after else None, head)


def period(db: HashDB, actor: Actor, since: datetime | None, until: datetime | None) -> SeqRange:
    """The stretch of the log from a time to before another."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        after = 0 if since is None else tx.audit.first_since(since) - 1
        return SeqRange(after, None if until is None else tx.audit.first_since(until))


def get(db: HashDB, actor: Actor, seq: int) -> Event:
    """The event of that number. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.audit.one(seq)


def texts(db: HashDB, actor: Actor, stretch: SeqRange) -> Iterator[str]:
    """The canonical form of every event of a stretch, in order, read as it is asked for."""
    actor.require(Scope.AUDIT)
    after, before = stretch.after, db.store.head().seq + 1 if stretch.before is None else stretch.before
    while after + 1 < before:
        with db.store.read() as tx:
            block = tx.audit.since(after, min(_BLOCK, before - after - 1))
        if not block:
            return
        yield from (event.text for event in block)
        after = block[-1].seq


HIT = "hit"
"""What is told of a day on which a member had the contribution as a match; it is no event."""
_OPINIONS = 1_000
_HITS = 200


class Timeline(NamedTuple):
    """What happened, the first first, and the names of who did it: of a key, its member's."""

    moments: tuple[Moment, ...]
    names: Mapping[str, str]


def timeline(db: HashDB, actor: Actor, contribution: int) -> Timeline:
    """All that happened to a contribution. Raises NotFound."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    with db.store.read() as tx:
        tx.contributions.one(contribution, db.now())
        moments = tuple(sorted(_moments(tx, contribution), key=lambda one: (one.at, one.seq or 0)))
        return Timeline(moments, tx.timelines.names({one.who for one in moments}))


def names(db: HashDB, actor: Actor, actors: Collection[str]) -> Mapping[str, str]:
    """The names of users and members by how the log names them, and of members by their keys."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    with db.store.read() as tx:
        return tx.timelines.names(actors)


def _moments(tx: Transaction, contribution: int) -> Iterator[Moment]:
    changes = iter(tx.timelines.amended(contribution))
    for event in tx.timelines.events("contribution", [contribution]):
        # Both are written together, so they come in one order; erasure leaves the events alone.
        amended = event.action == Action.CONTRIBUTION_AMENDED and "fields" in event.details
        yield _moment(event, before=next(changes, (None, {}))[1] if amended else {})
    said = {one.id: one.note for one in tx.opinions.page(contribution, 0, _OPINIONS)}
    for event in tx.timelines.events("opinion", said):
        yield _moment(event, note=said[event.id])
    for hit in tx.timelines.hits(contribution, _HITS):
        distance = [f"{algorithm} {bits}" for algorithm, bits in hit.distance.items()]
        told: Details = {"times": hit.times, "distance": distance}
        yield Moment(hit.first_at, HIT, f"member:{hit.member}", None, told)
    ruled = {one.id: one.note for one in tx.cases.of([contribution]).get(contribution, ())}
    for event in tx.timelines.events("case", ruled):
        yield _moment(event, note=ruled[event.id] if event.action == Action.CASE_DECIDED else None)


def _moment(event: Event, note: str | None = None, before: Mapping[str, object] | None = None) -> Moment:
    return Moment(event.at, event.action, event.actor, event.seq, event.details, note, before or {})
