"""Status and standing of contributions in SQL: what the status is at an instant, and what the log says of it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BindParameter, ColumnElement, and_, case, literal, or_, select, update

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.members import MemberStatus
from hashdb.store.chunks import chunks
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, members

Instant = datetime | BindParameter[datetime]
"""An instant, or the place of one in a statement that is built once."""


class Pending(NamedTuple):
    """A contribution whose status is no longer what the log says."""

    id: int
    logged: Status
    now: Status


class Statuses(Repository):
    """Statuses within one transaction."""

    def logged(self, ids: Collection[int]) -> dict[int, Status]:
        """The statuses that the log last wrote of contributions, by id."""
        found: dict[int, Status] = {}
        for some in chunks(sorted(set(ids))):
            query = select(contributions.c.id, contributions.c.announced).where(contributions.c.id.in_(some))
            found.update((row[0], Status(row[1])) for row in self._connection.execute(query))
        return found

    def pending(self, now: datetime, limit: int, *, hold: bool = True) -> tuple[Pending, ...]:
        """At most `limit` contributions whose status differs from what the log says.

        With `hold` they are held to the end of the transaction, and those that another one holds are left out.
        """
        active, suspended = str(Status.ACTIVE), str(Status.SUSPENDED)
        logged = contributions.c.announced
        differs = or_(
            and_(logged == active, contributions.c.expires_at <= now),
            and_(logged == active, members.c.status == str(MemberStatus.SUSPENDED)),
            and_(logged == suspended, contributions.c.expires_at <= now),
            and_(logged == suspended, members.c.status == str(MemberStatus.ACTIVE)),
        )
        query = (
            select(contributions.c.id, logged, status_at(now).label("status"))
            .join(members, members.c.id == contributions.c.member_id)
            .where(logged.in_([active, suspended]), differs)
            .order_by(contributions.c.id)
            .limit(limit)
        )
        if hold:
            query = query.with_for_update(of=contributions, skip_locked=True)
        return tuple(
            Pending(row.id, Status(row.announced), Status(row.status)) for row in self._connection.execute(query)
        )

    def mark_logged(self, ids: Collection[int], status: Status) -> None:
        """Note that the log has this status of these contributions."""
        for some in chunks(list(ids)):
            self._connection.execute(
                update(contributions).where(contributions.c.id.in_(some)).values(announced=str(status))
            )

    def judge(self, ids: Collection[int], standing: Standing) -> None:
        """Give contributions a standing."""
        for some in chunks(list(ids)):
            self._connection.execute(
                update(contributions).where(contributions.c.id.in_(some)).values(standing=str(standing))
            )


def unended(now: Instant) -> ColumnElement[bool]:
    """Neither withdrawn nor expired, whatever its member is."""
    expires = contributions.c.expires_at
    return and_(contributions.c.withdrawn_at.is_(None), or_(expires.is_(None), expires > now))


def active(now: Instant) -> ColumnElement[bool]:
    """Active at `now`; the query joins the members."""
    return and_(unended(now), members.c.status == str(MemberStatus.ACTIVE))


def status_at(now: datetime) -> ColumnElement[str]:
    """The status at `now`, whatever the log says so far; the query joins the members."""
    return case(
        (contributions.c.withdrawn_at.is_not(None), literal(str(Status.WITHDRAWN))),
        (contributions.c.expires_at <= now, literal(str(Status.EXPIRED))),
        (members.c.status == str(MemberStatus.SUSPENDED), literal(str(Status.SUSPENDED))),
        else_=literal(str(Status.ACTIVE)),
    )
