"""Counts: what was counted is written down each second, and sealed by an event when its day is over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from hashdb.domain.accounts.members import SYSTEM, Actor, Scope
from hashdb.domain.ledger.events import Action, Details, Entry
from hashdb.domain.stats import counts as hits
from hashdb.domain.stats.counts import (
    ANY,
    Cell,
    Count,
    Kind,
    MatchLog,
    QueryOutcome,
    Reversal,
    digest,
    faults,
    in_open_days,
    number_of,
)
from hashdb.service import HashDB
from hashdb.service.stats import refusals
from hashdb.service.stats.buffer import Tally
from hashdb.store import Transaction
from hashdb.store.stats.counts import Seal

_DAY = timedelta(days=1)
_MOST = 20
"""Rows of hits that are told, the first."""
_GRACE = timedelta(minutes=1)
"""After midnight, for what the workers counted in the last second of the day."""
SETTLED = 2 * _GRACE
"""After midnight: by then what a worker was about to write is written."""


@dataclass(frozen=True, slots=True)
class DayCounts:
    """The counts of a day, and the event that sealed them, if one has."""

    day: date
    counts: tuple[Count, ...]
    seal: Seal | None


def flush(db: HashDB) -> bool:
    """Make durable what this process has counted, and tell the log of refusals when that is due; whether it did.

    What cannot be written now is kept, and written with the next. Raises StoreBusy.
    """
    with db.stats.writing:
        tally, spent = db.stats.take(), db.budgets.unwritten()
        if not tally and not spent:
            with db.store.read() as tx:
                now = db.now()
                db.budgets.level((), tx.budgets.used(now), now)
            return refusals.log_anonymous(db)
        with db.store.read() as tx:
            contributors = tx.hits.contributors({contribution for _, _, contribution in tally.hits})
        with db.store.begin() as tx:
            tx.counts.hold()
            now = db.now()
            closed = _closed(tx, now)
            opened = max(now.date(), closed + _DAY)
            for day, numbers in _in_open_days(_with_hits(tally, contributors), closed, opened).items():
                tx.counts.add(day, numbers)
            if db.match_log is MatchLog.HITS:
                tx.hits.add(in_open_days(tally.found(), closed, opened))
                if db.rules.flood_cap is not None:
                    tx.floods.add(tally.recent(), now)
            refusals.write(tx, tally, now)
            tx.budgets.add(spent, now)
            known = tx.budgets.used(now)
        db.stats.written()
        db.budgets.level(spent, known, now)
        return True


def seal(db: HashDB) -> bool:
    """Seal the days that are over and are not yet sealed; whether there were any. Whichever process comes first does.

    Days on which nobody was there to seal are sealed by the next that comes. Raises StoreBusy.
    """
    today = (db.now() - _GRACE).date()
    with db.store.read() as tx:
        if not _unsealed(tx, today):
            return False
    with db.store.begin() as tx:
        tx.counts.hold()
        now, entries = db.now(), []
        for day in _unsealed(tx, today):
            counts = tx.counts.of(day)
            details: Details = {"digest": digest(day, counts), "lines": len(counts)}
            entries.append(Entry(Action.COUNTS_SEALED, "day", number_of(day), details))
        tx.audit.append(now, SYSTEM, entries)
    return bool(entries)


def get(db: HashDB, actor: Actor, day: date) -> DayCounts:
    """What was counted on a day, as it is now."""
    actor.require(Scope.AUDIT)
    with db.store.read() as tx:
        sealed = next((one for one in tx.counts.seals() if one.day == day), None)
        return DayCounts(day, tx.counts.of(day), sealed)


def unlike_sealed(tx: Transaction) -> Iterator[tuple[int | None, str]]:
    """What does not hold of the counts: the event that sealed other ones, and a sentence."""
    try:
        yield from _unlike_sealed(tx)
    except (TypeError, ValueError):
        # SQLite keeps whatever somebody writes into a column.
        yield None, "the counts hold what is no day or no number"


def _unlike_sealed(tx: Transaction) -> Iterator[tuple[int | None, str]]:
    seals = tx.counts.seals()
    for one in seals:
        if digest(one.day, tx.counts.of(one.day)) != one.digest:
            yield one.seq, f"the counts of {one.day} are not those that it sealed"
    last, sealed = tx.counts.last_sealed(), {one.day for one in seals}
    for day in tx.counts.days(last) if last is not None else ():
        if day not in sealed:
            yield None, f"there are counts of {day}, which no event sealed, though a later day is sealed"
    if (newest := tx.counts.newest()) is not None:
        for day in (one for one in (*tx.counts.days(newest), newest) if last is None or one > last):
            yield from ((None, f"the counts of {day}: {reason}") for reason in faults(tx.counts.of(day)))
    yield from _unlike_counted(tx)


def _unlike_counted(tx: Transaction) -> Iterator[tuple[None, str]]:
    """Hits that were not counted when they were written, or that no service writes."""
    for day, member, kept, counted in tx.counts.hits_uncounted(_MOST):
        yield None, f"the hits of member {member} on {day}: the table hits has {kept:,}, only {counted:,} were counted"
    for contribution, member, day in tx.counts.hits_astray(tx.audit.head().seq, _MOST):
        yield None, f"the hit of contribution {contribution} by member {member} on {day}: no service writes such a row"


def _unsealed(tx: Transaction, today: date) -> tuple[date, ...]:
    last = tx.counts.last_sealed()
    return tuple(day for day in tx.counts.days(today) if last is None or day > last)


def _with_hits(tally: Tally, contributors: Mapping[int, int]) -> dict[date, Counter[Cell]]:
    """All numbers, with those of hits on the member's own contributions and on others'."""
    numbers = tally.numbers()
    for (day, member, contribution), seen in tally.hits.items():
        whose = QueryOutcome.OWN if contributors.get(contribution) == member else QueryOutcome.OTHERS
        for algorithm, times in ((ANY, seen.times), *seen.algorithms.items()):
            numbers[day][Cell(Kind.HIT, member, algorithm, whose)] += times
    return numbers


def _closed(tx: Transaction, now: datetime) -> date:
    """The last day to which nothing is added any more: it is sealed, or over, with counts or without."""
    over, sealed = (now - _GRACE).date() - _DAY, tx.counts.last_sealed()
    return over if sealed is None else max(over, sealed)


def _in_open_days(numbers: Mapping[date, Counter[Cell]], closed: date, opened: date) -> dict[date, Counter[Cell]]:
    """What was counted on a day up to `closed` counts on the day `opened`."""
    found: dict[date, Counter[Cell]] = {}
    for day, cells in numbers.items():
        found.setdefault(opened if day <= closed else day, Counter()).update(cells)
    return dict(sorted(found.items()))


def reversals(db: HashDB, actor: Actor, after: int, limit: int) -> tuple[Reversal, ...]:
    """At most `limit` reversals above a number, in order, of events that are settled.

    There are none where hits are not kept.
    """
    member = actor.require_member(Scope.MATCH)
    # What this process has answered and not yet written down counts as well.
    flush(db)
    with db.store.read() as tx:
        return tx.reversals.of(member.id, after, settled(db, tx), limit)


def settled(db: HashDB, tx: Transaction) -> int:
    """The number of the last event whose matches before it are written down by now, of whichever process.

    Who is told of an event above it goes on after that one, and is never told of what is written down later.
    """
    head, until = tx.audit.head(), db.now() - hits.SETTLED
    return head.seq if head.at <= until else tx.audit.before(until)
