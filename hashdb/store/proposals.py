"""Proposals in SQL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Row, Select, delete, insert, select

from hashdb.domain.proposals import Act, Proposal, Request
from hashdb.errors import NotFound
from hashdb.store.repositories import Repository
from hashdb.store.tables import proposals


class Open(NamedTuple):
    """A proposal that waits, and the person who made it."""

    proposal: Proposal
    person: str


class Proposals(Repository):
    """Proposals within one transaction."""

    def like(self, request: Request, now: datetime) -> Open | None:
        """The proposal of the same request that waits, if there is one."""
        query = _open(now, [request.act]).where(
            proposals.c.subject_kind == request.kind,
            proposals.c.subject_id == request.id,
            proposals.c.content == dict(request.content),
        )
        row = self._connection.execute(query.limit(1)).one_or_none()
        return None if row is None else Open(_proposal(row), row.person)

    def add(self, request: Request, actor: str, person: str, now: datetime, until: datetime) -> Proposal:
        """Record a proposal."""
        row = {
            "act": str(request.act),
            "subject_kind": request.kind,
            "subject_id": request.id,
            "content": dict(request.content),
            "actor": actor,
            "person": person,
            "proposed_at": now,
            "expires_at": until,
        }
        return _proposal(self._connection.execute(insert(proposals).returning(proposals), row).one())

    def one(self, id: int, now: datetime, acts: Collection[Act]) -> Proposal:
        """One of these acts that waits. Raises NotFound."""
        row = self._connection.execute(_open(now, acts).where(proposals.c.id == id)).one_or_none()
        if row is None:
            raise NotFound(f"proposal {id}")
        return _proposal(row)

    def page(self, after: int, limit: int, now: datetime, acts: Collection[Act]) -> tuple[Proposal, ...]:
        """At most `limit` of these acts that wait, with ids above `after`, in order."""
        query = _open(now, acts).where(proposals.c.id > after).order_by(proposals.c.id).limit(limit)
        return tuple(map(_proposal, self._connection.execute(query)))

    def on(self, kind: str, id: int, now: datetime, acts: Collection[Act]) -> tuple[Proposal, ...]:
        """Those of these acts that wait on a subject."""
        query = _open(now, acts).where(proposals.c.subject_kind == kind, proposals.c.subject_id == id)
        return tuple(map(_proposal, self._connection.execute(query.order_by(proposals.c.id))))

    def remove(self, id: int) -> None:
        """Forget a proposal."""
        self._connection.execute(delete(proposals).where(proposals.c.id == id))

    def expired(self, now: datetime) -> tuple[int, ...]:
        """The ids of those that waited in vain."""
        query = select(proposals.c.id).where(proposals.c.expires_at <= now).order_by(proposals.c.id)
        return tuple(self._connection.scalars(query))


def _open(now: datetime, acts: Collection[Act]) -> Select[tuple[object, ...]]:
    return select(proposals).where(proposals.c.expires_at > now, proposals.c.act.in_([str(act) for act in acts]))


def _proposal(row: Row[tuple[object, ...]]) -> Proposal:
    request = Request(Act(row.act), row.subject_kind, row.subject_id, row.content)
    return Proposal(row.id, request, row.actor, row.proposed_at, row.expires_at)
