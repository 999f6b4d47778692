"""Queues in SQL: the open cases by order and filter, piles, and how many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Text,
    case,
    cast,
    func,
    literal,
    or_,
    select,
    tuple_,
    type_coerce,
)

from hashdb.domain.review.incidents import TwoPersonAction
from hashdb.domain.review.queues import UNKNOWN_SEVERITY, Age, Pile, QueueCounts, QueueOrder, QueueQuery
from hashdb.domain.times import to_microseconds
from hashdb.store.repositories import Repository, chunks
from hashdb.store.tables import cases, contributions, members, proposals


class Queues(Repository):
    """Queues within one transaction. No queue has a case that waits for a second person."""

    def crowded(self, asked: QueueQuery, now: datetime, above: int) -> tuple[int, ...]:
        """The members for which more than `above` cases of a queue count."""
        query = waiting_cases(asked, now, cases.c.opener).group_by(cases.c.opener).having(func.count() > above)
        return tuple(self._connection.scalars(query.where(cases.c.opener.is_not(None))))

    def piles(self, asked: QueueQuery, now: datetime, of: Collection[int]) -> tuple[Pile, ...]:
        """The cases of a queue that count for these members, as piles, the earliest deadline first."""
        held, first = func.sum(case((cases.c.holds, 1), else_=0)), func.min(cases.c.due_at)
        columns = (func.count(), cast(held, Integer), first, func.max(contributions.c.severity))
        found: list[Pile] = []
        for ids in chunks(sorted(of)):
            query = (
                waiting_cases(asked, now, cases.c.opener, members.c.name, *columns, joined=True)
                .join(members, members.c.id == cases.c.opener)
                .where(cases.c.opener.in_(ids))
                .group_by(cases.c.opener, members.c.name)
            )
            found += [Pile(*row) for row in self._connection.execute(query)]
        return tuple(sorted(found, key=lambda pile: (pile.due_at, pile.member)))

    def page(
        self,
        asked: QueueQuery,
        now: datetime,
        limit: int,
        *,
        without: Collection[int] = (),
        start: int | None = None,
        backwards: bool = False,
    ) -> tuple[int, ...]:
        """At most `limit` cases of a queue after the case `start` (None: from its beginning), the next one first.

        Backwards, those before it, the nearest first. Cases that count for the members `without` are left out. A case
        that is decided meanwhile still has its place.
        """
        query = in_order(asked, now, cases.c.id, backwards=backwards).limit(limit)
        if without:
            query = query.where(outside(without))
        if start is not None and (place := self.place(asked.order, start)):
            query = query.where(beyond(asked, place, backwards=backwards))
        return tuple(self._connection.scalars(query))

    def has(self, asked: QueueQuery, now: datetime, id: int) -> bool:
        """Whether a queue has this case."""
        query = waiting_cases(asked, now, cases.c.id).where(cases.c.id == id)
        return self._connection.execute(query).first() is not None

    def place(self, order: QueueOrder, id: int) -> Sequence[Any] | None:
        """The place of a case in an order; None if there is no such case."""
        query = select(*_KEYS[order]).join(contributions, contributions.c.id == cases.c.contribution_id)
        return self._connection.execute(query.where(cases.c.id == id)).one_or_none()

    def count_proposed(self, now: datetime) -> int:
        """How many open cases wait for a second person."""
        query = (
            select(func.count()).select_from(cases).where(cases.c.decision.is_(None), cases.c.id.in_(_proposed(now)))
        )
        return self._connection.execute(query).scalar_one()

    def count(self, asked: QueueQuery, now: datetime, limit: int) -> QueueCounts:
        """How many cases a queue has, in all and by field; at most `limit` are counted."""
        # As they are stored: to make values of each row takes several times as long.
        columns = (
            cases.c.id,
            contributions.c.labels.cast(Text),
            contributions.c.severity,
            contributions.c.member_id,
            cases.c.reason,
            type_coerce(cases.c.opened_at, BigInteger),
        )
        rows = self._connection.execute(waiting_cases(asked, now, *columns, joined=True).limit(limit + 1)).all()
        if not rows:
            return QueueCounts()
        ids, labels, severities, contributors, reasons, opened = zip(*rows[:limit], strict=True)
        by_label: Counter[str] = Counter()
        for together, number in Counter(labels).items():
            by_label.update(dict.fromkeys(together.split(), number))
        severity = Counter(severities)
        if unknown := severity.pop(None, 0):
            severity[UNKNOWN_SEVERITY] = unknown
        return QueueCounts(
            total=len(ids),
            more=len(rows) > limit,
            newest=max(ids),
            label=by_label,
            severity=severity,
            member=Counter(contributors),
            reason=Counter(reasons),
            age=_count_ages(sorted(opened), now),
        )


def _count_ages(opened: Sequence[int], now: datetime) -> dict[Age, int]:
    """How many of these times, in microseconds and ascending, are of each age; without those of which none is."""
    found = {}
    for age in Age:
        least, below = age.bounds
        first = 0 if below is None else bisect_right(opened, to_microseconds(now - below))
        if number := bisect_right(opened, to_microseconds(now - least)) - first:
            found[age] = number
    return found


def in_order(asked: QueueQuery, now: datetime, *columns: Any, backwards: bool = False) -> Select[Any]:
    """The cases of a queue in an order."""
    query = waiting_cases(asked, now, *columns, joined=asked.order is QueueOrder.SEVERITY)
    return query.order_by(*(key.desc() if backwards is not asked.reverse else key for key in _KEYS[asked.order]))


def beyond(asked: QueueQuery, place: Sequence[Any], *, backwards: bool = False) -> ColumnElement[bool]:
    """Whether a case comes after a place in an order; backwards, before it."""
    keys = _KEYS[asked.order]
    here = tuple_(*(literal(value, key.type) for key, value in zip(keys, place, strict=True)))
    return tuple_(*keys) < here if backwards is not asked.reverse else tuple_(*keys) > here


def outside(crowded: Collection[int]) -> ColumnElement[bool]:
    """Whether a case counts for none of these members."""
    return or_(cases.c.opener.is_(None), cases.c.opener.not_in(sorted(crowded)))


def waiting_cases(asked: QueueQuery, now: datetime, *columns: Any, joined: bool = False) -> Select[Any]:
    """The open cases that fit a filter and wait for no second person; `joined` with their contributions."""
    fits = cases.c.decision.is_(None), cases.c.id.not_in(_proposed(now))
    query = select(*columns).select_from(cases).where(*fits)
    if joined or not (asked.label is None and asked.severity is None and asked.member is None):
        query = query.join(contributions, contributions.c.id == cases.c.contribution_id)
    return query.where(*_conditions(asked, now))


def _proposed(now: datetime) -> Select[tuple[int]]:
    """The cases for which a proposal waits for a second person."""
    retires = proposals.c.act == str(TwoPersonAction.RETIRE)
    return select(proposals.c.subject_id).where(
        retires, proposals.c.subject_kind == "case", proposals.c.expires_at > now
    )


def _conditions(asked: QueueQuery, now: datetime) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if asked.label is not None:
        found.append(contributions.c.labels.cast(Text).contains(f" {asked.label} ", autoescape=True))
    if asked.severity is not None:
        known = asked.severity != UNKNOWN_SEVERITY
        severity = contributions.c.severity
        found.append(severity == asked.severity if known else severity.is_(None))
    if asked.member is not None:
        found.append(contributions.c.member_id == asked.member)
    if asked.reason is not None:
        found.append(cases.c.reason == asked.reason)
    if asked.age is not None:
        least, below = asked.age.bounds
        found.append(cases.c.opened_at <= now - least)
        if below is not None:
            found.append(cases.c.opened_at > now - below)
    if asked.pile is not None:
        found.append(cases.c.opener == asked.pile)
    return found


# The two databases sort NULL differently. Ascending in all, so that one comparison of tuples reads on.
_GRAVEST: ColumnElement[int] = -func.coalesce(contributions.c.severity, UNKNOWN_SEVERITY)
_KEYS: dict[QueueOrder, tuple[ColumnElement[Any], ...]] = {
    QueueOrder.CLOCK: (cases.c.due_at, cases.c.id),
    QueueOrder.SEVERITY: (_GRAVEST, cases.c.due_at, cases.c.id),
    QueueOrder.OPENED: (cases.c.id,),
}
