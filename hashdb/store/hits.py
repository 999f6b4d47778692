"""Hits in SQL: which contributions were answered to whom, by day, and which were no match; and uses of keys."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime

from sqlalchemy import Text, bindparam, case, func, or_, select

from hashdb.domain.audit import REVERSING, Action
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.hits import MOST, Hit, Lag, Reversal, Use
from hashdb.domain.members import MemberStatus, Scope
from hashdb.store.bulk import upsert
from hashdb.store.chunks import chunks
from hashdb.store.repositories import Repository
from hashdb.store.tables import contributions, events, hits, key_uses, keys, members


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

    def answered_since(self, contribution: int, since: date) -> tuple[int, int]:
        """How many members had a contribution as a match on a day from `since` on, and how often in all."""
        query = select(func.count(hits.c.member.distinct()), func.coalesce(func.sum(hits.c.times), 0))
        row = self._connection.execute(query.where(hits.c.contribution == contribution, hits.c.day >= since)).one()
        return int(row[0]), int(row[1])

    def firsts(self, before: datetime) -> Iterator[tuple[int, int, datetime]]:
        """When before that a contribution was first answered to a member: (contribution, member, instant)."""
        query = select(hits.c.contribution, hits.c.member, func.min(hits.c.first_at)).group_by(
            hits.c.contribution, hits.c.member
        )
        for row in self._connection.execute(query.where(hits.c.first_at < before)):
            yield row[0], row[1], row[2]


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


class Uses(Repository):
    """Uses of keys within one transaction."""

    def write(self, used: Sequence[Use]) -> None:
        """Note uses, of which the latest counts; who has not read the feed since keeps what is noted of that."""
        uses = sorted(used, key=lambda one: one.key)
        upsert(
            self._connection, key_uses, [{"key_id": one.key, "used_at": one.used_at} for one in uses], most=("used_at",)
        )
        fed = [one for one in uses if one.fed_at is not None]
        for one in fed:
            later = key_uses.c.fed_at.is_(None) | (key_uses.c.fed_at <= one.fed_at)
            query = key_uses.update().where(key_uses.c.key_id == one.key, later)
            self._connection.execute(query.values(fed_at=one.fed_at, fed_seq=one.fed_seq))

    def of(self, members: Collection[int] | None = None) -> tuple[tuple[Use, int], ...]:
        """The uses of members' keys (None: of all), each with its member."""
        query = select(key_uses, keys.c.member_id).join(keys, keys.c.id == key_uses.c.key_id).order_by(keys.c.id)
        if members is not None:
            query = query.where(keys.c.member_id.in_(members))
        rows = self._connection.execute(query)
        return tuple((Use(row.key_id, row.used_at, row.fed_at, row.fed_seq), row.member_id) for row in rows)

    def readers(self, now: datetime) -> tuple[tuple[int, int], ...]:
        """The keys that are valid and have read the feed, each with the event up to which it has."""
        valid = keys.c.revoked_at.is_(None) & (keys.c.expires_at.is_(None) | (keys.c.expires_at > now))
        query = select(key_uses.c.key_id, key_uses.c.fed_seq).join(keys, keys.c.id == key_uses.c.key_id)
        rows = self._connection.execute(query.where(valid, key_uses.c.fed_seq.is_not(None)).order_by(keys.c.id))
        return tuple((int(row.key_id), int(row.fed_seq)) for row in rows)

    def readers_since(self, since: date) -> int:
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

    def lag(self, seq: int) -> Lag:
        """What the feed has after a number of the log."""
        query = select(events.c.at).where(events.c.seq > seq, events.c.action.in_(_FEED)).order_by(events.c.seq)
        part = query.limit(MOST).subquery()
        changes, since = self._connection.execute(select(func.count(), func.min(part.c.at))).one()
        return Lag(int(changes), since if isinstance(since, datetime) else None)


_FEED = [str(action) for action in Action if action.changes_feed]
