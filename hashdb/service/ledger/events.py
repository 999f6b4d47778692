"""Events: read the log by seq, subject or time; and the timeline of a contribution."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.ledger.events import Action, Details, Event, HistoryEntry
from hashdb.service import HashDB
from hashdb.store import Transaction

_BLOCK = 5_000
"""Events that are read at a time."""


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to list; None is any. `subject` is a kind and an id."""

    actor: str | None = None
    action: str | None = None
    subject: tuple[str, int] | None = None


def page(db: HashDB, actor: Actor, chosen: EventFilter, after: int, limit: int) -> tuple[Event, ...]:
    """At most `limit` events with seqs above `after` that pass the filter, in order."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.audit.events(after, limit, chosen.actor, chosen.action, chosen.subject)


@dataclass(frozen=True, slots=True)
class SeqRange:
    """A range of the log: the events with `after` < seq < `before`; None is up to the head."""

    after: int = 0
    before: int | None = None


def seqs_of_period(db: HashDB, actor: Actor, since: datetime | None, until: datetime | None) -> SeqRange:
    """The range of the events from `since` on, and before `until`."""
    with db.read(actor, Scope.AUDIT) as tx:
        after = 0 if since is None else tx.audit.seq_before(since)
        return SeqRange(after, None if until is None else tx.audit.seq_before(until) + 1)


def get(db: HashDB, actor: Actor, seq: int) -> Event:
    """The event of this seq. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.audit.event(seq)


def texts(db: HashDB, actor: Actor, seqs: SeqRange) -> Iterator[str]:
    """The canonical form of every event of a range, in order, read block by block."""
    actor.require(Scope.AUDIT)
    after, before = seqs.after, db.store.head().seq + 1 if seqs.before is None else seqs.before
    while after + 1 < before:
        with db.store.read() as tx:
            block = tx.audit.since(after, min(_BLOCK, before - after - 1))
        if not block:
            return
        yield from (event.text for event in block)
        after = block[-1].seq


HIT = "hit"
"""The kind of a moment that is no event: a member got the contribution as a match on that day."""
_MOST_OPINIONS = 1_000
_MOST_HITS = 200


class Timeline(NamedTuple):
    """What happened, oldest first."""

    moments: tuple[HistoryEntry, ...]
    names: Mapping[str, str]
    """The names of the actors; for a key, the name of its member."""


def timeline(db: HashDB, actor: Actor, contribution: int) -> Timeline:
    """All that happened to a contribution. Raises NotFound."""
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        tx.contributions.one(contribution, db.now())
        moments = tuple(sorted(_moments(tx, contribution), key=lambda moment: (moment.at, moment.seq or 0)))
        return Timeline(moments, tx.timelines.names({moment.actor for moment in moments}))


def names(db: HashDB, actor: Actor, actors: Collection[str]) -> Mapping[str, str]:
    """The names of actors, by their code in the log; for a key, the name of its member."""
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        return tx.timelines.names(actors)


def _moments(tx: Transaction, contribution: int) -> Iterator[HistoryEntry]:
    old_values = iter([before for _, before in tx.timelines.amendments(contribution)])
    for event in tx.timelines.events("contribution", [contribution]):
        # An event and its old values are written together, so they are in the same order; an erasure keeps the events.
        # Of signals and signatures no old values are kept.
        fields = event.details.get("fields") if event.action == Action.CONTRIBUTION_AMENDED else None
        amended = isinstance(fields, list) and not {"signals", "signatures"}.issuperset(fields)
        yield _moment(event, before=next(old_values, {}) if amended else {})
    opinion_notes = {opinion.id: opinion.note for opinion in tx.opinions.page(contribution, 0, _MOST_OPINIONS)}
    for event in tx.timelines.events("opinion", opinion_notes):
        yield _moment(event, note=opinion_notes[event.id])
    for hit in tx.timelines.hits(contribution, _MOST_HITS):
        distance = [f"{algorithm} {bits}" for algorithm, bits in hit.distance.items()]
        details: Details = {"times": hit.times, "distance": distance}
        yield HistoryEntry(hit.first_at, HIT, f"member:{hit.member}", None, details)
    case_notes = {case.id: case.note for case in tx.cases.on_contribution(contribution)}
    for event in tx.timelines.events("case", case_notes):
        yield _moment(event, note=case_notes[event.id] if event.action == Action.CASE_DECIDED else None)


def _moment(event: Event, note: str | None = None, before: Mapping[str, object] | None = None) -> HistoryEntry:
    return HistoryEntry(event.at, event.action, event.actor, event.seq, event.details, note, before or {})
