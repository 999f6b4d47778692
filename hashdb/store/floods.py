"""Floods in SQL: hits of the last hour, by five minutes, and the contributions that have too many."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import and_, case, delete, exists, func, select

from hashdb.domain.cases import Decision
from hashdb.domain.contributions import Standing
from hashdb.domain.floods import MEMBERS, REST, WINDOW, Flood, share_of
from hashdb.store.bulk import upsert
from hashdb.store.repositories import Repository
from hashdb.store.statuses import active
from hashdb.store.tables import cases, contributions, members, recent_hits

_AT_ONCE = 100


class Floods(Repository):
    """Recent hits within one transaction."""

    def add(self, found: Mapping[tuple[int, int, datetime], int], now: datetime) -> None:
        """Record how often contributions were answered, by (contribution, member, five minutes).

        What is older than an hour is forgotten.
        """
        self._connection.execute(delete(recent_hits).where(recent_hits.c.since <= now - WINDOW))
        rows = [
            {"contribution": contribution, "member": member, "since": since, "times": times}
            for (contribution, member, since), times in sorted(found.items())
            if since > now - WINDOW
        ]
        upsert(self._connection, recent_hits, rows, adds=("times",))

    def over(self, cap: int, now: datetime) -> tuple[Flood, ...]:
        """Contributions that match and had more than `cap` hits within the last hour, some at a time, by id.

        Of each member a share of the cap counts, and nothing of the contributor's own.
        Those that a reviewer upheld lately are left out.
        """
        times = func.sum(recent_hits.c.times)
        each = (
            select(recent_hits.c.contribution, times.label("times"))
            .join(contributions, contributions.c.id == recent_hits.c.contribution)
            .where(recent_hits.c.since > now - WINDOW, recent_hits.c.member != contributions.c.member_id)
            .group_by(recent_hits.c.contribution, recent_hits.c.member)
            .subquery()
        )
        share = share_of(cap)
        counted = func.sum(case((each.c.times > share, share), else_=each.c.times))
        upheld = exists().where(
            cases.c.contribution_id == contributions.c.id,
            cases.c.decision == str(Decision.UPHOLD),
            cases.c.decided_at > now - REST,
        )
        matching = [str(standing) for standing in Standing if standing.matches]
        query = (
            select(contributions.c.id, func.sum(each.c.times), func.count())
            .join(each, each.c.contribution == contributions.c.id)
            .join(members, members.c.id == contributions.c.member_id)
            .where(active(now), contributions.c.standing.in_(matching), ~upheld)
            .group_by(contributions.c.id)
            .having(and_(counted > cap, func.count() >= MEMBERS))
            .order_by(contributions.c.id)
            .limit(_AT_ONCE)
        )
        return tuple(Flood(row[0], int(row[1]), row[2]) for row in self._connection.execute(query))
