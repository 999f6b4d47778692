"""Overviews: the console's first page, from figures that follow the log in the background."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta

from hashdb.domain.accounts.members import Actor, Member, MemberStatus, Scope
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.stats.counts import day_of
from hashdb.domain.stats.overviews import (
    EVERYONE,
    DayFigures,
    Deltas,
    Figure,
    Health,
    MemberFigures,
    Overview,
    TotalCount,
    asked,
    concerned,
    deltas,
    sealed,
    standing,
    status,
    within,
)
from hashdb.domain.stats.reports import Judgement, Precision
from hashdb.service import HashDB
from hashdb.store import Transaction

BLOCK = 2_000
"""Events that are counted at once; a page counts that many by itself."""
_DAY = timedelta(days=1)
EXPIRING = timedelta(days=7)
_SOON = timedelta(hours=24)
_OF_MEMBERS = (Figure.ADDED, Figure.TIMED, Figure.IN_HOUR, Figure.QUERIES, Figure.HITS)


def follow(db: HashDB) -> int:
    """Count at most `BLOCK` events that the figures have not yet; call again while that many were counted."""
    with db.store.read() as tx:
        after = tx.overviews.seq()
        found, many = _next(tx, after)
    if many:
        with db.store.begin() as tx:
            tx.overviews.add(found, after)
    return many


def get(db: HashDB, actor: Actor, days: int) -> Overview:
    """The figures of the service, and of the last so many days, today (UTC) with them."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    now = db.now()
    with db.store.read() as tx:
        head = tx.audit.head()
        found, _ = _next(tx, tx.overviews.seq())
        since = now.date() - (days - 1) * _DAY
        _open_days(tx, since, found)
        in_all = tx.overviews.in_all()
        in_all.update(found.in_all)
        by_day = tx.overviews.by_day(since)
        for key, times in found.by_day.items():
            if key.member == EVERYONE:
                by_day.setdefault(key.day, Counter())[key.what] += times
        return Overview(
            seq=found.seq,
            behind=head.seq - found.seq,
            statuses={one: _sum(in_all, status(one)) for one in Status},
            standings={one: _sum(in_all, standing(one)) for one in Standing},
            new=tx.overviews.received(now - _DAY),
            expiring=tx.overviews.expiring(now, now + EXPIRING),
            suspected=tx.overviews.suspected(now - EXPIRING),
            days=tuple(_day(day, by_day.get(day, Counter())) for day in (since + n * _DAY for n in range(days))),
            members=_members(tx, since, found, in_all),
            waiting=tx.overviews.waiting(now, now + _SOON),
            health=_health(db, tx),
        )


def members(db: HashDB, actor: Actor, days: int) -> tuple[MemberFigures, ...]:
    """What each member did in the last so many days, the most active first, and how its contributions hold."""
    actor.require(Scope.AUDIT, Scope.REVIEW)
    since = db.now().date() - (days - 1) * _DAY
    with db.store.read() as tx:
        found, _ = _next(tx, tx.overviews.seq())
        _open_days(tx, since, found)
        in_all = tx.overviews.in_all()
        in_all.update(found.in_all)
        return _members(tx, since, found, in_all)


def _next(tx: Transaction, after: int) -> tuple[Deltas, int]:
    events = tx.audit.since(after, BLOCK)
    counts = {number: tx.counts.of(day_of(number)) for number in sealed(events)}
    return deltas(events, tx.overviews.contributors(concerned(events)), after, counts), len(events)


def _open_days(tx: Transaction, since: date, found: Deltas) -> None:
    """Add what was asked on the days that no event has sealed yet."""
    last = max((one.day for one in tx.counts.seals() if one.seq <= found.seq), default=None)
    first = since if last is None else max(since, last + _DAY)
    for day, one in tx.counts.between(first, date.max):
        found.by_day.update(asked(day, [one]))


def _day(day: date, found: Counter[str]) -> DayFigures:
    return DayFigures(
        day,
        added=found[Figure.ADDED],
        withdrawn=found[Figure.WITHDRAWN],
        timed=found[Figure.TIMED],
        in_hour=found[Figure.IN_HOUR],
        queries=found[Figure.QUERIES],
        hits=found[Figure.HITS],
        half=within(found, 0.5),
        most=within(found, 0.9),
    )


def _members(
    tx: Transaction, since: date, found: Deltas, in_all: Mapping[TotalCount, int]
) -> tuple[MemberFigures, ...]:
    sums = tx.overviews.by_member(since, _OF_MEMBERS)
    for key, times in found.by_day.items():
        if key.day >= since and key.member != EVERYONE:
            sums[TotalCount(key.what, key.member)] += times
    upheld, waiting = tx.overviews.upheld(), tx.overviews.held()
    figures = [_figures(one, sums, in_all, upheld[one.id], waiting[one.id]) for one in _everyone(tx)]
    return tuple(sorted(figures, key=lambda one: (-one.added, -one.hits, one.name)))


def _figures(
    one: Member, sums: Mapping[TotalCount, int], in_all: Mapping[TotalCount, int], upheld: int, waiting: int
) -> MemberFigures:
    def of(what: str) -> int:
        return sums.get(TotalCount(what, one.id), 0)

    def now(what: str) -> int:
        return in_all.get(TotalCount(what, one.id), 0)

    return MemberFigures(
        member=one.id,
        name=one.name,
        suspended=one.status is MemberStatus.SUSPENDED,
        added=of(Figure.ADDED),
        active=now(status(Status.ACTIVE)),
        timed=of(Figure.TIMED),
        in_hour=of(Figure.IN_HOUR),
        queries=of(Figure.QUERIES),
        hits=of(Figure.HITS),
        precision=Precision.of(
            {
                **{Judgement(each): now(standing(each)) for each in Standing if each is not Standing.QUARANTINED},
                Judgement(Standing.UNREVIEWED, upheld=True): upheld,
                Judgement(Standing.QUARANTINED): now(standing(Standing.QUARANTINED)) - waiting,
            }
        ),
    )


def _everyone(tx: Transaction) -> list[Member]:
    found: list[Member] = []
    while page := tx.members.page(found[-1].id if found else 0, 1_000):
        found += page
    return found


def _health(db: HashDB, tx: Transaction) -> Health:
    head, kept, live = tx.audit.head(), tx.checkpoints.last(), db.index.head
    values = {str(algorithm): len(db.index.index(algorithm)) for algorithm in db.rules.algorithms}
    return Health(
        seq=head.seq,
        at=head.at,
        index_seq=None if live is None else live.seq,
        values=values,
        signed=0 if kept is None else kept.size,
        signed_at=None if kept is None else kept.at,
    )


def _sum(in_all: Mapping[TotalCount, int], what: str) -> int:
    return sum(times for key, times in in_all.items() if key.what == what)
