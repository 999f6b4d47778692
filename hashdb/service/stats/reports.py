"""Reports: the figures of a period, from events, sealed counts and hits; made at once or by a job."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from functools import partial

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.jobs import JobOutcome, ReportJob
from hashdb.domain.ledger.events import Action, Details, Event, LogEntry
from hashdb.domain.listings import read_all
from hashdb.domain.stats.counts import ANY_ALGORITHM, Count, CountKind, QueryOutcome, number_of_day
from hashdb.domain.stats.replays import Replay
from hashdb.domain.stats.reports import DayReport, QueryFigures, Report
from hashdb.domain.times import Period
from hashdb.errors import reject_field
from hashdb.service import HashDB, jobs
from hashdb.service.background import Task
from hashdb.service.jobs import Progress, TooLongError
from hashdb.service.stats import counts
from hashdb.store import Transaction

KEPT = 50
"""How many jobs are kept with their reports: the newest ones. A report can be made again."""
_BLOCK = 8_192
"""Events that are read at a time."""
_AT_ONCE = 0.4
"""Seconds that a request waits for a job; the report of a small log is made by then."""

Encode = Callable[[Report], str]
"""Makes the text as which a job stores its report."""


def transparency(
    db: HashDB, actor: Actor, first: date | None, last: date | None, *, form: str, member: int | None = None
) -> Report:
    """The figures from the first day to the last; by default from the log's beginning to today.

    With `member`, only those of its contributions and queries. Each report is logged, with its `form`.
    Raises InvalidInput, NotFound (the member).
    """
    period = _checked_period(db, actor, first, last, member)
    with db.store.read() as tx:
        report = _report(db, tx, period, member)
    log_report(db, actor, period, member, form)
    return report


def start(
    db: HashDB, actor: Actor, first: date | None, last: date | None, member: int | None, encode: Encode
) -> ReportJob:
    """Start a job that makes a report and stores the text that `encode` returns.

    By default it is from the log's beginning to today. If a job already runs, that one is returned: its
    `is_for` says whether it makes the same report. Raises InvalidInput, NotFound (the member).
    """
    period = _checked_period(db, actor, first, last, member)

    def add(tx: Transaction) -> ReportJob:
        added = tx.report_jobs.add(str(actor), period, member, tx.audit.head().seq, db.now())
        tx.report_jobs.keep_newest(KEPT)
        return added

    make = partial(_make, db, actor, encode)
    return jobs.start(db, Task.REPORT, lambda tx: tx.report_jobs, add, make, wait=_AT_ONCE)


def latest(db: HashDB, actor: Actor, limit: int = 20) -> tuple[ReportJob, ...]:
    """The newest jobs, newest first."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.report_jobs.latest(limit)


def get(db: HashDB, actor: Actor, id: int) -> ReportJob:
    """One of the jobs. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        return tx.report_jobs.one(id)


def text(db: HashDB, actor: Actor, id: int, form: str | None = None) -> str:
    """The encoded report of a job. A download, whose `form` is given, is logged. Raises NotFound."""
    with db.read(actor, Scope.AUDIT) as tx:
        job, encoded = tx.report_jobs.one(id), tx.report_jobs.text(id)
    if form is not None:
        log_report(db, actor, job.period, job.member, form)
    return encoded


def _make(db: HashDB, actor: Actor, encode: Encode, job: ReportJob, progress: Progress) -> None:
    """Make the report of a job, store the outcome, and log the report."""
    outcome, encoded = JobOutcome.STOPPED, None
    try:
        with db.store.read() as tx:
            report = _report(db, tx, job.period, job.member, progress.advance)
        outcome, encoded = JobOutcome.MADE, encode(report)
    except TooLongError:
        pass
    except Exception as error:
        db.background.failed(Task.REPORT, error)
    with db.store.begin() as tx:
        tx.report_jobs.end(job.id, outcome, progress.done, encoded, db.now())
    if encoded is not None:
        log_report(db, actor, job.period, job.member, "console")


def log_report(db: HashDB, actor: Actor, period: Period, member: int | None, form: str) -> None:
    """Log that a report was made or downloaded."""
    details: Details = {"from": period.first.isoformat(), "to": period.last.isoformat(), "form": form}
    if member is not None:
        details = {**details, "member": member}
    entry = LogEntry(Action.REPORT_EXPORTED, "report", number_of_day(period.last), details)
    with db.store.begin() as tx:
        tx.audit.append(db.now(), actor, [entry])


def _checked_period(db: HashDB, actor: Actor, first: date | None, last: date | None, member: int | None) -> Period:
    """The period of a report, by default from the log's beginning to today.

    Raises InvalidInput, NotFound (the member).
    """
    actor.require(Scope.AUDIT)
    # So that the report includes what this process has counted.
    counts.flush(db)
    with db.store.read() as tx:
        beginning = tx.audit.since(0, 1)
        last = last or db.now().date()
        first = first or min(last, beginning[0].at.date() if beginning else last)
        reject_field("to", "must not be before from" if last < first else None)
        if member is not None:
            tx.members.get(member)
    return Period(first, last)


def _report(
    db: HashDB, tx: Transaction, period: Period, member: int | None, advance: Callable[[int], None] = lambda count: None
) -> Report:
    first_hits = _first_hits(tx, period)
    replay = Replay(period, first_hits, member)
    for event in _events(tx, period.end, advance):
        replay.add_event(event)
    numbers = list(tx.counts.between(period.first, period.last))
    sealed = {seal.day for seal in tx.counts.seals()}
    final = period.end <= db.now() - counts.FINAL_AFTER and {day for day, _ in numbers} <= sealed
    numbers = [(day, count) for day, count in numbers if member in (None, count.cell.member)]
    period_counts = [count for _, count in numbers]
    over_algorithms = [count for count in period_counts if count.cell.algorithm == ANY_ALGORITHM]
    return Report(
        period=period,
        member=member,
        size=replay.size,
        final=final,
        members={row.id: row.name for row in read_all(tx.members.page)},
        contributions=replay.contributed(),
        to_remove=replay.times("seconds_to_remove"),
        to_share=replay.times("seconds_to_share"),
        queries={key: _query_figures(group) for key, group in _grouped(period_counts, "algorithm").items()},
        queries_by_member=dict(
            sorted((int(key), _query_figures(group)) for key, group in _grouped(over_algorithms, "member").items())
        ),
        caught=replay.caught(first_hits),
        reviews=replay.reviews.reviewed(),
        deciders=replay.reviews.deciders() if member is None else {},
        precision=replay.precision(),
        refused=_by_outcome(period_counts, CountKind.REFUSAL),
        turned_away=_by_outcome(period_counts, CountKind.ACCESS),
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


def _first_hits(tx: Transaction, period: Period) -> Mapping[int, Mapping[int, datetime]]:
    """When each contribution was first answered to each member, before the end of the period."""
    firsts: dict[int, dict[int, datetime]] = defaultdict(dict)
    for contribution, member, at in tx.hits.first_hits(period.end):
        firsts[contribution][member] = at
    return firsts


def _grouped(numbers: Iterable[Count], name: str) -> dict[str, list[Count]]:
    """The counts of queries and hits, by a field of their cells."""
    groups: dict[str, list[Count]] = defaultdict(list)
    for count in numbers:
        if count.cell.kind in (CountKind.QUERY, CountKind.HIT):
            groups[str(getattr(count.cell, name))].append(count)
    return dict(sorted(groups.items()))


def _query_figures(numbers: Iterable[Count]) -> QueryFigures:
    sums: Counter[tuple[str, str]] = Counter()
    for count in numbers:
        sums[count.cell.kind, count.cell.outcome] += count.times
    return QueryFigures(
        hit=sums[CountKind.QUERY, QueryOutcome.HIT],
        none=sums[CountKind.QUERY, QueryOutcome.NONE],
        own=sums[CountKind.HIT, QueryOutcome.OWN],
        others=sums[CountKind.HIT, QueryOutcome.OTHERS],
    )


def _by_outcome(numbers: Iterable[Count], kind: CountKind) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for count in numbers:
        if count.cell.kind == kind:
            sums[count.cell.outcome] += count.times
    return dict(sorted(sums.items()))


def _days(events: Mapping[tuple[date, str], int], numbers: Iterable[tuple[date, Count]]) -> dict[date, DayReport]:
    """The figures of each day, without days that have none; `events` counts `added` and `withdrawn` contributions."""
    sums: Counter[tuple[date, str]] = Counter(events)
    for day, count in numbers:
        if count.cell.algorithm == ANY_ALGORITHM and count.cell.kind in (CountKind.QUERY, CountKind.HIT):
            sums[day, "queries" if count.cell.kind == CountKind.QUERY else "hits"] += count.times
    days = sorted({day for day, _ in sums})
    return {
        day: DayReport(sums[day, "added"], sums[day, "withdrawn"], sums[day, "queries"], sums[day, "hits"])
        for day in days
    }
