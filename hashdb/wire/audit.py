"""Events on the wire."""

from __future__ import annotations

from hashdb.domain.audit import Event
from hashdb.wire import Answered, Moment


class EventOut(Answered):
    """An event; without `leaf` it is, as RFC 8785 canonical JSON, what the leaf is the hash of."""

    seq: int
    at: Moment
    actor: str
    action: str
    subject: str
    details: dict[str, str | int | list[str] | None]
    leaf: str

    @classmethod
    def of(cls, event: Event) -> EventOut:
        """The wire form of an event."""
        return cls.model_construct(
            seq=event.seq,
            at=event.at,
            actor=event.actor,
            action=event.action,
            subject=event.subject,
            details=event.details,
            leaf=event.leaf.hex(),
        )


class EventsOut(Answered):
    """A page of events."""

    events: list[EventOut]
    next: int | None
