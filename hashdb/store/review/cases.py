"""Cases in SQL: contributions before a reviewer, and the decisions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Row, and_, func, insert, or_, select, type_coerce, update

from hashdb.domain.listings import Paged, Place
from hashdb.domain.review.cases import Case, CaseSort, CaseState, Decision, Stance
from hashdb.store import keysets
from hashdb.store.repositories import Repository, attributes
from hashdb.store.review.opinions import Opinions
from hashdb.store.tables import case_claims, case_notes, cases, contributions, due_notices, members, opinions


class Opening(NamedTuple):
    """The fields of a case to open, as in `Case`."""

    contribution_id: int
    reason: str
    due_at: datetime
    holds: bool
    """Whether the contribution is quarantined until the decision."""
    follows: int | None = None
    opener: int | None = None
    """The member for whose pile it counts."""


class Cases(Repository):
    """Cases within one transaction."""

    def open(
        self,
        contribution: int,
        reason: str,
        now: datetime,
        due: datetime,
        *,
        holds: bool = False,
        opener: int | None = None,
    ) -> Case:
        """Open a case on a contribution; `holds` quarantines the contribution until the decision.

        `opener` is the member whose opinion opens it.
        """
        opening = Opening(contribution, reason, due, holds, None, opener)
        return self.one(self.open_each([opening], now)[contribution])

    def open_each(self, openings: Sequence[Opening], now: datetime) -> dict[int, int]:
        """Open several cases; return the id of each by its contribution."""
        if not openings:
            return {}
        rows = [{"opened_at": now, **opening._asdict()} for opening in openings]
        query = insert(cases).returning(cases.c.contribution_id, cases.c.id)
        return {row[0]: row[1] for row in self._connection.execute(query, rows)}

    def count_open(self, now: datetime) -> tuple[int, int]:
        """How many cases are open, and how many of these are overdue."""
        query = select(func.count(), func.count().filter(cases.c.due_at < now)).where(cases.c.decision.is_(None))
        waiting, late = self._connection.execute(query).one()
        return waiting, late

    def one(self, id: int, party: int | None = None) -> Case:
        """One case; with `party`, only a case to which that member is a party. Raises NotFound."""
        query = CASES.where(cases.c.id == id)
        row = self._get_row(query if party is None else query.where(_concerns(party)), f"case {id}")
        return self._with_opinions([row])[0]

    def page(self, state: CaseState | None, party: int | None, after: int, limit: int) -> tuple[Case, ...]:
        """At most `limit` cases with ids above `after`, in order, of a state and of a party (None: any).

        A member is a party to the cases on its contributions, and to those in which it disputed another's.
        """
        query = CASES if party is None else CASES.where(_concerns(party))
        if state is not None:
            decision = cases.c.decision
            query = query.where(decision.is_(None) if state is CaseState.OPEN else decision.is_not(None))
        return self._with_opinions(self._page_after(query, cases.c.id, after, limit))

    def get(self, ids: Collection[int]) -> dict[int, Case]:
        """The cases with these ids, by id."""
        return {case.id: case for case in self._with_opinions(self._rows_in(CASES, cases.c.id, ids))}

    def set_opener(self, id: int, opener: int) -> None:
        """Make a member the opener of a case without one, to whose pile it counts from now on.

        Call it when the first member gives an opinion in a case that a reviewer or the service opened.
        """
        self._connection.execute(update(cases).where(cases.c.id == id, cases.c.opener.is_(None)).values(opener=opener))

    def decided(self, sort: CaseSort, place: Place, limit: int, *, descending: bool) -> Paged[Case]:
        """A page of the decided cases in an order, with its total."""
        decided = cases.c.decided_at.is_not(None)
        key = cases.c.id if sort is CaseSort.CASE else type_coerce(cases.c.decided_at, BigInteger)
        order = keysets.Order(key, cases.c.id, descending)
        rows, links = keysets.page(self._connection, CASES.where(decided), order, place, limit)
        total = keysets.count(self._connection, select(cases.c.id).where(decided))
        return Paged(self._with_opinions(rows), links.previous, links.next, total)

    def by_contribution(self, ids: Collection[int]) -> dict[int, tuple[Case, ...]]:
        """The cases on contributions, by contribution, in the order of their opening and without opinions."""
        rows = self._rows_in(CASES.order_by(cases.c.contribution_id, cases.c.id), cases.c.contribution_id, ids)
        return {
            id: tuple(map(case_from_row, group)) for id, group in groupby(rows, key=lambda row: row.contribution_id)
        }

    def on_contribution(self, id: int) -> tuple[Case, ...]:
        """The cases on one contribution, as `by_contribution` returns them."""
        return self.by_contribution([id]).get(id, ())

    def parties(self, ids: Collection[int]) -> dict[int, frozenset[int]]:
        """The members that are a party to each of these cases.

        They are the contributor, and the members that disputed in the case or in the case that it follows.
        """
        members_by_case: dict[int, set[int]] = defaultdict(set)
        contributed = select(cases.c.id, contributions.c.member_id).join(
            contributions, contributions.c.id == cases.c.contribution_id
        )
        under = or_(opinions.c.case_id == cases.c.id, opinions.c.case_id == cases.c.follows)
        disputed = select(cases.c.id, opinions.c.member_id).join(
            opinions, and_(under, opinions.c.opinion == str(Stance.DISPUTES))
        )
        for query in (contributed, disputed):
            for id, member in self._rows_in(query, cases.c.id, ids):
                members_by_case[id].add(member)
        return {id: frozenset(members) for id, members in members_by_case.items()}

    def quarantine(self, id: int) -> None:
        """Quarantine the contribution while this case is open."""
        self._update(cases, id, holds=True)

    def decide(
        self,
        id: int,
        decision: Decision,
        note: str | None,
        decided_by: str,
        now: datetime,
        shadow: Sequence[int] | None = None,
    ) -> None:
        """Close a case; `shadow` are the places of the signals that quarantine similar contributions from now on."""
        places = None if shadow is None else tuple(map(str, shadow))
        self._update(cases, id, decision=decision, note=note, decided_at=now, decided_by=decided_by, shadow=places)
        for table in (case_claims, due_notices):
            self._delete(table, table.c.case_id == id)

    def erase(self, contribution: int) -> None:
        """Delete the reviewers' notes on a contribution, and those between reviewers; the decisions stay."""
        notes = update(cases).where(cases.c.contribution_id == contribution, cases.c.note.is_not(None))
        self._connection.execute(notes.values(note=None))
        ids = select(cases.c.id).where(cases.c.contribution_id == contribution)
        self._delete(case_notes, case_notes.c.case_id.in_(ids))

    def _with_opinions(self, rows: Collection[Row[tuple[object, ...]]]) -> tuple[Case, ...]:
        """The cases of rows of `CASES`, each with the opinions in the case that it follows, then those in itself."""
        found_cases = list(map(case_from_row, rows))
        ids = [id for case in found_cases for id in (case.follows, case.id) if id is not None]
        opinions_by_case = Opinions(self._connection).by_case(ids)
        return tuple(
            replace(case, opinions=opinions_by_case.get(case.follows, ()) + opinions_by_case.get(case.id, ()))
            for case in found_cases
        )


CASES = (
    select(cases, contributions.c.member_id, members.c.name.label("member_name"))
    .join(contributions, contributions.c.id == cases.c.contribution_id)
    .join(members, members.c.id == contributions.c.member_id)
)


def _concerns(party: int) -> ColumnElement[bool]:
    """The condition that a member is a party to a case."""
    disputed = select(opinions.c.case_id).where(
        opinions.c.member_id == party, opinions.c.opinion == str(Stance.DISPUTES), opinions.c.case_id.is_not(None)
    )
    return or_(contributions.c.member_id == party, cases.c.id.in_(disputed), cases.c.follows.in_(disputed))


def case_from_row(row: Row[tuple[object, ...]]) -> Case:
    """The case of a row of `CASES`, without opinions."""
    return Case(
        **attributes(row, "id", "member_name", "reason", "holds", "opened_at", "due_at", "note"),
        **attributes(row, "decided_at", "decided_by", "follows"),
        contribution=row.contribution_id,
        member=row.member_id,
        decision=None if row.decision is None else Decision(row.decision),
        shadow=None if row.shadow is None else tuple(map(int, row.shadow)),
    )
