"""Who would notice that a contribution matches no longer, in SQL."""

from __future__ import annotations

from datetime import date

from sqlalchemy import Text, func, select

from hashdb.domain.members import MemberStatus, Scope
from hashdb.store.repositories import Repository
from hashdb.store.tables import hits, keys, members


class Effects(Repository):
    """Effects within one transaction."""

    def hits(self, contribution: int, since: date) -> tuple[int, int]:
        """How many members had a contribution as a match on a day from `since` on, and how often in all."""
        query = select(func.count(hits.c.member.distinct()), func.coalesce(func.sum(hits.c.times), 0))
        row = self._connection.execute(query.where(hits.c.contribution == contribution, hits.c.day >= since)).one()
        return int(row[0]), int(row[1])

    def readers(self, since: date) -> int:
        """How many members read the feed on a day from `since` on."""
        query = (
            select(func.count(members.c.id.distinct()))
            .join(keys, keys.c.member_id == members.c.id)
            .where(
                members.c.status == str(MemberStatus.ACTIVE),
                keys.c.revoked_at.is_(None),
                keys.c.scopes.cast(Text).contains(f" {Scope.FEED} "),
                keys.c.feed_read_on >= since.isoformat(),
            )
        )
        return self._connection.execute(query).scalar_one()
