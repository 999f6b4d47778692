"""Opinions in SQL: which member confirmed or disputed which contribution, and whether the opinion counts."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from itertools import groupby

from sqlalchemy import Row, Select, and_, func, select, union_all, update

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.review.cases import Opinion, OpinionDraft, Stance, opinion_counts
from hashdb.store.repositories import Repository, attributes, chunks
from hashdb.store.tables import cases, contributions, members, opinions


class Opinions(Repository):
    """Opinions within one transaction."""

    def add(self, contribution: int, member: int, draft: OpinionDraft, case: int | None, now: datetime) -> Opinion:
        """Record a member's opinion on a contribution; it replaces the member's earlier one."""
        by_member = and_(opinions.c.contribution_id == contribution, opinions.c.member_id == member)
        self._connection.execute(update(opinions).where(by_member, ~opinions.c.replaced).values(replaced=True))
        row = {
            "contribution_id": contribution,
            "member_id": member,
            "opinion": draft.stance,
            "reason": draft.reason,
            "note": draft.note,
            "given_at": now,
            "case_id": case,
            "replaced": False,
            "silent": False,
        }
        return self.one(self._insert(opinions, row).id)

    def one(self, id: int) -> Opinion:
        """One opinion. Raises NotFound."""
        return _opinion(self._get_row(_OPINIONS.where(opinions.c.id == id), f"opinion {id}"))

    def page(self, contribution: int, after: int, limit: int) -> tuple[Opinion, ...]:
        """At most `limit` opinions on a contribution with ids above `after`, in the order in which they were given."""
        query = _OPINIONS.where(opinions.c.contribution_id == contribution)
        return tuple(map(_opinion, self._page_after(query, opinions.c.id, after, limit)))

    def current(self, ids: Collection[int]) -> dict[int, tuple[Opinion, ...]]:
        """The last opinion of each member on contributions, by contribution."""
        query = _OPINIONS.where(~opinions.c.replaced).order_by(opinions.c.contribution_id, opinions.c.id)
        last = map(_opinion, self._rows_in(query, opinions.c.contribution_id, ids))
        return {id: tuple(group) for id, group in groupby(last, key=lambda opinion: opinion.contribution)}

    def by_case(self, ids: Collection[int]) -> dict[int | None, tuple[Opinion, ...]]:
        """The opinions that were given in these cases, the last of each member in each case, by case."""
        grouped: dict[int | None, tuple[Opinion, ...]] = {}
        for chunk in chunks(sorted(set(ids))):
            lasts = (
                select(func.max(opinions.c.id))
                .where(opinions.c.case_id.in_(chunk))
                .group_by(opinions.c.case_id, opinions.c.member_id)
            )
            query = _OPINIONS.where(opinions.c.id.in_(lasts)).order_by(opinions.c.case_id, opinions.c.id)
            last = map(_opinion, self._connection.execute(query))
            grouped.update((id, tuple(group)) for id, group in groupby(last, key=lambda opinion: opinion.case))
        return grouped

    def erase(self, contribution: int) -> None:
        """Delete the members' notes on a contribution; stance and reason code stay."""
        notes = update(opinions).where(opinions.c.contribution_id == contribution, opinions.c.note.is_not(None))
        self._connection.execute(notes.values(note=None))

    def pending(self, limit: int, *, lock: bool = True) -> tuple[int, ...]:
        """At most `limit` contributions with an opinion of a member that was suspended or reinstated since.

        With `lock` they are locked until the transaction ends, and those that another transaction locks are left out.
        """
        query = select(contributions.c.id).where(contributions.c.id.in_(_PENDING)).limit(limit)
        if lock:
            query = query.with_for_update(skip_locked=True)
        return tuple(self._connection.scalars(query))

    def mark_logged(self, ids: Collection[int]) -> None:
        """Record that the standings in the log follow from the opinions on contributions and their members' status now.

        It sets the column `silent` of each opinion: whether its member is suspended, so that it does not count. Call
        this before reading the opinions: if a member's status changes in between, the contribution is pending again.
        """
        suspended = select(_SUSPENDED).where(members.c.id == opinions.c.member_id).scalar_subquery()
        for chunk in chunks(sorted(set(ids))):
            current = and_(opinions.c.contribution_id.in_(chunk), ~opinions.c.replaced)
            query = update(opinions).where(current, opinions.c.silent != suspended)
            self._connection.execute(query.values(silent=suspended))


_SUSPENDED = members.c.status == str(MemberStatus.SUSPENDED)
_OPINIONS = (
    select(
        opinions,
        members.c.name.label("member_name"),
        _SUSPENDED.label("suspended"),
        cases.c.decision.is_not(None).label("answered"),
    )
    .join(members, members.c.id == opinions.c.member_id)
    .outerjoin(cases, cases.c.id == opinions.c.case_id)
)


def _differing(status: MemberStatus, *, silent: bool) -> Select[tuple[int]]:
    """The contributions with an opinion of a member that now has this status, and had another when it was logged.

    `silent` is whether the log leaves out the opinion, as that of a suspended member.
    """
    member_ids = select(members.c.id).where(members.c.status == str(status))
    return select(opinions.c.contribution_id).where(
        opinions.c.member_id.in_(member_ids), ~opinions.c.replaced, opinions.c.silent == silent
    )


_PENDING = union_all(_differing(MemberStatus.SUSPENDED, silent=False), _differing(MemberStatus.ACTIVE, silent=True))


def _opinion(row: Row[tuple[object, ...]]) -> Opinion:
    stance, suspended = Stance(row.opinion), bool(row.suspended)
    return Opinion(
        **attributes(row, "id", "member_name", "reason", "note", "given_at"),
        contribution=row.contribution_id,
        member=row.member_id,
        stance=stance,
        case=row.case_id,
        counts=opinion_counts(stance, replaced=row.replaced, suspended=suspended, answered=bool(row.answered)),
    )
