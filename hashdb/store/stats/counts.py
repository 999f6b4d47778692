"""Counts by day in SQL, the events that seal them, and refusals that are not in the log yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from sqlalchemy import BigInteger, String, and_, bindparam, cast, func, or_, select, type_coerce

from hashdb.domain.ledger.events import Action
from hashdb.domain.stats.counts import ANY_ALGORITHM, Cell, Count, CountKind, day_of
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, counts, events, hits, members, refusals

_LOCK = 0x636F756E
"""The PostgreSQL advisory lock that is held while counts are written or sealed."""


class Seal(NamedTuple):
    """The event that sealed a day, and the digest in it."""

    day: date
    seq: int
    digest: str


class CountTotal(NamedTuple):
    """A count over all days; `member_kind` is `none` where no member is known."""

    member_kind: str
    count_kind: str
    algorithm: str
    outcome: str
    times: int


class Counts(Repository):
    """Counts within one transaction."""

    def lock(self) -> None:
        """Lock the counts until the transaction ends, against others that write or seal them."""
        # In SQLite, a writing transaction excludes all others from its beginning.
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))

    def add(self, day: date, counts_by_cell: Mapping[Cell, int]) -> None:
        """Add to the counts of a day."""
        rows = [{"day": day, **cell._asdict(), "times": times} for cell, times in sorted(counts_by_cell.items())]
        self._upsert(counts, rows, sum_columns=("times",))

    def of_day(self, day: date) -> tuple[Count, ...]:
        """The counts of a day, in no order."""
        return tuple(count for _, count in self.between(day, day))

    def between(self, first: date, last: date) -> Iterable[tuple[date, Count]]:
        """The counts of each day from the first to the last, both included."""
        rows = self._connection.execute(_BETWEEN, {"first": first, "last": last})
        for row in rows:
            yield row.day, Count(Cell(row.kind, row.member, row.algorithm, row.outcome), row.times)

    def totals(self) -> tuple[CountTotal, ...]:
        """The counts of all days together, by the kind of the member."""
        return tuple(CountTotal(*row) for row in self._connection.execute(_TOTALS))

    def days(self, before: date) -> tuple[date, ...]:
        """The days before `before` that have counts, in order."""
        query = select(counts.c.day).distinct().where(counts.c.day < before).order_by(counts.c.day)
        return tuple(self._connection.scalars(query))

    def seals(self) -> tuple[Seal, ...]:
        """The events that sealed a day, by day."""
        rows = self._connection.execute(_SEALS)
        return tuple(Seal(day_of(row.subject_id), row.seq, str(row.details.get("digest"))) for row in rows)

    def last_day(self) -> date | None:
        """The last day that has counts."""
        return self._connection.execute(select(func.max(counts.c.day))).scalar()

    def uncounted_hits(self, limit: int) -> tuple[tuple[object, object, int, int], ...]:
        """At most `limit` days and members with more hits than were counted: day, member, hits, counted.

        The values may be of any type: somebody may have edited the database.
        """
        return tuple(tuple(row) for row in self._connection.execute(_UNCOUNTED_HITS.limit(limit)))

    def invalid_hits(self, head: int, limit: int) -> tuple[tuple[object, object, object], ...]:
        """At most `limit` hits that a service would not write: contribution, member, day.

        Their contribution does not exist, they end before they begin, or the log does not have their event.
        The values may be of any type: somebody may have edited the database.
        """
        return tuple(tuple(row) for row in self._connection.execute(_INVALID_HITS.limit(limit), {"head": head}))

    def last_sealed(self) -> date | None:
        """The last day that is sealed."""
        number = self._connection.execute(_LAST_SEALED).scalar()
        return None if number is None else day_of(number)


_TOTAL_KEYS = (func.coalesce(members.c.kind, "none"), counts.c.kind, counts.c.algorithm, counts.c.outcome)
_TOTALS = (
    select(*_TOTAL_KEYS, cast(func.sum(counts.c.times), BigInteger))
    .join(members, members.c.id == counts.c.member, isouter=True)
    .group_by(*_TOTAL_KEYS)
    .order_by(*_TOTAL_KEYS)
)
_STORED_HITS = (
    select(hits.c.day, hits.c.member, cast(func.sum(hits.c.times), BigInteger).label("times"))
    .group_by(hits.c.day, hits.c.member)
    .subquery()
)
_COUNTED_HITS = (
    select(counts.c.day, counts.c.member, cast(func.sum(counts.c.times), BigInteger).label("times"))
    .where(counts.c.kind == str(CountKind.HIT), counts.c.algorithm == ANY_ALGORITHM)
    .group_by(counts.c.day, counts.c.member)
    .subquery()
)
_COUNTED_TIMES = func.coalesce(_COUNTED_HITS.c.times, 0)
_UNCOUNTED_HITS = (
    select(type_coerce(_STORED_HITS.c.day, String), _STORED_HITS.c.member, _STORED_HITS.c.times, _COUNTED_TIMES)
    .outerjoin(
        _COUNTED_HITS, and_(_COUNTED_HITS.c.day == _STORED_HITS.c.day, _COUNTED_HITS.c.member == _STORED_HITS.c.member)
    )
    .where(_STORED_HITS.c.times > _COUNTED_TIMES)
    .order_by(_STORED_HITS.c.day, _STORED_HITS.c.member)
)
_INVALID_HITS = (
    select(hits.c.contribution, hits.c.member, type_coerce(hits.c.day, String))
    .outerjoin(contributions, contributions.c.id == hits.c.contribution)
    .where(or_(contributions.c.id.is_(None), hits.c.first_at > hits.c.last_at, hits.c.seq > bindparam("head")))
    .order_by(hits.c.contribution, hits.c.member, hits.c.day)
)
_IS_SEAL = (events.c.subject_kind == "day", events.c.action == str(Action.COUNTS_SEALED))
_SEALS = select(events.c.subject_id, events.c.seq, events.c.details).where(*_IS_SEAL).order_by(events.c.subject_id)
_LAST_SEALED = select(func.max(events.c.subject_id)).where(*_IS_SEAL)
_BETWEEN = select(counts).where(counts.c.day.between(bindparam("first"), bindparam("last")))


class Refusals(Repository):
    """Refusals within one transaction."""

    def add(self, times_by_reason: Mapping[str, int]) -> None:
        """Add to the counts, by reason, that are not in the log yet."""
        rows = [{"reason": reason, "times": times} for reason, times in sorted(times_by_reason.items())]
        self._upsert(refusals, rows, sum_columns=("times",))

    def not_logged(self) -> dict[str, int]:
        """The counts of refusals, by reason, that are not in the log yet."""
        return {row.reason: row.times for row in self._connection.execute(select(refusals))}

    def delete_logged(self) -> None:
        """Delete all counts: call it once they are in the log."""
        self._delete(refusals)
