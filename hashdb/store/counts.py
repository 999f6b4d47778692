"""Counts by day in SQL, and the events that seal them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, String, and_, bindparam, cast, delete, func, or_, select, type_coerce

from hashdb.domain.audit import Action
from hashdb.domain.counts import ANY, Cell, Count, Kind, day_of
from hashdb.store.bulk import upsert
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, counts, events, hits, members, refusals

_LOCK = 0x636F756E
"""Of PostgreSQL's advisory locks, the one that whoever writes or seals counts holds."""


class Seal(NamedTuple):
    """The event that sealed a day, and the digest that it tells."""

    day: date
    seq: int
    digest: str


class Total(NamedTuple):
    """What one number is of, and the number; the member's kind is `none` where no member is known."""

    member: str
    kind: str
    algorithm: str
    outcome: str
    times: int


class Counts(Repository):
    """Counts within one transaction."""

    def hold(self) -> None:
        """Let nobody else write or seal counts until the end of the transaction; matches and contributions go on."""
        # In SQLite, whoever may write is alone from the beginning of the transaction on.
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))

    def add(self, day: date, numbers: Mapping[Cell, int]) -> None:
        """Add to the numbers of a day."""
        rows = [{"day": day, **cell._asdict(), "times": times} for cell, times in sorted(numbers.items())]
        upsert(self._connection, counts, rows, adds=("times",))

    def of(self, day: date) -> tuple[Count, ...]:
        """The numbers of a day, in no order."""
        return tuple(count for _, count in self.between(day, day))

    def between(self, first: date, last: date) -> Iterable[tuple[date, Count]]:
        """The numbers of each day from the first to the last, both included."""
        rows = self._connection.execute(select(counts).where(counts.c.day.between(first, last)))
        for row in rows:
            yield row.day, Count(Cell(row.kind, row.member, row.algorithm, row.outcome), row.times)

    def totals(self) -> tuple[Total, ...]:
        """The numbers of all days together, by the kind of the member."""
        return tuple(Total(*row) for row in self._connection.execute(_TOTALS))

    def days(self, before: date) -> tuple[date, ...]:
        """The days before one that have numbers, in order."""
        query = select(counts.c.day).distinct().where(counts.c.day < before).order_by(counts.c.day)
        return tuple(self._connection.scalars(query))

    def seals(self) -> tuple[Seal, ...]:
        """The events that sealed a day, by day."""
        rows = self._connection.execute(_SEALS)
        return tuple(Seal(day_of(row.subject_id), row.seq, str(row.details.get("digest"))) for row in rows)

    def newest(self) -> date | None:
        """The last day that has numbers."""
        return self._connection.execute(select(func.max(counts.c.day))).scalar()

    def hits_uncounted(self, limit: int) -> tuple[tuple[object, object, int, int], ...]:
        """At most `limit` days and members with more hits than were counted: day, member, hits, counted."""
        return tuple(tuple(row) for row in self._connection.execute(_UNCOUNTED.limit(limit)))

    def hits_astray(self, head: int, limit: int) -> tuple[tuple[object, object, object], ...]:
        """At most `limit` hits that no service writes: contribution, member, day.

        They are on no contribution, end before they begin, or are level with an event that the log does not have.
        """
        return tuple(tuple(row) for row in self._connection.execute(_ASTRAY.limit(limit), {"head": head}))

    def last_sealed(self) -> date | None:
        """The last day that is sealed."""
        number = self._connection.execute(_LAST_SEALED).scalar()
        return None if number is None else day_of(number)


_OF = (func.coalesce(members.c.kind, "none"), counts.c.kind, counts.c.algorithm, counts.c.outcome)
_TOTALS = (
    select(*_OF, cast(func.sum(counts.c.times), BigInteger))
    .join(members, members.c.id == counts.c.member, isouter=True)
    .group_by(*_OF)
    .order_by(*_OF)
)
_KEPT = (
    select(hits.c.day, hits.c.member, cast(func.sum(hits.c.times), BigInteger).label("times"))
    .group_by(hits.c.day, hits.c.member)
    .subquery()
)
_COUNTED = (
    select(counts.c.day, counts.c.member, cast(func.sum(counts.c.times), BigInteger).label("times"))
    .where(counts.c.kind == str(Kind.HIT), counts.c.algorithm == ANY)
    .group_by(counts.c.day, counts.c.member)
    .subquery()
)
_BEFORE = func.coalesce(_COUNTED.c.times, 0)
_UNCOUNTED = (
    select(type_coerce(_KEPT.c.day, String), _KEPT.c.member, _KEPT.c.times, _BEFORE)
    .outerjoin(_COUNTED, and_(_COUNTED.c.day == _KEPT.c.day, _COUNTED.c.member == _KEPT.c.member))
    .where(_KEPT.c.times > _BEFORE)
    .order_by(_KEPT.c.day, _KEPT.c.member)
)
_ASTRAY = (
    select(hits.c.contribution, hits.c.member, type_coerce(hits.c.day, String))
    .outerjoin(contributions, contributions.c.id == hits.c.contribution)
    .where(or_(contributions.c.id.is_(None), hits.c.first_at > hits.c.last_at, hits.c.seq > bindparam("head")))
    .order_by(hits.c.contribution, hits.c.member, hits.c.day)
)
_OF_DAYS = (events.c.subject_kind == "day", events.c.action == str(Action.COUNTS_SEALED))
_SEALS = select(events.c.subject_id, events.c.seq, events.c.details).where(*_OF_DAYS).order_by(events.c.subject_id)
_LAST_SEALED = select(func.max(events.c.subject_id)).where(*_OF_DAYS)


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
