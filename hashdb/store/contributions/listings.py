"""Lists of contributions in SQL, by any filter and order; each page reads a bounded number of rows."""

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

from hashdb.domain.contributions import ContributionPage, Filter, Listing, Position, Sort, Standing, Status
from hashdb.store.contributions.contributions import Contributions
from hashdb.store.contributions.statuses import filter_conditions
from hashdb.store.repositories import Repository, chunks
from hashdb.store.tables import contributions, members

FEW = 2_000
"""If one part of the filter selects at most this many contributions, all of them are read and sorted."""
AHEAD = 20_000
"""If each part of the filter selects more, a page reads this many contributions in the order of the list."""


class Listings(Repository):
    """Lists within one transaction."""

    def page(
        self, listing: Listing, after: Position | None, limit: int, now: datetime, ahead: int | None = AHEAD
    ) -> ContributionPage:
        """At most `limit` contributions after a position.

        The search reads `ahead` contributions and then stops (None: it reads on until it has a page).
        """
        candidates = self._few(listing.chosen, now)
        if candidates is not None:
            positions = self._positions_of(listing, candidates, now)
            positions = [each for each in positions if after is None or _follows(listing, each, after)]
            return self._listed(positions[: limit + 1], limit, None, now)
        positions, stopped = [], None
        for part in _parts(listing, after):
            stopped = None if ahead is None else self._end(part, ahead)
            positions += self._walk(listing, part, stopped, limit + 1 - len(positions), now)
            if stopped is not None or len(positions) > limit:
                break
        return self._listed(positions, limit, stopped, now)

    def _listed(
        self, positions: list[Position], limit: int, stopped: Position | None, now: datetime
    ) -> ContributionPage:
        page = positions[:limit]
        contributions_by_id = Contributions(self._connection).get([position.id for position in page], now)
        listed = tuple(contributions_by_id[position.id] for position in page)
        if len(positions) > limit:
            return ContributionPage(listed, page[-1])
        return ContributionPage(listed, stopped, unfinished=stopped is not None)

    def _few(self, filter: Filter, now: datetime) -> set[int] | None:
        """Ids that contain all that the filter selects; None if each part of the filter selects many."""
        for condition in self._rare(filter, now):
            ids = self._connection.scalars(select(contributions.c.id).where(condition).limit(FEW + 1)).all()
            if len(ids) <= FEW:
                return set(ids)
        return None

    def _rare(self, filter: Filter, now: datetime) -> Iterator[ColumnElement[bool]]:
        """The conditions of the filter that have an index, the most selective first."""
        table = contributions.c
        if filter.reference is not None:
            yield self._begins(filter.reference)
        if filter.status in (Status.WITHDRAWN, Status.EXPIRED):
            logged = table.announced == str(filter.status)
            expired = and_(table.announced.in_([str(Status.ACTIVE), str(Status.SUSPENDED)]), table.expires_at <= now)
            yield logged if filter.status is Status.WITHDRAWN else or_(logged, expired)
        if filter.expires_until is not None:
            # There is an index in the order of expiry for each status that the log last wrote.
            yield and_(table.announced.in_([str(status) for status in Status]), table.expires_at < filter.expires_until)
        if filter.standing not in (None, Standing.UNREVIEWED):
            yield _judged(str(filter.standing))
        # Each alone: the other parts are checked on the rows that this one selects.
        for name in ("incident", "member", "severity"):
            if getattr(filter, name) is not None:
                yield from filter_conditions(replace(Filter(), **{name: getattr(filter, name)}), now)
        for names in (("since", "until"), ("removed_since", "removed_until")):
            bounds = {name: getattr(filter, name) for name in names}
            if any(bounds.values()):
                yield and_(*filter_conditions(replace(Filter(), **bounds), now))

    def _begins(self, text: str) -> ColumnElement[bool]:
        column = contributions.c.reference
        if self._connection.dialect.name == "postgresql":
            return column.startswith(text, autoescape=True)
        return column.between(text, f"{text}\U0010ffff")

    def _positions_of(self, listing: Listing, ids: Collection[int], now: datetime) -> list[Position]:
        positions: list[Position] = []
        for chunk in chunks(sorted(ids)):
            query = _positions(listing.sort).where(
                contributions.c.id.in_(chunk), *filter_conditions(listing.chosen, now)
            )
            positions += [Position(row.key, row.id) for row in self._connection.execute(query)]
        known = [position for position in positions if position.key is not None]
        unknown = [position for position in positions if position.key is None]
        return [*sorted(known, reverse=listing.descending), *sorted(unknown, reverse=listing.descending)]

    def _end(self, part: _Part, ahead: int) -> Position | None:
        """The last contribution that is read; None if fewer than `ahead` are left."""
        query = _ordered(select(part.key, contributions.c.id), part).where(*part.within).offset(ahead - 1).limit(1)
        row = self._connection.execute(query).first()
        return None if row is None else Position(*row)

    def _walk(self, listing: Listing, part: _Part, end: Position | None, limit: int, now: datetime) -> list[Position]:
        chosen = filter_conditions(listing.chosen, now, aside=True)
        query = _ordered(_positions(listing.sort), part).where(*part.within, *chosen)
        if end is not None:
            query = query.where(_upto(part, end))
        return [Position(row.key, row.id) for row in self._connection.execute(query.limit(limit))]


@dataclass(frozen=True, slots=True)
class _Part:
    """A range of an index in the order of the list: the rows with a value, or those without, which come last."""

    key: ColumnElement[int]
    descending: bool
    within: tuple[ColumnElement[bool], ...]


def _parts(listing: Listing, after: Position | None) -> Iterator[_Part]:
    column: Column[Any] = _COLUMNS[listing.sort]
    key, descending = type_coerce(column, BigInteger), listing.descending
    within = list[ColumnElement[bool]]()
    # A member and a standing each have an index in the order of arrival.
    if listing.sort is Sort.RECEIVED and listing.chosen.member is not None:
        within = [contributions.c.member_id == listing.chosen.member]
    elif listing.sort is Sort.RECEIVED and listing.chosen.standing not in (None, Standing.UNREVIEWED):
        within = [_judged(str(listing.chosen.standing))]
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
    # In this form, both databases start in the index where the page ended.
    if descending:
        return and_(key <= position.key, or_(key < position.key, id < position.id))
    return and_(key >= position.key, or_(key > position.key, id > position.id))


def _upto(part: _Part, end: Position) -> ColumnElement[bool]:
    """The rows up to a position, including it."""
    id = contributions.c.id
    if end.key is None:
        return id >= end.id if part.descending else id <= end.id
    if part.descending:
        return and_(part.key >= end.key, or_(part.key > end.key, id >= end.id))
    return and_(part.key <= end.key, or_(part.key < end.key, id <= end.id))


def _follows(listing: Listing, position: Position, after: Position) -> bool:
    if position.key is None or after.key is None:
        if (position.key is None) is not (after.key is None):
            return position.key is None
        return position.id < after.id if listing.descending else position.id > after.id
    return position < after if listing.descending else position > after


def _positions(sort: Sort) -> Select[Any]:
    # With an inner join, SQLite would start with the members and sort the rows of each.
    return select(type_coerce(_COLUMNS[sort], BigInteger).label("key"), contributions.c.id).outerjoin(
        members, members.c.id == contributions.c.member_id
    )


def _ordered(query: Select[Any], part: _Part) -> Select[Any]:
    order = (part.key, contributions.c.id)
    return query.order_by(*((column.desc() for column in order) if part.descending else order))


def _judged(standing: str) -> ColumnElement[bool]:
    """In this form, SQLite uses the partial index over the contributions that are not unreviewed."""
    column = contributions.c.standing
    return and_(column == standing, column != literal_column("'unreviewed'"))


_COLUMNS: dict[Sort, Column[Any]] = {
    Sort.RECEIVED: contributions.c.received_at,
    Sort.REMOVED: contributions.c.removed_at,
    Sort.SEVERITY: contributions.c.severity,
}
