"""Hits by day in SQL, and the reversals of what was returned as a match."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime

from sqlalchemy import bindparam, case, func, or_, select

from hashdb.domain.contributions import Status
from hashdb.domain.ledger.events import REVERSING_ACTIONS
from hashdb.domain.stats.counts import Hit, Reversal
from hashdb.store.contributions.statuses import MATCHING
from hashdb.store.repositories import IDS, Repository, attributes
from hashdb.store.tables import contributions, events, hits


class Hits(Repository):
    """Hits within one transaction."""

    def add(self, new: Sequence[Hit]) -> None:
        """Record hits; a hit of a member on a contribution is added to the one of the same day."""
        ordered = sorted(new, key=lambda hit: (hit.member, hit.contribution, hit.day))
        rows = [{**attributes(hit, *hits.c.keys()), "distance": dict(hit.distance)} for hit in ordered]
        self._upsert(
            hits,
            rows,
            sum_columns=("times",),
            min_columns=("first_at", "seq"),
            max_columns=("last_at",),
        )

    def returned_to(self, member: int, ids: Collection[int]) -> set[int]:
        """Those of the contributions that a member has received as a match."""
        query = select(hits.c.contribution).distinct().where(hits.c.member == member)
        return {row.contribution for row in self._rows_in(query, hits.c.contribution, ids)}

    def count_returned_since(self, ids: Collection[int], since: date) -> tuple[int, int]:
        """How many members received any of these contributions as a match since a day, and how often in all."""
        query = select(hits.c.member, func.sum(hits.c.times)).where(hits.c.day >= since).group_by(hits.c.member)
        rows = self._rows_in(query, hits.c.contribution, ids)
        return len({member for member, _ in rows}), int(sum(times for _, times in rows))

    def first_hits(self, before: datetime) -> Iterator[tuple[int, int, datetime]]:
        """The contribution, the member and the time of each first hit that was before a time."""
        query = select(hits.c.contribution, hits.c.member, func.min(hits.c.first_at)).where(hits.c.first_at < before)
        yield from map(tuple, self._connection.execute(query.group_by(hits.c.contribution, hits.c.member)))

    def reversals(self, member: int, after: int, upto: int) -> tuple[Reversal, ...]:
        """The events with `after` < seq ≤ `upto`, in order, by which a match of the member no longer matches.

        Events on contributions that match again are left out.
        """
        ended = {row.id: row for row in self._connection.execute(_ENDED, {"of": member})}
        reversals = []
        # Joined with `_ENDED` in one query, SQLite would read every event on a contribution.
        for seq, id, at, details in self._run_for_ids(_EVENTS, ended, after=after, upto=upto):
            if seq > ended[id].seq:
                reversals.append(Reversal(seq, id, ended[id].status, details.get("reason"), at))
        return tuple(sorted(reversals, key=lambda reversal: reversal.seq))


_ENDED = (
    select(
        contributions.c.id,
        func.min(hits.c.seq).label("seq"),
        case((contributions.c.withdrawn_at.is_not(None), str(Status.WITHDRAWN)), else_=contributions.c.standing).label(
            "status"
        ),
    )
    .join(hits, hits.c.contribution == contributions.c.id)
    .where(hits.c.member == bindparam("of"), or_(contributions.c.withdrawn_at.is_not(None), ~MATCHING))
    .group_by(contributions.c.id)
)
_EVENTS = select(*events.c["seq", "subject_id", "at", "details"]).where(
    events.c.subject_kind == "contribution",
    events.c.subject_id.in_(IDS),
    events.c.action.in_([str(action) for action in REVERSING_ACTIONS]),
    events.c.seq > bindparam("after"),
    events.c.seq <= bindparam("upto"),
)
