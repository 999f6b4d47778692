"""The audit log, as an auditor reads it."""

from __future__ import annotations

from dataclasses import dataclass

from hashdb.domain.audit import Event
from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB


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


def latest(db: HashDB, actor: Actor, chosen: EventFilter, before: int | None, limit: int) -> tuple[Event, ...]:
    """At most `limit` events below `before` (None: from the head on) that the filter lets through, the last first."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        end = tx.audit.head().seq + 1 if before is None else before
        return tx.audit.before(end, limit, chosen.actor, chosen.action, chosen.subject)


def one(db: HashDB, actor: Actor, seq: int) -> Event:
    """The event of that number. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.audit.one(seq)
