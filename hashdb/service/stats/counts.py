"""Counts: stored each second, sealed by an event when their day is over, and verified against the seals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Details, LogEntry
from hashdb.domain.stats.counts import (
    ANY_ALGORITHM,
    SETTLED_AGE,
    Cell,
    Count,
    CountKind,
    MatchLog,
    QueryOutcome,
    Reversal,
    count_faults,
    digest,
    in_open_days,
    number_of_day,
)
from hashdb.service import HashDB
from hashdb.service.stats import refusals
from hashdb.service.stats.buffer import Tally
from hashdb.store import Transaction
from hashdb.store.stats.counts import Seal

_DAY = timedelta(days=1)
_MOST_WRONG = 20
"""The most wrong rows of hits that are reported: the first ones."""
_GRACE = timedelta(minutes=1)
"""The time from midnight until the day is sealed: the workers store what they counted in its last second."""
FINAL_AFTER = 2 * _GRACE
"""The time from the end of a day until each worker has surely stored its counts of the day."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """The counts of a day, and the event that sealed them (None: not sealed)."""

    day: date
    counts: tuple[Count, ...]
    seal: Seal | None


def flush(db: HashDB) -> bool:
    """Store what this process has counted and what its keys have spent, and log refusals when that is due.

    Returns whether it wrote anything. If it cannot store them now, it keeps them for the next call. Raises StoreBusy.
    """
    with db.stats.writing:
        tally, spent = db.stats.take(), db.budgets.unwritten()
        if not tally and not spent:
            with db.store.read() as tx:
                now = db.now()
                db.budgets.synchronise((), tx.budgets.used(now), now)
            return refusals.log_anonymous(db)
        with db.store.read() as tx:
            contributors = tx.contributions.contributors({contribution for _, _, contribution in tally.hits})
        with db.store.begin() as tx:
            tx.counts.lock()
            now = db.now()
            # Counts of days up to `closed` arrive too late: they are added to the day `opened`.
            closed = _last_closed(tx, now)
            opened = max(now.date(), closed + _DAY)
            for day, numbers in _move_closed_days(_with_hits(tally, contributors), closed, opened).items():
                tx.counts.add(day, numbers)
            if db.match_log is MatchLog.HITS:
                tx.hits.add(in_open_days(tally.daily_hits(), closed, opened))
                if db.rules.flood_cap is not None:
                    tx.floods.add(tally.hits_by_step(), now)
            refusals.write(tx, tally, now)
            tx.budgets.add(spent, now)
            used = tx.budgets.used(now)
        db.stats.mark_stored()
        db.budgets.synchronise(spent, used, now)
        return True


def seal(db: HashDB) -> bool:
    """Seal the days that are over and not yet sealed; return whether there were any.

    The first process that notices it does so. If none ran for days, it seals all of them. Raises StoreBusy.
    """
    today = (db.now() - _GRACE).date()
    with db.store.read() as tx:
        if not _unsealed(tx, today):
            return False
    with db.store.begin() as tx:
        tx.counts.lock()
        now, entries = db.now(), []
        for day in _unsealed(tx, today):
            counts = tx.counts.of_day(day)
            details: Details = {"digest": digest(day, counts), "lines": len(counts)}
            entries.append(LogEntry(Action.COUNTS_SEALED, "day", number_of_day(day), details))
        tx.audit.append(now, SYSTEM, entries)
    return bool(entries)


def get(db: HashDB, actor: Actor, day: date) -> DayCounts:
    """The counts of a day, as they are now."""
    with db.read(actor, Scope.AUDIT) as tx:
        seal = next((seal for seal in tx.counts.seals() if seal.day == day), None)
        return DayCounts(day, tx.counts.of_day(day), seal)


def wrong_counts(tx: Transaction) -> Iterator[tuple[int | None, str]]:
    """The faults of the counts: the seq of the event that sealed other counts (None: no event), and a sentence."""
    try:
        yield from _wrong_sealed_counts(tx)
    except (TypeError, ValueError):
        # SQLite stores any type in a column.
        yield None, "the counts contain an invalid day or number"


def _wrong_sealed_counts(tx: Transaction) -> Iterator[tuple[int | None, str]]:
    seals = tx.counts.seals()
    for seal in seals:
        if digest(seal.day, tx.counts.of_day(seal.day)) != seal.digest:
            yield seal.seq, f"the counts of {seal.day} differ from the sealed counts"
    last, sealed = tx.counts.last_sealed(), {seal.day for seal in seals}
    for day in tx.counts.days(last) if last is not None else ():
        if day not in sealed:
            yield None, f"the counts of {day} are not sealed, although a later day is"
    if (newest := tx.counts.last_day()) is not None:
        for day in (day for day in (*tx.counts.days(newest), newest) if last is None or day > last):
            yield from ((None, f"the counts of {day}: {reason}") for reason in count_faults(tx.counts.of_day(day)))
    yield from _wrong_hits(tx)


def _wrong_hits(tx: Transaction) -> Iterator[tuple[None, str]]:
    """The faults of the hits: there are more than were counted, or rows that no service stores."""
    for day, member, stored, counted in tx.counts.uncounted_hits(_MOST_WRONG):
        hits = f"the table hits has {stored}, only {counted} were counted"
        yield None, f"the hits of member {member} on {day}: {hits}"
    for contribution, member, day in tx.counts.invalid_hits(tx.audit.head().seq, _MOST_WRONG):
        yield None, f"the hit of contribution {contribution} by member {member} on {day}; the row is not valid"


def _unsealed(tx: Transaction, today: date) -> tuple[date, ...]:
    last = tx.counts.last_sealed()
    return tuple(day for day in tx.counts.days(today) if last is None or day > last)


def _with_hits(tally: Tally, contributors: Mapping[int, int]) -> dict[date, Counter[Cell]]:
    """The numbers of a tally, with the hits on the member's own contributions and on others'."""
    numbers = tally.counts_by_day()
    for (day, member, contribution), totals in tally.hits.items():
        whose = QueryOutcome.OWN if contributors.get(contribution) == member else QueryOutcome.OTHERS
        for algorithm, times in ((ANY_ALGORITHM, totals.times), *totals.algorithms.items()):
            numbers[day][Cell(CountKind.HIT, member, algorithm, whose)] += times
    return numbers


def _last_closed(tx: Transaction, now: datetime) -> date:
    """The last day to which nothing is added any more: the last one that is over or sealed."""
    last_over, last_sealed = (now - _GRACE).date() - _DAY, tx.counts.last_sealed()
    return last_over if last_sealed is None else max(last_over, last_sealed)


def _move_closed_days(numbers: Mapping[date, Counter[Cell]], closed: date, opened: date) -> dict[date, Counter[Cell]]:
    """The numbers; those of days up to `closed` count on the day `opened`."""
    moved: dict[date, Counter[Cell]] = {}
    for day, cells in numbers.items():
        moved.setdefault(opened if day <= closed else day, Counter()).update(cells)
    return dict(sorted(moved.items()))


def reversals(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Reversal, ...]:
    """At most `limit` reversals with seqs above `after`, in order, up to `seq_with_all_hits`.

    There are none if hits are not stored.
    """
    member = actor.require_member(Scope.MATCH)
    # Store what this process has answered first, so that its reversals are among them.
    flush(db)
    with db.store.read() as tx:
        return tx.hits.reversals(member.id, after, seq_with_all_hits(db, tx))[:limit]


def seq_with_all_hits(db: HashDB, tx: Transaction) -> int:
    """The seq of the last event before which each process has stored its matches.

    A reversal concerns a member only if its match is stored. A reader that got a later event would continue after that
    one, and miss a reversal whose match is stored afterwards.
    """
    head, until = tx.audit.head(), db.now() - SETTLED_AGE
    return head.seq if head.at <= until else tx.audit.seq_before(until)
