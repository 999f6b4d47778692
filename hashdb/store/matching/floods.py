"""The flood guard in SQL: the hits of the last hour, and the contributions that have too many."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import and_, case, exists, func, select

from hashdb.domain.matching.floods import FLOOD_MEMBERS, FLOOD_PAUSE, FLOOD_WINDOW, Flood, max_hits_per_member
from hashdb.domain.review.cases import Decision
from hashdb.store.contributions.statuses import MATCHING, active
from hashdb.store.repositories import Repository
from hashdb.store.tables import cases, contributions, members, recent_hits

_MOST_FLOODS = 100


class Floods(Repository):
    """Recent hits within one transaction."""

    def add(self, counted: Mapping[tuple[int, int, datetime], int], now: datetime) -> None:
        """Add to the recorded numbers of matches, by (contribution, member, start of the five minutes).

        Numbers older than an hour are deleted.
        """
        self._delete(recent_hits, recent_hits.c.since <= now - FLOOD_WINDOW)
        rows = [
            {"contribution": contribution, "member": member, "since": since, "times": times}
            for (contribution, member, since), times in sorted(counted.items())
            if since > now - FLOOD_WINDOW
        ]
        self._upsert(recent_hits, rows, sum_columns=("times",))

    def above_cap(self, cap: int, now: datetime) -> tuple[Flood, ...]:
        """At most 100 contributions that match and had more than `cap` hits within the last hour, by id.

        The contributor's own hits do not count, and of each other member at most `max_hits_per_member(cap)` count. The
        `hits` of the result are all hits of the other members. A contribution that a reviewer upheld within the last
        seven days (`FLOOD_PAUSE`) is left out.
        """
        by_member = (
            select(recent_hits.c.contribution, func.sum(recent_hits.c.times).label("times"))
            .join(contributions, contributions.c.id == recent_hits.c.contribution)
            .where(recent_hits.c.since > now - FLOOD_WINDOW, recent_hits.c.member != contributions.c.member_id)
            .group_by(recent_hits.c.contribution, recent_hits.c.member)
            .subquery()
        )
        most = max_hits_per_member(cap)
        counted = func.sum(case((by_member.c.times > most, most), else_=by_member.c.times))
        upheld = exists().where(
            cases.c.contribution_id == contributions.c.id,
            cases.c.decision == str(Decision.UPHOLD),
            cases.c.decided_at > now - FLOOD_PAUSE,
        )
        query = (
            select(contributions.c.id, func.sum(by_member.c.times), func.count())
            .join(by_member, by_member.c.contribution == contributions.c.id)
            .join(members, members.c.id == contributions.c.member_id)
            .where(active(now), MATCHING, ~upheld)
            .group_by(contributions.c.id)
            .having(and_(counted > cap, func.count() >= FLOOD_MEMBERS))
            .order_by(contributions.c.id)
            .limit(_MOST_FLOODS)
        )
        return tuple(Flood(id, hits=int(hits), members=count) for id, hits, count in self._connection.execute(query))
