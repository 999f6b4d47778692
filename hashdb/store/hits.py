"""Hits in SQL: which contributions were answered to whom, by day."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select

from hashdb.domain.hits import Hit
from hashdb.store.bulk import upsert
from hashdb.store.chunks import chunks
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, hits


class Hits(Repository):
    """Hits within one transaction."""

    def add(self, found: Sequence[Hit]) -> None:
        """Record hits; those of a day on which the member had the contribution before are added to that one."""
        rows = [
            {
                "member": hit.member,
                "contribution": hit.contribution,
                "day": hit.day,
                "first_at": hit.first_at,
                "last_at": hit.last_at,
                "seq": hit.seq,
                "times": hit.times,
                "distance": dict(hit.distance),
            }
            for hit in sorted(found, key=lambda hit: (hit.member, hit.contribution, hit.day))
        ]
        upsert(self._connection, hits, rows, adds=("times",), least=("first_at", "seq"), most=("last_at",))

    def contributors(self, ids: Collection[int]) -> dict[int, int]:
        """The members whose contributions these are, by the contribution's id."""
        found: dict[int, int] = {}
        for some in chunks(sorted(ids)):
            query = select(contributions.c.id, contributions.c.member_id).where(contributions.c.id.in_(some))
            found.update((row[0], row[1]) for row in self._connection.execute(query))
        return found

    def answered(self, member: int, ids: Collection[int]) -> set[int]:
        """Those of the contributions that were answered to a member."""
        found: set[int] = set()
        for some in chunks(sorted(ids)):
            query = select(hits.c.contribution).distinct()
            chosen = query.where(hits.c.member == member, hits.c.contribution.in_(some))
            found.update(self._connection.scalars(chosen))
        return found

    def firsts(self, before: datetime) -> Iterator[tuple[int, int, datetime]]:
        """When before that a contribution was first answered to a member: (contribution, member, instant)."""
        query = select(hits.c.contribution, hits.c.member, func.min(hits.c.first_at)).group_by(
            hits.c.contribution, hits.c.member
        )
        for row in self._connection.execute(query.where(hits.c.first_at < before)):
            yield row[0], row[1], row[2]
