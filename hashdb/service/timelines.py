"""Timelines: what happened to a contribution, opinions, cases and changes in one order."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from hashdb.domain.audit import Action, Details, Event
from hashdb.domain.members import Actor, Scope
from hashdb.domain.timelines import Moment
from hashdb.service import HashDB
from hashdb.store import Transaction

HIT = "hit"
"""What is told of a day on which a member had the contribution as a match; it is no event."""
_OPINIONS = 1_000
_HITS = 200


class Timeline(NamedTuple):
    """What happened, the first first, and the names of who did it: of a key, its member's."""

    moments: tuple[Moment, ...]
    names: Mapping[str, str]


def of(db: HashDB, actor: Actor, contribution: int) -> Timeline:
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
