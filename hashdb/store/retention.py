"""When contributions expire, in SQL: the retention in force, and what each contribution's own expiry was."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, insert, select, update

from hashdb.domain.contributions import Status
from hashdb.domain.incidents import Retention
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, retention


class Expiring(NamedTuple):
    """What a contribution's expiry follows from, what it is, and the status that the log last told."""

    id: int
    own: datetime | None
    labels: tuple[str, ...]
    incident: str | None
    received_at: datetime
    expires_at: datetime | None
    told: Status


class Retentions(Repository):
    """Retention and expiry within one transaction."""

    def in_force(self) -> Retention:
        """What contributions go by, or are being made to."""
        days = self._connection.execute(select(retention.c.days)).scalar_one_or_none()
        return Retention(days or {})

    def after(self, *, lock: bool = False) -> int | None:
        """The last contribution that goes by it; None where all do."""
        query = select(retention.c.after)
        return self._connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()

    def begin(self, chosen: Retention) -> None:
        """Let another one be in force, by which no contribution goes yet."""
        self._connection.execute(delete(retention))
        self._connection.execute(insert(retention), {"id": 1, "days": dict(chosen.days), "after": 0})

    def went(self, after: int | None) -> None:
        """Note the last contribution that goes by it; None where all do."""
        self._connection.execute(update(retention).values(after=after))

    def page(self, after: int, limit: int, incident: str | None = None) -> tuple[Expiring, ...]:
        """At most `limit` contributions that were not withdrawn, with ids above `after`, in order; of an incident.

        They are held to the end of the transaction.
        """
        query = select(contributions).where(contributions.c.id > after, contributions.c.withdrawn_at.is_(None))
        if incident is not None:
            query = query.where(contributions.c.incident == incident)
        rows = self._connection.execute(query.order_by(contributions.c.id).limit(limit).with_for_update())
        return tuple(
            Expiring(
                row.id,
                row.own_expiry,
                row.labels,
                row.incident,
                row.received_at,
                row.expires_at,
                Status(row.announced),
            )
            for row in rows
        )

    def own(self, id: int) -> datetime | None:
        """What the member of a contribution asked as its expiry."""
        return self._connection.execute(
            select(contributions.c.own_expiry).where(contributions.c.id == id)
        ).scalar_one_or_none()

    def expire(self, moved: Iterable[tuple[int, datetime | None]]) -> None:
        """Let contributions expire at other times."""
        for id, at in moved:
            self._connection.execute(update(contributions).where(contributions.c.id == id).values(expires_at=at))
