"""Lists of contributions in SQL, by any filter and order, so that none looks at more than it can in a moment."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Select,
    and_,
    literal_column,
    or_,
    select,
    true,
    type_coerce,
)

from hashdb.domain.contributions import Filter, Listed, Listing, Position, Sort, Standing, Status
from hashdb.store.contributions.contributions import Contributions
from hashdb.store.contributions.statuses import conditions
from hashdb.store.repositories import Repository, chunks
from hashdb.store.tables import contributions, members

FEW = 2_000
"""Contributions that are all looked at and sorted, where a part of the filter lets through no more than these."""
AHEAD = 20_000
"""Contributions that a page looks at, in the order asked for, where each part of the filter lets through many."""


class Listings(Repository):
    """Lists within one transaction."""

    def page(
        self, asked: Listing, after: Position | None, limit: int, now: datetime, ahead: int | None = AHEAD
    ) -> Listed:
        """At most `limit` contributions after a position. With `ahead` None, the search goes on until it finds them."""
        few = self._few(asked.chosen, now)
        if few is not None:
            found = self._among(asked, few, now)
            found = [one for one in found if after is None or _follows(asked, one, after)]
            return self._listed(found[: limit + 1], limit, None, now)
        found, stopped = [], None
        for part in _parts(asked, after):
            stopped = None if ahead is None else self._end(part, ahead)
            found += self._walk(asked, part, stopped, limit + 1 - len(found), now)
            if stopped is not None or len(found) > limit:
                break
        return self._listed(found, limit, stopped, now)

    def _listed(self, found: list[Position], limit: int, stopped: Position | None, now: datetime) -> Listed:
        page = found[:limit]
        read = Contributions(self._connection).get([one.id for one in page], now)
        listed = tuple(read[one.id] for one in page)
        if len(found) > limit:
            return Listed(listed, page[-1])
        return Listed(listed, stopped, unfinished=stopped is not None)

    def _few(self, chosen: Filter, now: datetime) -> set[int] | None:
        """Contributions beyond which the filter lets through none; None where each of its parts lets through many."""
        for condition in self._rare(chosen, now):
            found = self._connection.scalars(select(contributions.c.id).where(condition).limit(FEW + 1)).all()
            if len(found) <= FEW:
                return set(found)
        return None

    def _rare(self, chosen: Filter, now: datetime) -> Iterator[ColumnElement[bool]]:
        """The parts of the filter that an index answers, the rarest first."""
        table = contributions.c
        if chosen.reference is not None:
            yield self._begins(chosen.reference)
        if chosen.status in (Status.WITHDRAWN, Status.EXPIRED):
            told = table.announced == str(chosen.status)
            due = and_(table.announced.in_([str(Status.ACTIVE), str(Status.SUSPENDED)]), table.expires_at <= now)
            yield told if chosen.status is Status.WITHDRAWN else or_(told, due)
        if chosen.expires_until is not None:
            # Whatever the log last told: of each there is an index in the order of expiry.
            yield and_(table.announced.in_([str(one) for one in Status]), table.expires_at < chosen.expires_until)
        if chosen.standing not in (None, Standing.UNREVIEWED):
            yield _judged(str(chosen.standing))
        # Each alone: what the others let through is looked at after.
        for name in ("incident", "member", "severity"):
            if getattr(chosen, name) is not None:
                yield from conditions(replace(Filter(), **{name: getattr(chosen, name)}), now)
        for names in (("since", "until"), ("removed_since", "removed_until")):
            bounds = {name: getattr(chosen, name) for name in names}
            if any(bounds.values()):
                yield and_(*conditions(replace(Filter(), **bounds), now))

    def _begins(self, text: str) -> ColumnElement[bool]:
        column = contributions.c.reference
        if self._connection.dialect.name == "postgresql":
            return column.startswith(text, autoescape=True)
        return column.between(text, f"{text}\U0010ffff")

    def _among(self, asked: Listing, ids: Collection[int], now: datetime) -> list[Position]:
        found: list[Position] = []
        for chunk in chunks(sorted(ids)):
            query = _positions(asked.sort).where(contributions.c.id.in_(chunk), *conditions(asked.chosen, now))
            found += [Position(row.key, row.id) for row in self._connection.execute(query)]
        known = [one for one in found if one.key is not None]
        unknown = [one for one in found if one.key is None]
        return [*sorted(known, reverse=asked.descending), *sorted(unknown, reverse=asked.descending)]

    def _end(self, part: _Part, ahead: int) -> Position | None:
        """The last contribution that is looked at; None where all that is left is less than that."""
        query = _ordered(select(part.key, contributions.c.id), part).where(*part.within).offset(ahead - 1).limit(1)
        row = self._connection.execute(query).first()
        return None if row is None else Position(*row)

    def _walk(self, asked: Listing, part: _Part, end: Position | None, limit: int, now: datetime) -> list[Position]:
        query = _ordered(_positions(asked.sort), part).where(*part.within, *conditions(asked.chosen, now, aside=True))
        if end is not None:
            query = query.where(_upto(part, end))
        return [Position(row.key, row.id) for row in self._connection.execute(query.limit(limit))]


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of an index in the order that is asked for: those with a value, or those without, which come last."""

    key: ColumnElement[int]
    descending: bool
    within: tuple[ColumnElement[bool], ...]


def _parts(asked: Listing, after: Position | None) -> Iterator[_Part]:
    column: Column[Any] = _COLUMNS[asked.sort]
    key, descending = type_coerce(column, BigInteger), asked.descending
    within = list[ColumnElement[bool]]()
    # Of a member, and of a standing, there is an index in the order of arrival.
    if asked.sort is Sort.RECEIVED and asked.chosen.member is not None:
        within = [contributions.c.member_id == asked.chosen.member]
    elif asked.sort is Sort.RECEIVED and asked.chosen.standing not in (None, Standing.UNREVIEWED):
        within = [_judged(str(asked.chosen.standing))]
    if after is None or after.key is not None:
        start = true() if after is None else _beyond(key, after, descending)
        yield _Part(key, descending, (*within, column.is_not(None), start))
    if column.nullable:
        at = after if after is not None and after.key is None else None
        start = true() if at is None else _beyond(key, at, descending)
        yield _Part(key, descending, (*within, column.is_(None), start))


def _beyond(key: ColumnElement[int], position: Position, descending: bool) -> ColumnElement[bool]:
    id = contributions.c.id
    if position.key is None:
        return id < position.id if descending else id > position.id
    # Spelled so that both databases begin in the index where the page ended.
    if descending:
        return and_(key <= position.key, or_(key < position.key, id < position.id))
    return and_(key >= position.key, or_(key > position.key, id > position.id))


def _upto(part: _Part, end: Position) -> ColumnElement[bool]:
    """What comes before a position, and that itself."""
    id = contributions.c.id
    if end.key is None:
        return id >= end.id if part.descending else id <= end.id
    if part.descending:
        return and_(part.key >= end.key, or_(part.key > end.key, id >= end.id))
    return and_(part.key <= end.key, or_(part.key < end.key, id <= end.id))


def _follows(asked: Listing, one: Position, after: Position) -> bool:
    if one.key is None or after.key is None:
        if (one.key is None) is not (after.key is None):
            return one.key is None
        return one.id < after.id if asked.descending else one.id > after.id
    return one < after if asked.descending else one > after


def _positions(sort: Sort) -> Select[Any]:
    # An outer join, so that SQLite does not begin with the members and sort what it finds of each.
    return select(type_coerce(_COLUMNS[sort], BigInteger).label("key"), contributions.c.id).outerjoin(
        members, members.c.id == contributions.c.member_id
    )


def _ordered(query: Select[Any], part: _Part) -> Select[Any]:
    order = (part.key, contributions.c.id)
    return query.order_by(*((column.desc() for column in order) if part.descending else order))


def _judged(standing: str) -> ColumnElement[bool]:
    """Spelled so that SQLite sees that the index over those that are not unreviewed has them."""
    column = contributions.c.standing
    return and_(column == standing, column != literal_column("'unreviewed'"))


_COLUMNS: dict[Sort, Column[Any]] = {
    Sort.RECEIVED: contributions.c.received_at,
    Sort.REMOVED: contributions.c.removed_at,
    Sort.SEVERITY: contributions.c.severity,
}
