"""Lists of contributions in SQL, by any filter and order; each page reads a bounded number of rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Select,
    and_,
    func,
    literal_column,
    or_,
    select,
    text,
    true,
    tuple_,
    type_coerce,
)

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.contributions import Contribution, Filter, Media, Standing, Status
from hashdb.domain.listings import Listing, Paged, Place, Position, Sort, Total
from hashdb.store import keysets
from hashdb.store.contributions.contributions import Contributions
from hashdb.store.contributions.filters import filter_conditions, of_media
from hashdb.store.keysets import Order
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, members, signal_table

FEW = 10_000
"""If one part of the filter selects at most this many contributions, all of them are read and sorted."""
AHEAD = 20_000
"""If each part of the filter selects more, a page reads this many contributions in the order of the list."""
COUNTED = 5_000
"""A total that is not exact counts at most this many of those. It reads each one; a page stops when it is full."""
_BEYOND_ALL = 10**18 - 1
"""The largest id that a position can have."""


class Listings(Repository):
    """Lists within one transaction."""

    def page(
        self, listing: Listing, place: Place, limit: int, now: datetime, ahead: int | None = AHEAD
    ) -> Paged[Contribution]:
        """At most `limit` contributions at a place, with the total.

        The search reads `ahead` contributions and then stops (None: it reads on until it has a page, without a total).
        """
        parts = list(self._parts_of(listing.filter, now))
        few = self._few(parts)
        positions, stopped_at = list[Position](), None
        for run in _runs(listing, place, few, now):
            bounded = ahead is not None and few is None and not _names(listing.filter) <= run.names
            stopped_at = self._end(run, ahead) if bounded and ahead is not None else None
            positions += self._walk(listing, run, stopped_at, limit + 1 - len(positions), now)
            if stopped_at is not None or len(positions) > limit:
                break
        more, positions = len(positions) > limit, positions[:limit]
        if place.back:
            positions.reverse()
        paged = keysets.links(
            tuple(positions), place, descending=listing.descending, more=more or stopped_at is not None
        )
        unfinished = stopped_at is not None and not more
        if unfinished:
            paged = replace(paged, previous=stopped_at) if place.back else replace(paged, next=stopped_at)
        total = None if ahead is None else self._total(listing, parts, few, ahead, now)
        rows = self._in_order([position.id for position in paged.rows], now)
        return Paged(rows, paged.previous, paged.next, total, unfinished)

    def referring(self, reference: str, limit: int, now: datetime) -> tuple[Contribution, ...]:
        """At most `limit` contributions with exactly this reference, the newest first."""
        query = select(contributions.c.id).where(contributions.c.reference == reference)
        ids = self._connection.scalars(query.order_by(contributions.c.id.desc()).limit(limit)).all()
        return self._in_order(ids, now)

    def count(self, chosen: Filter, now: datetime) -> int:
        """How many contributions a filter selects; it may read all of them."""
        return self._connection.execute(_COUNT.where(*filter_conditions(chosen, now))).scalar_one()

    def _few(self, parts: list[_Part]) -> ColumnElement[bool] | None:
        """The condition of the part that selects the fewest contributions; None if each part selects many."""
        fewest = FEW + 1
        condition: ColumnElement[bool] | None = None
        # Without a part, the list is of all contributions, which may be few, too.
        for part in parts or (_Part((), true()),):
            total = keysets.count(self._connection, part.probe(), min(FEW, fewest))
            if not total.more and total.count < fewest:
                fewest, condition = total.count, part.condition
        return condition

    def _parts_of(self, filter: Filter, now: datetime) -> Iterator[_Part]:
        """The parts of a filter that have an index."""
        table = contributions.c
        if filter.reference is not None:
            yield _Part(("reference",), self._begins(filter.reference))
        if filter.status in (Status.WITHDRAWN, Status.EXPIRED):
            logged = table.announced == str(filter.status)
            expired = and_(table.announced.in_([str(Status.ACTIVE), str(Status.SUSPENDED)]), table.expires_at <= now)
            yield _Part(("status",), logged if filter.status is Status.WITHDRAWN else or_(logged, expired))
        if filter.status is Status.SUSPENDED:
            suspended = select(members.c.id).where(members.c.status == str(MemberStatus.SUSPENDED))
            yield _Part((), table.member_id.in_(suspended))
        if filter.expires_until is not None:
            # There is an index in the order of expiry for each status that the log last wrote.
            any_status = table.announced.in_([str(status) for status in Status])
            yield _Part(("expires_until",), and_(any_status, table.expires_at < filter.expires_until))
        if filter.standing not in (None, Standing.UNREVIEWED):
            yield _Part(("standing",), _judged(str(filter.standing)))
        if filter.media not in (None, Media.IMAGE, Media.VIDEO_FRAME):
            # The index has the other media only; in this form, SQLite uses it.
            other = text("contributions.media <> 'image' AND contributions.media <> 'video_frame'")
            yield _Part(("media",), and_(of_media(filter.media), other))
        if filter.algorithm is not None:
            columns = signal_table(filter.algorithm).c
            holders = select(columns.contribution_id).where(columns.algorithm == str(filter.algorithm))
            yield _Part((), table.id.in_(holders), holders)
        # Each alone: the other parts are checked on the rows that this one selects.
        for names in (
            ("incident",),
            ("member",),
            ("severity",),
            ("since", "until"),
            ("removed_since", "removed_until"),
        ):
            bounds = {name: getattr(filter, name) for name in names}
            if any(value is not None for value in bounds.values()):
                yield _Part(names, and_(*filter_conditions(replace(Filter(), **bounds), now)))

    def _begins(self, prefix: str) -> ColumnElement[bool]:
        """The condition that a reference begins with this text, in a form for which the database uses the index."""
        column = contributions.c.reference
        if self._connection.dialect.name == "postgresql":
            return column.startswith(prefix, autoescape=True)
        return column.between(prefix, f"{prefix}\U0010ffff")

    def _in_order(self, ids: Sequence[int], now: datetime) -> tuple[Contribution, ...]:
        by_id = Contributions(self._connection).get(ids, now)
        return tuple(by_id[id] for id in ids)

    def _total(
        self, listing: Listing, parts: list[_Part], few: ColumnElement[bool] | None, ahead: int, now: datetime
    ) -> Total:
        """How many contributions the filter selects, or at least so many if each part of it selects many."""
        chosen = _names(listing.filter)
        if few is not None:
            return Total(self._selected(few, listing.filter, now))
        if not chosen or any(chosen.issubset(part.names) for part in parts):
            return Total(FEW, more=True)
        count = 0
        for run in _runs(listing, Place(), None, now):
            end = self._end(run, min(ahead, COUNTED))
            count += self._selected(and_(*run.upto(end)), listing.filter, now)
            if end is not None:
                return Total(count, more=True)
        return Total(count)

    def _selected(self, among: ColumnElement[bool], chosen: Filter, now: datetime) -> int:
        """How many of some contributions a filter selects."""
        query = _COUNT.where(among, *filter_conditions(chosen, now, without_index=True))
        return self._connection.execute(query).scalar_one()

    def _end(self, run: _Run, ahead: int) -> Position | None:
        """The position of the last of the next `ahead` contributions of a run; None if fewer are left."""
        key, id, descending = run.order
        query = select(key, id) if run.has_id else select(key)
        query = query.order_by(*(column.desc() if descending else column for column in query.selected_columns))
        row = self._connection.execute(query.where(*run.within).offset(ahead - 1).limit(1)).first()
        if row is None:
            return None
        # Without the id in the index, the search reads all contributions of that instant.
        return Position(*row) if run.has_id else Position(row[0], 0 if descending else _BEYOND_ALL)

    def _walk(self, listing: Listing, run: _Run, end: Position | None, limit: int, now: datetime) -> list[Position]:
        """At most `limit` positions of a run, up to `end`, whose contributions the filter selects, in order."""
        query = select(type_coerce(_COLUMNS[listing.sort], BigInteger).label("key"), contributions.c.id)
        query = keysets.in_order(query.select_from(_JOINED), run.order).where(*run.upto(end))
        query = query.where(*filter_conditions(listing.filter, now, without_index=True)).limit(limit)
        return [Position(row.key, row.id) for row in self._connection.execute(query)]


class _Part(NamedTuple):
    """A part of a filter that has an index."""

    names: tuple[str, ...]
    """The fields of the filter that the condition covers; none if it selects more than the field does."""
    condition: ColumnElement[bool]
    holders: Select[Any] | None = None
    """A query for the ids of the same contributions in a table of signals, which is faster to count."""

    def probe(self) -> Select[Any]:
        """What is counted to know whether the part selects few."""
        return select(contributions.c.id).where(self.condition) if self.holders is None else self.holders


@dataclass(frozen=True, slots=True)
class _Run:
    """A range in the order of the list: the rows with a value, or the rows without, which come last."""

    order: Order
    within: tuple[ColumnElement[bool], ...]
    """The conditions of the range."""
    names: frozenset[str]
    """The fields of the filter whose conditions are among them."""
    has_id: bool
    """Whether its index is also in the order of the id, after the key."""
    fixed: bool
    """Whether all its rows have the same value."""

    def upto(self, end: Position | None) -> tuple[ColumnElement[bool], ...]:
        """The conditions for the rows up to a position, including it (None: for all)."""
        if end is None:
            return self.within
        key, id, descending = self.order
        if self.fixed or end.key is None:
            return *self.within, id >= end.id if descending else id <= end.id
        here, there = tuple_(key, id), tuple_(*end)
        return *self.within, here >= there if descending else here <= there


def _runs(listing: Listing, place: Place, few: ColumnElement[bool] | None, now: datetime) -> Iterator[_Run]:
    """The ranges from a place on, in the order in which they are read: of an index, or among few contributions."""
    chosen, column = listing.filter, _COLUMNS[listing.sort]
    key: ColumnElement[Any] = column
    id: ColumnElement[int] = contributions.c.id
    names, within, has_id = set(_BOUNDS[listing.sort]), list[ColumnElement[bool]](), True
    if few is not None:
        # In this form, the database reads the few by their own index and sorts them.
        key, id = func.coalesce(key, key), func.coalesce(id, id)
        names, within = set(), [few]
    # A member and a standing each have an index in the order of arrival.
    elif listing.sort is Sort.RECEIVED and chosen.member is not None:
        names, within, has_id = names | {"member"}, [contributions.c.member_id == chosen.member], False
    elif listing.sort is Sort.RECEIVED and chosen.standing not in (None, Standing.UNREVIEWED):
        names, within, has_id = names | {"standing"}, [_judged(str(chosen.standing))], False
    bounds = {name: getattr(chosen, name) for name in names.intersection(_BOUNDS[listing.sort])}
    within += filter_conditions(replace(Filter(), **bounds), now)
    fixed = few is None and listing.sort is Sort.SEVERITY and chosen.severity is not None
    order = Order(type_coerce(key, BigInteger), id, listing.descending is not place.back)
    ranges = [(True, key.is_not(None)), (False, key.is_(None))] if column.nullable else [(True, true())]
    position = place.position
    for has_value, condition in reversed(ranges) if place.back else ranges:
        conditions = [*within, condition]
        if position is not None and has_value is (position.key is not None):
            conditions.append(_beyond(order, position, fixed=fixed))
        elif position is not None and has_value is not place.back:
            # The place is past all of this range.
            continue
        yield _Run(order, tuple(conditions), frozenset(names), has_id, fixed)


def _names(chosen: Filter) -> set[str]:
    """The fields of a filter that are set."""
    return {field.name for field in fields(Filter) if getattr(chosen, field.name) is not None}


def _beyond(order: Order, position: Position, *, fixed: bool) -> ColumnElement[bool]:
    """The condition that a row comes after a position; `fixed`: all rows of the run have the key of the position."""
    if fixed or position.key is None:
        return order.id < position.id if order.descending else order.id > position.id
    return keysets.beyond(order, position)


def _judged(standing: str) -> ColumnElement[bool]:
    """The condition of a standing, in a form for which SQLite uses the index over all but unreviewed contributions."""
    column = contributions.c.standing
    return and_(column == standing, column != literal_column("'unreviewed'"))


# With an inner join, SQLite would start with the members and sort the rows of each.
_JOINED = contributions.outerjoin(members, members.c.id == contributions.c.member_id)
_COUNT = select(func.count(contributions.c.id)).select_from(_JOINED)
_BOUNDS: dict[Sort, tuple[str, ...]] = {
    Sort.ID: (),
    Sort.RECEIVED: ("since", "until"),
    Sort.REMOVED: ("removed_since", "removed_until"),
    Sort.SEVERITY: ("severity",),
}
"""The fields of the filter that bound what is read in an order."""
_COLUMNS: dict[Sort, Column[Any]] = {
    Sort.ID: contributions.c.id,
    Sort.RECEIVED: contributions.c.received_at,
    Sort.REMOVED: contributions.c.removed_at,
    Sort.SEVERITY: contributions.c.severity,
}
