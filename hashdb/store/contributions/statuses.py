"""Status, standing and expiry of contributions in SQL: the status at an instant and in the log, and the retention."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import BindParameter, ColumnElement, and_, case, literal, or_, select, update

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.review.incidents import Retention
from hashdb.store.repositories import Repository, chunks
from hashdb.store.tables import contributions, members, retention

Instant = datetime | BindParameter[datetime]
"""A time, or the parameter for a time in a statement that is built once."""


class PendingStatus(NamedTuple):
    """A contribution whose status differs from the log."""

    id: int
    logged: Status
    current: Status


class Statuses(Repository):
    """Statuses within one transaction."""

    def logged(self, ids: Collection[int]) -> dict[int, Status]:
        """The status of each contribution in the log, by id."""
        query = select(contributions.c.id, contributions.c.announced)
        return {id: Status(logged) for id, logged in self._rows_in(query, contributions.c.id, ids)}

    def pending(self, now: datetime, limit: int, *, lock: bool = True) -> tuple[PendingStatus, ...]:
        """At most `limit` contributions whose status differs from what the log says.

        With `lock` they are locked until the transaction ends, and those that another transaction locks are left out.
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
            select(contributions.c.id, logged, status_at(now))
            .join(members, members.c.id == contributions.c.member_id)
            .where(logged.in_([active, suspended]), differs)
            .order_by(contributions.c.id)
            .limit(limit)
        )
        if lock:
            query = query.with_for_update(of=contributions, skip_locked=True)
        rows = self._connection.execute(query)
        return tuple(PendingStatus(id, Status(in_log), Status(current)) for id, in_log, current in rows)

    def mark_logged(self, ids: Collection[int], status: Status) -> None:
        """Record that the log has this status of these contributions (column `announced`)."""
        self._set(ids, announced=str(status))

    def set_standing(self, ids: Collection[int], standing: Standing) -> None:
        """Give contributions a standing."""
        self._set(ids, standing=str(standing))

    def _set(self, ids: Collection[int], **values: object) -> None:
        for chunk in chunks(list(ids)):
            self._connection.execute(update(contributions).where(contributions.c.id.in_(chunk)).values(values))


def unended(now: Instant) -> ColumnElement[bool]:
    """Neither withdrawn nor expired, whatever the status of its member."""
    expires = contributions.c.expires_at
    return and_(contributions.c.withdrawn_at.is_(None), or_(expires.is_(None), expires > now))


MATCHING = contributions.c.standing.in_([str(standing) for standing in Standing if standing.matches])
"""The condition that the standing of a contribution lets it match."""


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


class ExpiryFields(NamedTuple):
    """What the expiry of a contribution depends on, the expiry, and the status in the log."""

    id: int
    own_expiry: datetime | None
    """The expiry that the member asked for."""
    labels: tuple[str, ...]
    incident: str | None
    received_at: datetime
    expires_at: datetime | None
    logged: Status


class Retentions(Repository):
    """Retention and expiry within one transaction."""

    def in_force(self) -> Retention:
        """The retention in force, which may not be applied to all contributions yet."""
        days = self._connection.execute(select(retention.c.days)).scalar_one_or_none()
        return Retention(days or {})

    def applied_upto(self, *, lock: bool = False) -> int | None:
        """The last contribution to which the retention in force is applied; None if it is applied to all."""
        query = select(retention.c.after)
        return self._connection.execute(query.with_for_update() if lock else query).scalar_one_or_none()

    def begin(self, new: Retention) -> None:
        """Put another retention in force, which is applied to no contribution yet."""
        row = {"id": 1, "days": dict(new.days), "after": 0}
        self._upsert(retention, [row], new_columns=("days", "after"))

    def mark_applied(self, after: int | None) -> None:
        """Record the last contribution to which the retention is applied; None if it is applied to all."""
        self._connection.execute(update(retention).values(after=after))

    def page(self, after: int, limit: int, incident: str | None = None) -> tuple[ExpiryFields, ...]:
        """At most `limit` contributions that were not withdrawn, with ids above `after`, in order.

        With `incident`, only those under this label. They are locked until the transaction ends.
        """
        query = _EXPIRY_FIELDS.where(contributions.c.withdrawn_at.is_(None))
        if incident is not None:
            query = query.where(contributions.c.incident == incident)
        rows = self._page_after(query.with_for_update(), contributions.c.id, after, limit)
        return tuple(ExpiryFields(*row)._replace(logged=Status(row.announced)) for row in rows)

    def own_expiry(self, id: int) -> datetime | None:
        """The expiry that the member asked for."""
        return self.own_expiries([id]).get(id)

    def own_expiries(self, ids: Collection[int]) -> dict[int, datetime | None]:
        """The expiry that the member asked for, by contribution."""
        query = select(contributions.c.id, contributions.c.own_expiry)
        return dict(map(tuple, self._rows_in(query, contributions.c.id, ids)))

    def set_expiries(self, expiries: Iterable[tuple[int, datetime | None]]) -> None:
        """Set the expiry of contributions."""
        for id, at in expiries:
            self._update(contributions, id, expires_at=at)


_EXPIRY_FIELDS = select(
    *contributions.c["id", "own_expiry", "labels", "incident", "received_at", "expires_at", "announced"]
)
