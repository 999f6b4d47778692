"""Queues in SQL: the open cases by order and filter, piles, and how many there are."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
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

from hashdb.domain.review.proposals import TwoPersonAction
from hashdb.domain.review.queues import (
    MOST_WITHOUT_PILE,
    UNKNOWN_SEVERITY,
    Age,
    Pile,
    QueueCounts,
    QueueOrder,
    QueueQuery,
)
from hashdb.domain.times import to_microseconds
from hashdb.store.contributions.filters import has_label
from hashdb.store.repositories import Repository, chunks
from hashdb.store.tables import cases, contributions, members, proposals


class Queues(Repository):
    """Queues within one transaction. No queue has a case that waits for a second person."""

    def openers_of_piles(self, queue: QueueQuery, now: datetime, above: int = MOST_WITHOUT_PILE) -> tuple[int, ...]:
        """The members that are the opener of more than `above` cases of a queue; none for the queue of a pile."""
        if queue.pile is not None:
            return ()
        query = queued_cases(queue, now, cases.c.opener).group_by(cases.c.opener).having(func.count() > above)
        return tuple(self._connection.scalars(query.where(cases.c.opener.is_not(None))))

    def piles(self, queue: QueueQuery, now: datetime, openers: Collection[int]) -> tuple[Pile, ...]:
        """The cases of a queue whose opener is one of these members, as piles, the earliest deadline first."""
        quarantined, first_due = func.sum(case((cases.c.holds, 1), else_=0)), func.min(cases.c.due_at)
        columns = (func.count(), cast(quarantined, Integer), first_due, func.max(contributions.c.severity))
        piles: list[Pile] = []
        for ids in chunks(sorted(openers)):
            query = (
                queued_cases(queue, now, cases.c.opener, members.c.name, *columns, joined=True)
                .join(members, members.c.id == cases.c.opener)
                .where(cases.c.opener.in_(ids))
                .group_by(cases.c.opener, members.c.name)
            )
            piles += [Pile(*row) for row in self._connection.execute(query)]
        return tuple(sorted(piles, key=lambda pile: (pile.due_at, pile.member)))

    def page(
        self,
        queue: QueueQuery,
        now: datetime,
        limit: int,
        *,
        without_openers: Collection[int] = (),
        start: int | None = None,
        backwards: bool = False,
    ) -> tuple[int, ...]:
        """At most `limit` cases of a queue after the case `start` (None: from its beginning), the next one first.

        Backwards, those before it, the nearest first. Cases whose opener is in `without_openers` are left out. The case
        `start` may be decided already: it still has its place.
        """
        query = in_order(queue, now, cases.c.id, backwards=backwards).limit(limit)
        if without_openers:
            query = query.where(not_opened_by(without_openers))
        if start is not None and (place := self.place(queue.order, start)):
            query = query.where(beyond(queue, place, backwards=backwards))
        return tuple(self._connection.scalars(query))

    def has(self, queue: QueueQuery, now: datetime, id: int) -> bool:
        """Whether a queue has this case."""
        query = queued_cases(queue, now, cases.c.id).where(cases.c.id == id)
        return self._connection.execute(query).first() is not None

    def place(self, order: QueueOrder, id: int) -> Sequence[Any] | None:
        """The place of a case in an order; None if there is no such case."""
        query = select(*_KEYS[order]).join(contributions, contributions.c.id == cases.c.contribution_id)
        return self._connection.execute(query.where(cases.c.id == id)).one_or_none()

    def count_proposed(self, now: datetime) -> int:
        """How many open cases wait for a second person."""
        return self._count(cases.c.decision.is_(None), cases.c.id.in_(_proposed(now)))

    def count(self, queue: QueueQuery, now: datetime, limit: int) -> QueueCounts:
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
        rows = self._connection.execute(queued_cases(queue, now, *columns, joined=True).limit(limit + 1)).all()
        if not rows:
            return QueueCounts()
        ids, labels, severities, contributors, reasons, opened = zip(*rows[:limit], strict=True)
        by_label: Counter[str] = Counter()
        for joined_labels, number in Counter(labels).items():
            by_label.update(dict.fromkeys(joined_labels.split(), number))
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
    """How many cases are of each age, without the ages of none; `opened` are microseconds in ascending order."""
    counts = {}
    for age in Age:
        least, below = age.bounds
        first = 0 if below is None else bisect_right(opened, to_microseconds(now - below))
        if number := bisect_right(opened, to_microseconds(now - least)) - first:
            counts[age] = number
    return counts


def in_order(queue: QueueQuery, now: datetime, *columns: Any, backwards: bool = False) -> Select[Any]:
    """The query for the cases of a queue, in its order."""
    query = queued_cases(queue, now, *columns, joined=queue.order is QueueOrder.SEVERITY)
    return query.order_by(*(key.desc() if backwards is not queue.reverse else key for key in _KEYS[queue.order]))


def beyond(queue: QueueQuery, place: Sequence[Any], *, backwards: bool = False) -> ColumnElement[bool]:
    """The condition that a case comes after a place in the order of a queue; backwards, before it."""
    keys = _KEYS[queue.order]
    here = tuple_(*(literal(value, key.type) for key, value in zip(keys, place, strict=True)))
    return tuple_(*keys) < here if backwards is not queue.reverse else tuple_(*keys) > here


def not_opened_by(openers: Collection[int]) -> ColumnElement[bool]:
    """The condition that the opener of a case is none of these members."""
    return or_(cases.c.opener.is_(None), cases.c.opener.not_in(sorted(openers)))


def queued_cases(queue: QueueQuery, now: datetime, *columns: Any, joined: bool = False) -> Select[Any]:
    """The query for the open cases of a queue, which wait for no second person; `joined` with their contributions."""
    waits = cases.c.decision.is_(None), cases.c.id.not_in(_proposed(now))
    query = select(*columns).select_from(cases).where(*waits)
    if joined or not (queue.label is None and queue.severity is None and queue.member is None):
        query = query.join(contributions, contributions.c.id == cases.c.contribution_id)
    return query.where(*_conditions(queue, now))


def _proposed(now: datetime) -> Select[tuple[int]]:
    """The cases for which a proposal waits for a second person."""
    retires = proposals.c.act == str(TwoPersonAction.RETIRE)
    return select(proposals.c.subject_id).where(
        retires, proposals.c.subject_kind == "case", proposals.c.expires_at > now
    )


def _conditions(queue: QueueQuery, now: datetime) -> Iterator[ColumnElement[bool]]:
    if queue.label is not None:
        yield has_label(queue.label)
    if queue.severity is not None:
        is_known = queue.severity != UNKNOWN_SEVERITY
        severity = contributions.c.severity
        yield severity == queue.severity if is_known else severity.is_(None)
    if queue.member is not None:
        yield contributions.c.member_id == queue.member
    if queue.reason is not None:
        yield cases.c.reason == queue.reason
    if queue.age is not None:
        least, below = queue.age.bounds
        yield cases.c.opened_at <= now - least
        if below is not None:
            yield cases.c.opened_at > now - below
    if queue.pile is not None:
        yield cases.c.opener == queue.pile


# The two databases sort NULL differently. All keys ascend, so that one comparison of tuples finds the rows that follow.
_GRAVEST: ColumnElement[int] = -func.coalesce(contributions.c.severity, UNKNOWN_SEVERITY)
_KEYS: dict[QueueOrder, tuple[ColumnElement[Any], ...]] = {
    QueueOrder.CLOCK: (cases.c.due_at, cases.c.id),
    QueueOrder.SEVERITY: (_GRAVEST, cases.c.due_at, cases.c.id),
    QueueOrder.OPENED: (cases.c.id,),
}
