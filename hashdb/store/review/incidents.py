"""Incidents in SQL, and proposals, which wait for a second person."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from hashdb.domain.review.incidents import Incident, IncidentDraft
from hashdb.domain.review.proposals import Proposal, ProposedChange, TwoPersonAction
from hashdb.errors import IncidentExists
from hashdb.store.contributions.statuses import unended
from hashdb.store.repositories import Repository, attributes
from hashdb.store.tables import contributions, incidents, proposals


class Incidents(Repository):
    """Incidents within one transaction."""

    def add(self, draft: IncidentDraft) -> Incident:
        """Record an incident, which is not applied to contributions yet. Raises IncidentExists."""
        row = {**attributes(draft, "label", "start", "end", "expires"), "settled": False}
        try:
            return _incident(self._insert(incidents, row))
        except IntegrityError:
            raise IncidentExists(draft.label) from None

    def one(self, id: int, *, lock: bool = False) -> Incident:
        """One incident; `lock` locks it until the transaction ends. Raises NotFound."""
        return _incident(self._get_row(select(incidents).where(incidents.c.id == id), f"incident {id}", lock=lock))

    def change(self, changed: Incident) -> None:
        """Store a changed incident, which is not applied to contributions yet."""
        self._update(incidents, changed.id, **attributes(changed, "start", "end", "expires"), settled=False)

    def page(self, after: int, limit: int) -> tuple[Incident, ...]:
        """At most `limit` incidents with ids above `after`, in order."""
        return tuple(map(_incident, self._page_after(select(incidents), incidents.c.id, after, limit)))

    def count_contributions(self, labels: Collection[str], now: datetime) -> dict[str, int]:
        """How many contributions have each of these labels and have not ended."""
        query = (
            select(contributions.c.incident, func.count())
            .where(contributions.c.incident.in_(labels), unended(now))
            .group_by(contributions.c.incident)
        )
        return dict.fromkeys(labels, 0) | dict(map(tuple, self._connection.execute(query)))

    def count_lasting(self, label: str, now: datetime, until: datetime) -> int:
        """How many contributions with this label have not ended and would last longer than `until`."""
        expires = contributions.c.expires_at
        longer = or_(expires.is_(None), expires > until)
        return self._count(contributions.c.incident == label, unended(now), longer)

    def all(self) -> tuple[Incident, ...]:
        """All incidents."""
        return tuple(map(_incident, self._connection.execute(select(incidents).order_by(incidents.c.id))))

    def unsettled(self) -> tuple[Incident, ...]:
        """The incidents that are not applied to contributions yet."""
        query = select(incidents).where(incidents.c.settled.is_(False)).order_by(incidents.c.id)
        return tuple(map(_incident, self._connection.execute(query)))

    def settle(self, incident: Incident) -> None:
        """Record that an incident is applied to contributions, unless it was changed in between."""
        query = update(incidents).where(
            incidents.c.id == incident.id,
            incidents.c.end.is_not_distinct_from(incident.end),
            incidents.c.expires == incident.expires,
        )
        self._connection.execute(query.values(settled=True))


def _incident(row: Row[tuple[object, ...]]) -> Incident:
    return Incident(row.id, row.label, row.start, row.end, row.expires)


class PendingProposal(NamedTuple):
    """A pending proposal, and the person who made it."""

    proposal: Proposal
    person: str


class Proposals(Repository):
    """Proposals within one transaction."""

    def find_same(self, request: ProposedChange, now: datetime) -> PendingProposal | None:
        """The pending proposal that requests the same change, if there is one."""
        query = _open(now, [request.act]).where(
            proposals.c.subject_kind == request.kind,
            proposals.c.subject_id == request.id,
            proposals.c.content == dict(request.content),
        )
        return self._find(query.limit(1), _pending)

    def add(self, request: ProposedChange, actor: str, person: str, now: datetime, until: datetime) -> Proposal:
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
        return _proposal(self._insert(proposals, row))

    def one(self, id: int, now: datetime, acts: Collection[TwoPersonAction]) -> Proposal:
        """A pending proposal of one of these actions. Raises NotFound."""
        return _proposal(self._get_row(_open(now, acts).where(proposals.c.id == id), f"proposal {id}"))

    def pending(self, now: datetime, ids: Collection[int] | None = None) -> tuple[PendingProposal, ...]:
        """The pending proposals (None: all), in order, each with its person."""
        query = _open(now, tuple(TwoPersonAction)).order_by(proposals.c.id)
        rows = self._connection.execute(query).all() if ids is None else self._rows_in(query, proposals.c.id, ids)
        return tuple(map(_pending, rows))

    def page(self, after: int, limit: int, now: datetime, acts: Collection[TwoPersonAction]) -> tuple[Proposal, ...]:
        """At most `limit` pending proposals of these actions with ids above `after`, in order."""
        return tuple(map(_proposal, self._page_after(_open(now, acts), proposals.c.id, after, limit)))

    def on_subject(self, kind: str, id: int, now: datetime, acts: Collection[TwoPersonAction]) -> tuple[Proposal, ...]:
        """The pending proposals of these actions on a subject."""
        query = _open(now, acts).where(proposals.c.subject_kind == kind, proposals.c.subject_id == id)
        return tuple(map(_proposal, self._connection.execute(query.order_by(proposals.c.id))))

    def remove(self, id: int) -> None:
        """Delete a proposal."""
        self._delete(proposals, proposals.c.id == id)

    def expired(self, now: datetime) -> tuple[int, ...]:
        """The ids of the proposals that expired."""
        query = select(proposals.c.id).where(proposals.c.expires_at <= now).order_by(proposals.c.id)
        return tuple(self._connection.scalars(query))


def _open(now: datetime, acts: Collection[TwoPersonAction]) -> Select[tuple[object, ...]]:
    return select(proposals).where(proposals.c.expires_at > now, proposals.c.act.in_([str(act) for act in acts]))


def _proposal(row: Row[tuple[object, ...]]) -> Proposal:
    request = ProposedChange(TwoPersonAction(row.act), row.subject_kind, row.subject_id, row.content)
    return Proposal(row.id, request, row.actor, row.proposed_at, row.expires_at)


def _pending(row: Any) -> PendingProposal:
    return PendingProposal(_proposal(row), row.person)
