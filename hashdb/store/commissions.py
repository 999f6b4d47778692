"""Reports that were asked for in the console, in SQL: the progress that every process can tell, and the figures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Row, delete, insert, select, update

from hashdb.domain.commissions import Commission, Outcome
from hashdb.domain.periods import Period
from hashdb.errors import NotFound
from hashdb.store.repositories import Repository
from hashdb.store.tables import commissions


class Commissions(Repository):
    """Commissions within one transaction."""

    def add(self, actor: str, period: Period, member: int | None, size: int, now: datetime) -> Commission:
        """Record that one begins, of a log of `size` events."""
        row = {
            "actor": actor,
            "first": period.first,
            "last": period.last,
            "member": member,
            "begun_at": now,
            "touched_at": now,
            "size": size,
            "done": 0,
        }
        return _commission(self._connection.execute(insert(commissions).returning(*_COLUMNS), row).one())

    def advance(self, id: int, done: int, now: datetime) -> None:
        """Note how many events it has read."""
        query = update(commissions).where(commissions.c.id == id)
        self._connection.execute(query.values(done=done, touched_at=now))

    def end(self, id: int, outcome: Outcome, done: int, text: str | None, now: datetime) -> None:
        """Note what came of it, and the report."""
        values = {"outcome": str(outcome), "done": done, "text": text, "touched_at": now}
        self._connection.execute(update(commissions).where(commissions.c.id == id).values(values))

    def keep(self, newest: int) -> None:
        """Forget all but so many of the newest."""
        kept = select(commissions.c.id).order_by(commissions.c.id.desc()).limit(newest)
        self._connection.execute(delete(commissions).where(commissions.c.id.not_in(kept)))

    def latest(self, limit: int) -> tuple[Commission, ...]:
        """The last ones, the last first."""
        query = select(*_COLUMNS).order_by(commissions.c.id.desc()).limit(limit)
        return tuple(map(_commission, self._connection.execute(query)))

    def one(self, id: int) -> Commission:
        """One of them. Raises NotFound."""
        row = self._connection.execute(select(*_COLUMNS).where(commissions.c.id == id)).one_or_none()
        if row is None:
            raise NotFound(f"report {id}")
        return _commission(row)

    def text(self, id: int) -> str:
        """The report. Raises NotFound where it is not made."""
        found = self._connection.execute(select(commissions.c.text).where(commissions.c.id == id)).scalar_one_or_none()
        if found is None:
            raise NotFound(f"report {id}")
        return str(found)


_COLUMNS: list[Column[Any]] = [column for column in commissions.c if column.name != "text"]


def _commission(row: Row[Any]) -> Commission:
    return Commission(
        id=row.id,
        actor=row.actor,
        period=Period(row.first, row.last),
        member=row.member,
        begun_at=row.begun_at,
        touched_at=row.touched_at,
        size=row.size,
        done=row.done,
        outcome=None if row.outcome is None else Outcome(row.outcome),
    )
