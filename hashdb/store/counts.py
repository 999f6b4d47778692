"""Counts by day in SQL, and the events that seal them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import NamedTuple

from sqlalchemy import BigInteger, Connection, cast, func, select

from hashdb.domain.audit import Action
from hashdb.domain.counts import Cell, Count, day_of
from hashdb.store.bulk import upsert
from hashdb.store.tables import counts, events, members

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


class Counts:
    """Counts within one transaction."""

    def __init__(self, connection: Connection) -> None:
        """Over an open connection."""
        self._connection = connection

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
_OF_DAYS = (events.c.subject_kind == "day", events.c.action == str(Action.COUNTS_SEALED))
_SEALS = select(events.c.subject_id, events.c.seq, events.c.details).where(*_OF_DAYS).order_by(events.c.subject_id)
_LAST_SEALED = select(func.max(events.c.subject_id)).where(*_OF_DAYS)
