"""Counts by day in SQL, and the events that seal them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import BigInteger, String, Text, and_, bindparam, case, cast, exists, func, or_, select, type_coerce

from hashdb.domain.accounts.members import MemberStatus, Scope
from hashdb.domain.contributions import Status
from hashdb.domain.ledger.events import REVERSING_ACTIONS, Action
from hashdb.domain.matching.floods import FLOOD_MEMBERS, FLOOD_PAUSE, FLOOD_WINDOW, Flood, max_hits_per_member
from hashdb.domain.review.cases import Decision
from hashdb.domain.stats.counts import ANY_ALGORITHM, MAX_LAG, Cell, Count, CountKind, Hit, Lag, Reversal, Use, day_of
from hashdb.store.accounts.members import valid_key
from hashdb.store.contributions.statuses import MATCHING, active
from hashdb.store.repositories import IDS, Repository, attributes, upsert
from hashdb.store.tables import (
    cases,
    contributions,
    counts,
    events,
    hits,
    key_uses,
    keys,
    members,
    recent_hits,
    refusals,
)

_LOCK = 0x636F756E
"""The PostgreSQL advisory lock that is held while counts are written or sealed."""


class Seal(NamedTuple):
    """The event that sealed a day, and the digest in it."""

    day: date
    seq: int
    digest: str


class CountTotal(NamedTuple):
    """A count over all days; `member_kind` is `none` where no member is known."""

    member_kind: str
    count_kind: str
    algorithm: str
    outcome: str
    times: int


class Counts(Repository):
    """Counts within one transaction."""

    def lock(self) -> None:
        """Lock the counts until the transaction ends, against others that write or seal them."""
        # In SQLite, a writing transaction excludes all others from its beginning.
        if self._connection.dialect.name == "postgresql":
            self._connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))

    def add(self, day: date, counts_by_cell: Mapping[Cell, int]) -> None:
        """Add to the counts of a day."""
        rows = [{"day": day, **cell._asdict(), "times": times} for cell, times in sorted(counts_by_cell.items())]
        upsert(self._connection, counts, rows, sum_columns=("times",))

    def of_day(self, day: date) -> tuple[Count, ...]:
        """The counts of a day, in no order."""
        return tuple(count for _, count in self.between(day, day))

    def between(self, first: date, last: date) -> Iterable[tuple[date, Count]]:
        """The counts of each day from the first to the last, both included."""
        rows = self._connection.execute(_BETWEEN, {"first": first, "last": last})
        for row in rows:
            yield row.day, Count(Cell(row.kind, row.member, row.algorithm, row.outcome), row.times)

    def totals(self) -> tuple[CountTotal, ...]:
        """The counts of all days together, by the kind of the member."""
        return tuple(CountTotal(*row) for row in self._connection.execute(_TOTALS))

    def days(self, before: date) -> tuple[date, ...]:
        """The days before `before` that have counts, in order."""
        query = select(counts.c.day).distinct().where(counts.c.day < before).order_by(counts.c.day)
        return tuple(self._connection.scalars(query))

    def seals(self) -> tuple[Seal, ...]:
        """The events that sealed a day, by day."""
        rows = self._connection.execute(_SEALS)
        return tuple(Seal(day_of(row.subject_id), row.seq, str(row.details.get("digest"))) for row in rows)

    def last_day(self) -> date | None:
        """The last day that has counts."""
        return self._connection.execute(select(func.max(counts.c.day))).scalar()

    def hits_uncounted(self, limit: int) -> tuple[tuple[object, object, int, int], ...]:
        """At most `limit` days and members with more hits than were counted: day, member, hits, counted.

        The values may be of any type: somebody may have edited the database.
        """
        return tuple(tuple(row) for row in self._connection.execute(_UNCOUNTED.limit(limit)))

    def hits_astray(self, head: int, limit: int) -> tuple[tuple[object, object, object], ...]:
        """At most `limit` hits that a service would not write: contribution, member, day.

        Their contribution does not exist, they end before they begin, or the log does not have their event.
        The values may be of any type: somebody may have edited the database.
        """
        return tuple(tuple(row) for row in self._connection.execute(_ASTRAY.limit(limit), {"head": head}))

    def last_sealed(self) -> date | None:
        """The last day that is sealed."""
        number = self._connection.execute(_LAST_SEALED).scalar()
        return None if number is None else day_of(number)


_TOTAL_KEYS = (func.coalesce(members.c.kind, "none"), counts.c.kind, counts.c.algorithm, counts.c.outcome)
_TOTALS = (
    select(*_TOTAL_KEYS, cast(func.sum(counts.c.times), BigInteger))
    .join(members, members.c.id == counts.c.member, isouter=True)
    .group_by(*_TOTAL_KEYS)
    .order_by(*_TOTAL_KEYS)
)
_STORED_HITS = (
    select(hits.c.day, hits.c.member, cast(func.sum(hits.c.times), BigInteger).label("times"))
    .group_by(hits.c.day, hits.c.member)
    .subquery()
)
_COUNTED_HITS = (
    select(counts.c.day, counts.c.member, cast(func.sum(counts.c.times), BigInteger).label("times"))
    .where(counts.c.kind == str(CountKind.HIT), counts.c.algorithm == ANY_ALGORITHM)
    .group_by(counts.c.day, counts.c.member)
    .subquery()
)
_COUNTED_TIMES = func.coalesce(_COUNTED_HITS.c.times, 0)
_UNCOUNTED = (
    select(type_coerce(_STORED_HITS.c.day, String), _STORED_HITS.c.member, _STORED_HITS.c.times, _COUNTED_TIMES)
    .outerjoin(
        _COUNTED_HITS, and_(_COUNTED_HITS.c.day == _STORED_HITS.c.day, _COUNTED_HITS.c.member == _STORED_HITS.c.member)
    )
    .where(_STORED_HITS.c.times > _COUNTED_TIMES)
    .order_by(_STORED_HITS.c.day, _STORED_HITS.c.member)
)
_ASTRAY = (
    select(hits.c.contribution, hits.c.member, type_coerce(hits.c.day, String))
    .outerjoin(contributions, contributions.c.id == hits.c.contribution)
    .where(or_(contributions.c.id.is_(None), hits.c.first_at > hits.c.last_at, hits.c.seq > bindparam("head")))
    .order_by(hits.c.contribution, hits.c.member, hits.c.day)
)
_IS_SEAL = (events.c.subject_kind == "day", events.c.action == str(Action.COUNTS_SEALED))
_SEALS = select(events.c.subject_id, events.c.seq, events.c.details).where(*_IS_SEAL).order_by(events.c.subject_id)
_LAST_SEALED = select(func.max(events.c.subject_id)).where(*_IS_SEAL)
_BETWEEN = select(counts).where(counts.c.day.between(bindparam("first"), bindparam("last")))


class Refusals(Repository):
    """Refusals within one transaction."""

    def add(self, times_by_reason: Mapping[str, int]) -> None:
        """Add to the counts, by reason, that are not in the log yet."""
        rows = [{"reason": reason, "times": times} for reason, times in sorted(times_by_reason.items())]
        upsert(self._connection, refusals, rows, sum_columns=("times",))

    def not_logged(self) -> dict[str, int]:
        """The counts of refusals, by reason, that are not in the log yet."""
        return {row.reason: row.times for row in self._connection.execute(select(refusals))}

    def delete_logged(self) -> None:
        """Delete all counts: call it once they are in the log."""
        self._delete(refusals)


class Hits(Repository):
    """Hits within one transaction."""

    def add(self, new: Sequence[Hit]) -> None:
        """Record hits; a hit of a member on a contribution is added to the one of the same day."""
        ordered = sorted(new, key=lambda hit: (hit.member, hit.contribution, hit.day))
        rows = [{**attributes(hit, *hits.c.keys()), "distance": dict(hit.distance)} for hit in ordered]
        upsert(
            self._connection,
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


class Uses(Repository):
    """Uses of keys within one transaction."""

    def record(self, new: Sequence[Use]) -> None:
        """Record the latest use of each key. If a use has no `fed_at`, the stored position in the feed stays."""
        uses = sorted(new, key=lambda use: use.key)
        rows = [{"key_id": use.key, "used_at": use.used_at} for use in uses]
        upsert(self._connection, key_uses, rows, max_columns=("used_at",))
        for use in uses:
            if use.fed_at is not None:
                later = key_uses.c.fed_at.is_(None) | (key_uses.c.fed_at <= use.fed_at)
                query = key_uses.update().where(key_uses.c.key_id == use.key, later)
                self._connection.execute(query.values(fed_at=use.fed_at, fed_seq=use.fed_seq))

    def by_members(self, members: Collection[int] | None = None) -> tuple[tuple[Use, int], ...]:
        """The uses of members' keys (None: of all), each with its member."""
        query = select(key_uses, keys.c.member_id).join(keys, keys.c.id == key_uses.c.key_id).order_by(keys.c.id)
        if members is not None:
            query = query.where(keys.c.member_id.in_(members))
        return tuple((Use(*use), member) for *use, member in self._connection.execute(query))

    def feed_readers(self, now: datetime) -> tuple[tuple[int, int], ...]:
        """The valid keys that have read the feed, each with the seq up to which it has read.

        It is stored within a second of the request, unlike `keys.feed_read_on`, which the event `feed.read` sets.
        """
        query = select(key_uses.c.key_id, key_uses.c.fed_seq).join(keys, keys.c.id == key_uses.c.key_id)
        query = query.where(valid_key(now), key_uses.c.fed_seq.is_not(None)).order_by(keys.c.id)
        return tuple((int(key), int(seq)) for key, seq in self._connection.execute(query))

    def count_feed_readers(self, since: date) -> int:
        """How many members read the feed from the day `since` on."""
        # A column of codes stores ` a b c `.
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

    def feed_lag(self, seq: int) -> Lag:
        """How far a reader of the feed up to `seq` is behind: the changes after it, and the time of the first."""
        query = select(events.c.at).where(events.c.seq > seq, events.c.action.in_(_FEED)).order_by(events.c.seq)
        part = query.limit(MAX_LAG).subquery()
        changes, since = self._connection.execute(select(func.count(), func.min(part.c.at))).one()
        return Lag(int(changes), since if isinstance(since, datetime) else None)


_FEED = [str(action) for action in Action if action.changes_feed]
"""The actions whose events change the feed."""
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
        upsert(self._connection, recent_hits, rows, sum_columns=("times",))

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
