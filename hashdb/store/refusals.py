"""Refusals in SQL: those that no event tells of yet, and when events last told of any."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import delete, select

from hashdb.domain.audit import Action
from hashdb.store.bulk import upsert
from hashdb.store.repositories import Repository
from hashdb.store.tables import events, refusals


class Refusals(Repository):
    """Refusals within one transaction."""

    def add(self, numbers: Mapping[str, int]) -> None:
        """Add to the numbers, by reason, that are still to be told."""
        rows = [{"reason": reason, "times": times} for reason, times in sorted(numbers.items())]
        upsert(self._connection, refusals, rows, adds=("times",))

    def untold(self) -> dict[str, int]:
        """The numbers, by reason, that are still to be told."""
        return {row.reason: row.times for row in self._connection.execute(select(refusals))}

    def forget(self) -> None:
        """Note that they are told."""
        self._connection.execute(delete(refusals))

    def last_told(self, kind: str, id: int, action: Action = Action.AUTH_REFUSED) -> datetime | None:
        """When an event last told of refusals of this subject, or another action on it."""
        query = (
            select(events.c.at)
            .where(events.c.subject_kind == kind, events.c.subject_id == id)
            .where(events.c.action == str(action))
            .order_by(events.c.seq.desc())
            .limit(1)
        )
        return self._connection.execute(query).scalar_one_or_none()
