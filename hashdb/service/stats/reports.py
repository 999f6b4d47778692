"""Reports: the figures of a period, from the events, the sealed counts and the hits; at once or as a job."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import partial

from hashdb.domain.accounts.members import Actor, Member, Scope
from hashdb.domain.jobs import JobOutcome as Ended
from hashdb.domain.jobs import ReportJob
from hashdb.domain.ledger.events import Action, Details, Entry, Event
from hashdb.domain.stats.counts import ANY, Count, Kind, QueryOutcome, number_of
from hashdb.domain.stats.replays import Replay
from hashdb.domain.stats.reports import DayReport, QueryFigures, Report
from hashdb.domain.times import Period
from hashdb.errors import Fault, InvalidInput
from hashdb.service import HashDB, jobs
from hashdb.service.background import Task
from hashdb.service.jobs import Progress, TooLongError
from hashdb.service.stats import counts
from hashdb.store import Transaction

KEPT = 50
"""Jobs whose reports are kept; a report can be made again."""
_BLOCK = 8_192
_AT_ONCE = 0.4
"""Seconds that a request waits for a report: that of a small log is made by then."""

Encode = Callable[[Report], str]


def transparency(
    db: HashDB, actor: Actor, first: date | None, last: date | None, *, form: str, member: int | None = None
) -> Report:
    """The figures from the first day to the last; by default from the log's beginning to today.

    `member` tells of one member alone: of its contributions, and of what it asked. `form` is noted in the event, which
    is written for every report. Raises InvalidInput, NotFound (of the member).
    """
    actor.require(Scope.AUDIT)
    counts.flush(db)
    with db.store.read() as tx:
        days = period_report(db, tx, first, last)
        if member is not None:
            tx.members.get(member)
        report = _report(db, tx, days, member)
    note(db, actor, days, member, form)
    return report


def start(
    db: HashDB, actor: Actor, first: date | None, last: date | None, member: int | None, encode: Encode
) -> ReportJob:
    """Start a job that makes a report and keeps it as the text that `encode` returns.

    By default it is from the log's beginning to today. While another report is made, that job is returned: `asks` says
    which one it is. Raises InvalidInput, NotFound (of the member).
    """
    actor.require(Scope.AUDIT)
    counts.flush(db)
    with db.store.read() as tx:
        days = period_report(db, tx, first, last)
        if member is not None:
            tx.members.get(member)

    def add(tx: Transaction) -> ReportJob:
        added = tx.report_jobs.add(str(actor), days, member, tx.audit.head().seq, db.now())
        tx.report_jobs.keep(KEPT)
        return added

    make = partial(_make, db, actor, encode)
    return jobs.start(db, Task.REPORT, lambda tx: tx.report_jobs, add, make, wait=_AT_ONCE)


def latest(db: HashDB, actor: Actor, limit: int = 20) -> tuple[ReportJob, ...]:
    """The last jobs, the last first."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.report_jobs.latest(limit)


def get(db: HashDB, actor: Actor, id: int) -> ReportJob:
    """One of the jobs. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        return tx.report_jobs.one(id)


def text(db: HashDB, actor: Actor, id: int, form: str | None = None) -> str:
    """The report of a job as it was encoded. With the `form` of a download, an event is written. Raises NotFound."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        found, encoded = tx.report_jobs.one(id), tx.report_jobs.text(id)
    if form is not None:
        note(db, actor, found.period, found.member, form)
    return encoded


def _make(db: HashDB, actor: Actor, encode: Encode, begun: ReportJob, progress: Progress) -> None:
    outcome, encoded = Ended.STOPPED, None
    try:
        with db.store.read() as tx:
            report = _report(db, tx, begun.period, begun.member, progress.advance)
        outcome, encoded = Ended.MADE, encode(report)
    except TooLongError:
        pass
    except Exception as error:
        db.background.failed(Task.REPORT, error)
    with db.store.begin() as tx:
        tx.report_jobs.end(begun.id, outcome, progress.done, encoded, db.now())
    if encoded is not None:
        note(db, actor, begun.period, begun.member, "console")


def note(db: HashDB, actor: Actor, days: Period, member: int | None, form: str) -> None:
    """Tell the log that a report was made or taken away."""
    told = {"from": days.first.isoformat(), "to": days.last.isoformat(), "form": form}
    details: Details = told if member is None else {**told, "member": member}
    with db.store.begin() as tx:
        tx.audit.append(db.now(), actor, [Entry(Action.REPORT_EXPORTED, "report", number_of(days.last), details)])


def period_report(db: HashDB, tx: Transaction, first: date | None, last: date | None) -> Period:
    """The days that are asked for; by default from the log's beginning to today. Raises InvalidInput."""
    beginning = tx.audit.since(0, 1)
    last = last or db.now().date()
    first = first or min(last, beginning[0].at.date() if beginning else last)
    if last < first:
        raise InvalidInput((Fault("to", "is before from"),))
    return Period(first, last)


def _report(
    db: HashDB,
    tx: Transaction,
    period: Period,
    member: int | None,
    advance: Callable[[int], None] = lambda count: None,
) -> Report:
    firsts = _firsts(tx, period)
    replay = Replay(period, firsts, member)
    for event in _events(tx, period.end, advance):
        replay.take(event)
    numbers = list(tx.counts.between(period.first, period.last))
    sealed = {one.day for one in tx.counts.seals()}
    final = period.end <= db.now() - counts.SETTLED and {day for day, _ in numbers} <= sealed
    numbers = [(day, one) for day, one in numbers if member in (None, one.cell.member)]
    of_all = [one for _, one in numbers]
    return Report(
        period=period,
        member=member,
        size=replay.size,
        final=final,
        members={one.id: one.name for one in _members(tx)},
        contributions=replay.contributed(),
        to_remove=replay.times("seconds_to_remove"),
        to_share=replay.times("seconds_to_share"),
        asked={key: _asked(ones) for key, ones in _grouped(of_all, "algorithm").items()},
        asked_by=dict(sorted((int(key), _asked(ones)) for key, ones in _grouped(_of_any(of_all), "member").items())),
        caught=replay.caught(firsts),
        reviews=replay.reviews.reviewed(),
        precision=replay.precision(),
        refused=_by_outcome(of_all, Kind.REFUSAL),
        turned_away=_by_outcome(of_all, Kind.ACCESS),
        days=_days(replay.days, numbers),
    )


def _events(tx: Transaction, end: datetime, advance: Callable[[int], None]) -> Iterator[Event]:
    after = 0
    while block := tx.audit.since(after, _BLOCK):
        advance(len(block))
        for event in block:
            if event.at >= end:
                return
            yield event
        after = block[-1].seq


def _firsts(tx: Transaction, period: Period) -> Mapping[int, Mapping[int, datetime]]:
    found: dict[int, dict[int, datetime]] = defaultdict(dict)
    for contribution, member, at in tx.hits.firsts(period.end):
        found[contribution][member] = at
    return found


def _members(tx: Transaction) -> Iterator[Member]:
    after = 0
    while page := tx.members.page(after, 1000):
        yield from page
        after = page[-1].id


def _of_any(numbers: Iterable[Count]) -> list[Count]:
    return [one for one in numbers if one.cell.algorithm == ANY]


def _grouped(numbers: Iterable[Count], name: str) -> dict[str, list[Count]]:
    """The numbers of queries and hits, by a field."""
    groups: dict[str, list[Count]] = defaultdict(list)
    for one in numbers:
        if one.cell.kind in (Kind.QUERY, Kind.HIT):
            groups[str(getattr(one.cell, name))].append(one)
    return dict(sorted(groups.items()))


def _asked(numbers: Iterable[Count]) -> QueryFigures:
    sums: Counter[tuple[str, str]] = Counter()
    for one in numbers:
        sums[one.cell.kind, one.cell.outcome] += one.times
    return QueryFigures(
        hit=sums[Kind.QUERY, QueryOutcome.HIT],
        none=sums[Kind.QUERY, QueryOutcome.NONE],
        own=sums[Kind.HIT, QueryOutcome.OWN],
        others=sums[Kind.HIT, QueryOutcome.OTHERS],
    )


def _by_outcome(numbers: Iterable[Count], kind: Kind) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for one in numbers:
        if one.cell.kind == kind:
            sums[one.cell.outcome] += one.times
    return dict(sorted(sums.items()))


def _days(events: Mapping[tuple[date, str], int], numbers: Iterable[tuple[date, Count]]) -> dict[date, DayReport]:
    """What each day had, without the days that had nothing."""
    sums: Counter[tuple[date, str]] = Counter(events)
    for day, one in numbers:
        if one.cell.algorithm == ANY and one.cell.kind in (Kind.QUERY, Kind.HIT):
            sums[day, "queries" if one.cell.kind == Kind.QUERY else "hits"] += one.times
    days = sorted({day for day, _ in sums})
    return {
        day: DayReport(sums[day, "added"], sums[day, "withdrawn"], sums[day, "queries"], sums[day, "hits"])
        for day in days
    }
