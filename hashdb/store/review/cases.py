"""Cases in SQL: contributions before a reviewer, and what was decided."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import ColumnElement, Integer, Row, and_, case, cast, func, insert, or_, select, update

from hashdb.domain.review.cases import Case, CaseState, Cause, Decision, Pile, QueueOrder, Stance
from hashdb.store.repositories import Repository, same
from hashdb.store.review.opinions import Opinions
from hashdb.store.tables import cases, contributions, members, opinions


class Opening(NamedTuple):
    """A case to open: see `Case`."""

    contribution_id: int
    reason: str
    due_at: datetime
    holds: bool
    follows: int | None = None


class Cases(Repository):
    """Cases within one transaction."""

    def open(self, contribution: int, reason: str, now: datetime, due: datetime, *, holds: bool = False) -> Case:
        """Open a case on a contribution; `holds` quarantines the contribution until the decision."""
        row = {"contribution_id": contribution, "reason": reason, "holds": holds, "opened_at": now, "due_at": due}
        return self.one(self._connection.execute(insert(cases).returning(cases.c.id), row).scalar_one())

    def open_each(self, openings: Sequence[Opening], now: datetime) -> dict[int, int]:
        """Open several cases; return the id of each by its contribution."""
        if not openings:
            return {}
        rows = [{"opened_at": now, **opening._asdict()} for opening in openings]
        query = insert(cases).returning(cases.c.contribution_id, cases.c.id)
        return {row[0]: row[1] for row in self._connection.execute(query, rows)}

    def waiting(self, now: datetime) -> tuple[int, int]:
        """How many cases are open, and how many of these are overdue."""
        query = select(func.count(), func.count().filter(cases.c.due_at < now)).where(cases.c.decision.is_(None))
        waiting, late = self._connection.execute(query).one()
        return waiting, late

    def one(self, id: int, party: int | None = None) -> Case:
        """One case; with `party`, only a case to which that member is a party. Raises NotFound."""
        query = _CASES.where(cases.c.id == id)
        row = self._one(query if party is None else query.where(_concerns(party)), f"case {id}")
        return self._with_opinions([row])[0]

    def page(self, state: CaseState | None, party: int | None, after: int, limit: int) -> tuple[Case, ...]:
        """At most `limit` cases with ids above `after`, in order, of a state and of a party (None: any).

        A member is a party to the cases on its contributions, and to those in which it disputed another's.
        """
        query = _CASES.where(cases.c.id > after).order_by(cases.c.id).limit(limit)
        if state is not None:
            query = query.where(
                cases.c.decision.is_(None) if state is CaseState.OPEN else cases.c.decision.is_not(None)
            )
        if party is not None:
            query = query.where(_concerns(party))
        return self._with_opinions(self._connection.execute(query).all())

    def queue(
        self, order: QueueOrder, limit: int, *, of: int | None = None, without: Collection[int] = ()
    ) -> tuple[Case, ...]:
        """At most `limit` open cases in an order; of equal ones, the case that was opened first comes first.

        `of` keeps those that count for this member (`piles`); those of the members `without` are left out.
        """
        # The two databases sort NULL differently.
        gravest = [func.coalesce(contributions.c.severity, -1).desc()] if order is QueueOrder.SEVERITY else []
        query = _CASES.where(cases.c.decision.is_(None)).order_by(*gravest, cases.c.due_at, cases.c.id).limit(limit)
        if of is not None:
            query = query.where(_OPENER.in_([of]))
        if without:
            query = query.where(or_(_OPENER.is_(None), _OPENER.not_in(without)))
        return self._with_opinions(self._connection.execute(query).all())

    def piles(self, above: int) -> tuple[Pile, ...]:
        """The members with more than `above` open cases, the earliest deadline first.

        A case counts for the member whose opinion opened it. It counts for the contributor if it follows an earlier
        case, or if the contribution is near a retired one.
        """
        held = func.sum(case((_OPEN.c.holds, 1), else_=0))
        first = func.min(_OPEN.c.due_at)
        query = (
            select(
                _OPEN.c.opener,
                members.c.name,
                func.count(),
                cast(held, Integer),
                first,
                func.max(_OPEN.c.severity),
            )
            .join(members, members.c.id == _OPEN.c.opener)
            .group_by(_OPEN.c.opener, members.c.name)
            .having(func.count() > above)
            .order_by(first, _OPEN.c.opener)
        )
        return tuple(Pile(*row) for row in self._connection.execute(query))

    def latest(self, before: int | None, limit: int) -> tuple[Case, ...]:
        """At most `limit` decided cases with ids below `before` (None: any), the newest first."""
        query = _CASES.where(cases.c.decision.is_not(None)).order_by(cases.c.id.desc()).limit(limit)
        return self._with_opinions(
            self._connection.execute(query if before is None else query.where(cases.c.id < before)).all()
        )

    def of(self, ids: Collection[int]) -> dict[int, tuple[Case, ...]]:
        """The cases on contributions, by contribution, in the order of their opening and without opinions."""
        rows = self._among(_CASES.order_by(cases.c.contribution_id, cases.c.id), cases.c.contribution_id, ids)
        return {id: tuple(map(_case, group)) for id, group in groupby(rows, key=lambda row: row.contribution_id)}

    def parties(self, ids: Collection[int]) -> dict[int, frozenset[int]]:
        """The members that are a party to each of these cases.

        They are the contributor, and the members that disputed in the case or in the case that it follows.
        """
        members_by_case: dict[int, set[int]] = {}
        contributed = select(cases.c.id, contributions.c.member_id).join(
            contributions, contributions.c.id == cases.c.contribution_id
        )
        under = or_(opinions.c.case_id == cases.c.id, opinions.c.case_id == cases.c.follows)
        disputed = select(cases.c.id, opinions.c.member_id).join(
            opinions, and_(under, opinions.c.opinion == str(Stance.DISPUTES))
        )
        for query in (contributed, disputed):
            for id, member in self._among(query, cases.c.id, ids):
                members_by_case.setdefault(id, set()).add(member)
        return {id: frozenset(members) for id, members in members_by_case.items()}

    def hold(self, id: int) -> None:
        """Quarantine the contribution while this case is open."""
        self._connection.execute(update(cases).where(cases.c.id == id).values(holds=True))

    def decide(
        self,
        id: int,
        decision: Decision,
        note: str | None,
        by: str,
        now: datetime,
        shadow: Sequence[int] | None = None,
    ) -> None:
        """Close a case; `shadow` are the positions of the signals that quarantine similar contributions from now on."""
        values = {
            "decision": decision,
            "note": note,
            "decided_at": now,
            "decided_by": by,
            "shadow": None if shadow is None else tuple(map(str, shadow)),
        }
        self._connection.execute(update(cases).where(cases.c.id == id).values(values))

    def erase(self, contribution: int) -> None:
        """Delete the reviewers' notes on a contribution; the decisions stay."""
        notes = update(cases).where(cases.c.contribution_id == contribution, cases.c.note.is_not(None))
        self._connection.execute(notes.values(note=None))

    def _with_opinions(self, rows: Collection[Row[tuple[object, ...]]]) -> tuple[Case, ...]:
        bare = [_case(row) for row in rows]
        ids = [id for each in bare for id in (each.follows, each.id) if id is not None]
        given = Opinions(self._connection).under(ids)
        return tuple(replace(each, opinions=given.get(each.follows, ()) + given.get(each.id, ())) for each in bare)


_CASES = (
    select(cases, contributions.c.member_id, members.c.name.label("member_name"))
    .join(contributions, contributions.c.id == cases.c.contribution_id)
    .join(members, members.c.id == contributions.c.member_id)
)


_FIRST_SAID = (
    select(opinions.c.member_id)
    .where(opinions.c.case_id == cases.c.id)
    .order_by(opinions.c.id)
    .limit(1)
    .correlate(cases)
    .scalar_subquery()
)
_OPENER: ColumnElement[int | None] = case(
    (or_(cases.c.reason == str(Cause.NEAR_RETIRED), cases.c.follows.is_not(None)), contributions.c.member_id),
    else_=_FIRST_SAID,
)
_OPEN = (
    select(_OPENER.label("opener"), cases.c.holds, cases.c.due_at, contributions.c.severity)
    .join(contributions, contributions.c.id == cases.c.contribution_id)
    .where(cases.c.decision.is_(None))
    .subquery()
)


def _concerns(party: int) -> ColumnElement[bool]:
    disputed = select(opinions.c.case_id).where(
        opinions.c.member_id == party, opinions.c.opinion == str(Stance.DISPUTES), opinions.c.case_id.is_not(None)
    )
    return or_(contributions.c.member_id == party, cases.c.id.in_(disputed), cases.c.follows.in_(disputed))


def _case(row: Row[tuple[object, ...]]) -> Case:
    return Case(
        **same(row, "id", "member_name", "reason", "holds", "opened_at", "due_at", "note"),
        **same(row, "decided_at", "decided_by", "follows"),
        contribution=row.contribution_id,
        member=row.member_id,
        decision=None if row.decision is None else Decision(row.decision),
        shadow=None if row.shadow is None else tuple(map(int, row.shadow)),
    )
