"""The audit log, as an auditor reads it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from hashdb.domain.audit import Event
from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB

SEARCHED = 200_000
_BLOCK = 5_000


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; None is any. `subject` is a kind and an id."""

    actor: str | None = None
    action: str | None = None
    subject: tuple[str, int] | None = None


def events(db: HashDB, actor: Actor, chosen: EventFilter, after: int, limit: int) -> tuple[Event, ...]:
    """At most `limit` events with numbers above `after` that the filter lets through, in order."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.audit.events(after, limit, chosen.actor, chosen.action, chosen.subject)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of the log: events with `after` < number < `before`; None is up to either end."""

    after: int = 0
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Events of a stretch, the last first, and where to look on (None: the stretch is at its end)."""

    events: tuple[Event, ...]
    before: int | None
    head: int


def latest(db: HashDB, actor: Actor, chosen: EventFilter, stretch: Stretch, limit: int) -> Found:
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
        return Found(found[:limit], found[limit - 1].seq, head)
    return Found(found, least + 1 if least > stretch.after else None, head)


def period(db: HashDB, actor: Actor, since: datetime | None, until: datetime | None) -> Stretch:
    """The stretch of the log from a time to before another."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        after = 0 if since is None else tx.audit.first_since(since) - 1
        return Stretch(after, None if until is None else tx.audit.first_since(until))


def one(db: HashDB, actor: Actor, seq: int) -> Event:
    """The event of that number. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.audit.one(seq)


def texts(db: HashDB, actor: Actor, stretch: Stretch) -> Iterator[str]:
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
