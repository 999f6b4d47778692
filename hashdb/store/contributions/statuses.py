"""Status and standing of contributions in SQL: the status at an instant, and the status in the log."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Text,
    and_,
    case,
    exists,
    func,
    insert,
    literal,
    not_,
    or_,
    select,
    update,
)

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.contributions import Filter, Media, Standing, Status
from hashdb.domain.review.incidents import Retention
from hashdb.domain.tiers import Rule, rules_of
from hashdb.store.repositories import Repository, chunks
from hashdb.store.tables import contributions, members, retention, signal_table

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
        self._delete(retention)
        self._connection.execute(insert(retention), {"id": 1, "days": dict(new.days), "after": 0})

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


def stored_media(media: Media, pages: int | None, words: int | None) -> tuple[str, int | None, int | None]:
    """The values of the columns `media`, `pages` and `words` for an item.

    Version 0.1.0 does not know texts. A text is stored as a document that has words and no pages; so a document without
    pages has 0 of them, and a text without windows has 0 words.
    """
    if media is Media.TEXT:
        return str(Media.DOCUMENT), pages, words or 0
    if media is Media.DOCUMENT and words is not None:
        return str(media), pages or 0, words
    return str(media), pages, words


def of_media(media: Media, *, without_index: bool = False) -> ColumnElement[bool]:
    """The condition that a contribution is of a medium. With `without_index`, the database uses no index for it."""
    stored, *_ = stored_media(media, pages=None, words=None)
    column = contributions.c.media
    same: ColumnElement[bool] = (func.coalesce(column, column) if without_index else column) == stored
    if media is Media.TEXT:
        return and_(same, _IS_TEXT)
    return and_(same, ~_IS_TEXT) if media is Media.DOCUMENT else same


_IS_TEXT = and_(contributions.c.pages.is_(None), contributions.c.words.is_not(None))
MEDIA = case(
    (and_(contributions.c.media == str(Media.DOCUMENT), _IS_TEXT), str(Media.TEXT)), else_=contributions.c.media
)
"""The SQL expression for the medium of a contribution."""


def filter_conditions(filter: Filter, now: datetime, *, without_index: bool = False) -> Iterator[ColumnElement[bool]]:
    """The conditions of a filter; if it has a status, the query must join the members.

    With `without_index`, the database uses no index for them, so that the query follows another index.
    """
    table = contributions.c
    for column, wanted in (
        (table.member_id, filter.member),
        (table.standing, filter.standing),
        (table.severity, filter.severity),
        (table.incident, filter.incident),
    ):
        if wanted is not None:
            yield (func.coalesce(column, column) if without_index else column) == wanted
    if filter.media is not None:
        yield of_media(filter.media, without_index=without_index)
    for column, start, end in (
        (table.received_at, filter.since, filter.until),
        (table.removed_at, filter.removed_since, filter.removed_until),
        (table.expires_at, None, filter.expires_until),
    ):
        compared = func.coalesce(column, column) if without_index else column
        if start is not None:
            yield compared >= start
        if end is not None:
            yield compared < end
    if filter.status is not None:
        yield status_at(now) == str(filter.status)
    if filter.label is not None:
        yield has_label(filter.label)
    if filter.algorithm is not None:
        held = signal_table(filter.algorithm)
        yield exists().where(held.c.contribution_id == table.id, held.c.algorithm == str(filter.algorithm))
    if filter.reference is not None:
        # Not LIKE, which ignores case on one database only.
        yield func.substr(table.reference, 1, len(filter.reference)) == filter.reference
    if filter.tier is not None:
        rules = rules_of(filter.tier)
        yield or_(*(and_(_holds(rule), *(not_(_holds(other)) for other in earlier)) for rule, earlier in rules))


def _holds(rule: Rule) -> ColumnElement[bool]:
    """Whether a rule of the tiers holds; never NULL, so that it can be negated."""
    table = contributions.c
    conditions = []
    if rule.labels:
        conditions.append(or_(*(has_label(label) for label in rule.labels)))
    if rule.severities:
        conditions.append(and_(table.severity.is_not(None), table.severity.in_(rule.severities)))
    conditions += [table.entity.is_not(None)] if rule.entity else []
    conditions += [table.incident.is_not(None)] if rule.incident else []
    return and_(*conditions)


def has_label(label: str) -> ColumnElement[bool]:
    """The condition that a contribution has a label."""
    return contributions.c.labels.cast(Text).contains(f" {label} ", autoescape=True)
