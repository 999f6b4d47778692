"""Overviews: the figures of the console's first page, which a background task updates from the log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta

from hashdb.domain.accounts.members import Actor, Member, MemberStatus, Scope
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.listings import read_all
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
    changed_contributions,
    deltas,
    query_figures,
    sealed_days,
    shared_within,
    standing_figure,
    status_figure,
)
from hashdb.domain.stats.reports import Judgement, Precision
from hashdb.service import HashDB
from hashdb.store import Transaction

BLOCK = 2_000
"""Events counted in one transaction; a page itself counts at most that many newer ones."""
_DAY = timedelta(days=1)
EXPIRING = timedelta(days=7)
"""How far ahead expiries are counted, and how far back suspected keys."""
_DUE_SOON = timedelta(hours=24)
"""How long before its due time a case is counted as due soon."""
_PERIOD_FIGURES = (Figure.ADDED, Figure.TIMED, Figure.IN_HOUR, Figure.QUERIES, Figure.HITS)
"""The figures of a member that are counted by day, and so for any period."""


def follow(db: HashDB) -> int:
    """Add at most `BLOCK` new events to the figures; return how many: call again while that is `BLOCK`."""
    with db.store.read() as tx:
        after = tx.overviews.last_seq()
        counted, events = _next_deltas(tx, after)
    if events:
        with db.store.begin() as tx:
            tx.overviews.add(counted, after)
    return events


def get(db: HashDB, actor: Actor, days: int) -> Overview:
    """The figures of the service and of the last `days`, including today (UTC)."""
    now = db.now()
    since = now.date() - (days - 1) * _DAY
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        counted, in_all = _count(tx, since)
        by_day = tx.overviews.by_day(since)
        for key, times in counted.by_day.items():
            if key.member == EVERYONE:
                by_day.setdefault(key.day, Counter())[key.what] += times
        return Overview(
            seq=counted.seq,
            behind=tx.audit.head().seq - counted.seq,
            statuses={status: _sum(in_all, status_figure(status)) for status in Status},
            standings={standing: _sum(in_all, standing_figure(standing)) for standing in Standing},
            new=tx.overviews.count_received(now - _DAY),
            expiring=tx.overviews.count_expiring(now, now + EXPIRING),
            suspected=tx.overviews.count_suspected_keys(now - EXPIRING),
            days=tuple(
                _day_figures(day, by_day.get(day, Counter())) for day in (since + n * _DAY for n in range(days))
            ),
            members=_members(tx, since, counted, in_all),
            waiting=tx.overviews.review_backlog(now, now + _DUE_SOON),
            health=_health(db, tx),
        )


def members(db: HashDB, actor: Actor, days: int) -> tuple[MemberFigures, ...]:
    """What each member did in the last `days`, the most active first, and the precision of its contributions."""
    since = db.now().date() - (days - 1) * _DAY
    with db.read(actor, Scope.AUDIT, Scope.REVIEW) as tx:
        return _members(tx, since, *_count(tx, since))


def _count(tx: Transaction, since: date) -> tuple[Deltas, Counter[TotalCount]]:
    """What the stored figures lack yet, and the totals with that.

    They lack new events, and the queries and hits of days from `since` on that are not sealed yet.
    """
    counted, _ = _next_deltas(tx, tx.overviews.last_seq())
    # Queries and hits of days that no counted event has sealed yet.
    last = max((seal.day for seal in tx.counts.seals() if seal.seq <= counted.seq), default=None)
    first = since if last is None else max(since, last + _DAY)
    for day, count in tx.counts.between(first, date.max):
        counted.by_day.update(query_figures(day, [count]))
    in_all = tx.overviews.totals()
    in_all.update(counted.in_all)
    return counted, in_all


def _next_deltas(tx: Transaction, after: int) -> tuple[Deltas, int]:
    """What the next events past `after` change, and how many events these are."""
    events = tx.audit.since(after, BLOCK)
    counts = {day_number: tx.counts.of_day(day_of(day_number)) for day_number in sealed_days(events)}
    return deltas(events, tx.contributions.contributors(changed_contributions(events)), after, counts), len(events)


def _day_figures(day: date, figures: Counter[str]) -> DayFigures:
    """The figures of a day: half of its contributions were shared within `half` seconds, 90 % within `most` seconds."""
    by_name = {str(figure): figures[figure] for figure in Figure if figure is not Figure.IN_DAY}
    return DayFigures(day, **by_name, half=shared_within(figures, 0.5), most=shared_within(figures, 0.9))


def _members(
    tx: Transaction, since: date, counted: Deltas, in_all: Mapping[TotalCount, int]
) -> tuple[MemberFigures, ...]:
    sums = tx.overviews.by_member(since, _PERIOD_FIGURES)
    for key, times in counted.by_day.items():
        if key.day >= since and key.member != EVERYONE:
            sums[TotalCount(key.what, key.member)] += times
    upheld, waiting = tx.overviews.count_upheld(), tx.overviews.count_quarantined()
    figures = [
        _figures(member, sums, in_all, upheld[member.id], waiting[member.id]) for member in read_all(tx.members.page)
    ]
    return tuple(sorted(figures, key=lambda member: (-member.added, -member.hits, member.name)))


def _figures(
    member: Member, sums: Mapping[TotalCount, int], in_all: Mapping[TotalCount, int], upheld: int, waiting: int
) -> MemberFigures:
    """The figures of a member.

    `sums` are the totals of the period, `in_all` those of all time. `upheld` contributions are not confirmed by a
    member; `waiting` ones are quarantined under a case under which nobody disputed.
    """

    def period(what: str) -> int:
        return sums.get(TotalCount(what, member.id), 0)

    def now(what: str) -> int:
        return in_all.get(TotalCount(what, member.id), 0)

    return MemberFigures(
        member=member.id,
        name=member.name,
        suspended=member.status is MemberStatus.SUSPENDED,
        active=now(status_figure(Status.ACTIVE)),
        **{str(figure): period(figure) for figure in _PERIOD_FIGURES},
        precision=Precision.from_judgements(
            {
                **{Judgement(standing): now(standing_figure(standing)) for standing in Standing},
                Judgement(Standing.UNREVIEWED, upheld=True): upheld,
                Judgement(Standing.QUARANTINED): now(standing_figure(Standing.QUARANTINED)) - waiting,
            }
        ),
    )


def _health(db: HashDB, tx: Transaction) -> Health:
    head, signed, index_head = tx.audit.head(), tx.checkpoints.last(), db.index.head
    values = {str(algorithm): len(db.index.index(algorithm)) for algorithm in db.rules.searched_algorithms}
    return Health(
        seq=head.seq,
        at=head.at,
        index_seq=None if index_head is None else index_head.seq,
        values=values,
        signed=0 if signed is None else signed.size,
        signed_at=None if signed is None else signed.at,
    )


def _sum(in_all: Mapping[TotalCount, int], what: str) -> int:
    return sum(times for key, times in in_all.items() if key.what == what)
