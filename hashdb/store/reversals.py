"""Reversals in SQL: events that ended what had been answered to a member as a match."""

from __future__ import annotations

from sqlalchemy import bindparam, case, func, or_, select

from hashdb.domain.audit import REVERSING
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.reversals import Reversal
from hashdb.store.chunks import chunks
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, events, hits


class Reversals(Repository):
    """Reversals within one transaction."""

    def of(self, member: int, after: int, upto: int, limit: int) -> tuple[Reversal, ...]:
        """At most `limit` events with `after` < number ≤ `upto`, in order, on what the member had as a match before.

        Those of which the contrary has been decided since are left out.
        """
        return self._found(member, after, upto)[:limit]

    def count(self, member: int, after: int, upto: int) -> int:
        """How many such events there are with `after` < number ≤ `upto`."""
        return len(self._found(member, after, upto))

    def _found(self, member: int, after: int, upto: int) -> tuple[Reversal, ...]:
        ended = {row.id: row for row in self._connection.execute(_ENDED, {"of": member})}
        found = []
        # Asked as one question, SQLite would read every event on a contribution.
        for ids in chunks(sorted(ended)):
            for row in self._connection.execute(_EVENTS, {"ids": ids, "after": after, "upto": upto}):
                if row.seq > ended[row.subject_id].seq:
                    now, reason = ended[row.subject_id].now, row.details.get("reason")
                    found.append(Reversal(row.seq, row.subject_id, now, reason, row.at))
        return tuple(sorted(found, key=lambda one: one.seq))


_NO_MATCH = [str(standing) for standing in Standing if not standing.matches]
_ENDED = (
    select(
        contributions.c.id,
        func.min(hits.c.seq).label("seq"),
        case((contributions.c.withdrawn_at.is_not(None), str(Status.WITHDRAWN)), else_=contributions.c.standing).label(
            "now"
        ),
    )
    .join(hits, hits.c.contribution == contributions.c.id)
    .where(
        hits.c.member == bindparam("of"),
        or_(contributions.c.withdrawn_at.is_not(None), contributions.c.standing.in_(_NO_MATCH)),
    )
    .group_by(contributions.c.id)
)
_EVENTS = select(events.c.seq, events.c.subject_id, events.c.at, events.c.details).where(
    events.c.subject_kind == "contribution",
    events.c.subject_id.in_(bindparam("ids", expanding=True)),
    events.c.action.in_([str(action) for action in REVERSING]),
    events.c.seq > bindparam("after"),
    events.c.seq <= bindparam("upto"),
)
