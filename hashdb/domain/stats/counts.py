"""Counts: what is counted by day, and the digest that seals a day."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

ANY = "any"
"""Where an algorithm stands in a count that is not of one."""


class Kind(StrEnum):
    """What is counted."""

    QUERY = "query"
    HIT = "hit"
    REFUSAL = "refusal"
    ACCESS = "access"
    FORM = "form"


class QueryOutcome(StrEnum):
    """How a query ended, and whose contribution a hit is on; refusals have codes of their own."""

    HIT = "hit"
    NONE = "none"
    OWN = "own"
    OTHERS = "others"


_OUTCOMES = {
    str(Kind.QUERY): (str(QueryOutcome.HIT), str(QueryOutcome.NONE)),
    str(Kind.HIT): (str(QueryOutcome.OWN), str(QueryOutcome.OTHERS)),
}


class Cell(NamedTuple):
    """What one number of a day is of. `member` is 0 where none is known."""

    kind: str
    member: int
    algorithm: str
    outcome: str


class Count(NamedTuple):
    """A number of a day."""

    cell: Cell
    times: int

    def __str__(self) -> str:
        """The line that is sealed: kind, member, algorithm, outcome, number."""
        return " ".join(map(str, (*self.cell, self.times)))


def faults(counts: Iterable[Count]) -> Iterator[str]:
    """What no service counts on a day that is not sealed yet: numbers that do not go with each other."""
    times: Counter[tuple[str, int, str, str]] = Counter()
    for cell, number in counts:
        if number < 1 or cell.kind not in tuple(Kind) or cell.outcome not in _OUTCOMES.get(cell.kind, (cell.outcome,)):
            yield f"no service counts “{cell.kind} {cell.member} {cell.algorithm} {cell.outcome}”"
            return
        times[cell.kind, cell.member, cell.algorithm, cell.outcome] += number
        times[cell.kind, cell.member, cell.algorithm, ""] += number
    for (kind, member, algorithm, outcome), number in times.items():
        # What an algorithm found is part of what was found, and what it was asked is part of what was asked.
        if kind in _OUTCOMES and outcome != QueryOutcome.NONE and number > times[kind, member, ANY, outcome]:
            yield f"member {member} has more of {kind} {algorithm} {outcome or 'in all'} than of any algorithm"
    for (kind, member, algorithm, outcome), number in times.items():
        found = (kind, algorithm, outcome) == (Kind.QUERY, ANY, QueryOutcome.HIT)
        if found and number > times[Kind.HIT, member, ANY, ""]:
            yield f"member {member} has more queries that hit than hits"


def lines(counts: Iterable[Count]) -> tuple[str, ...]:
    """The counts of a day as they are sealed, sorted by their octets."""
    return tuple(sorted(map(str, counts), key=str.encode))


def digest(day: date, counts: Iterable[Count]) -> str:
    r"""SHA-256, in hex, of the day and the lines of its counts, each ended by a line feed.

    >>> digest(date(2026, 11, 20), [])  # as of `printf '2026-11-20\n' | sha256sum`
    'e14baceb738f3d782569898574d78b3cf6300a9aea770c870b50939b31f7a4fa'
    """
    text = "".join(f"{line}\n" for line in (day.isoformat(), *lines(counts)))
    return hashlib.sha256(text.encode()).hexdigest()


def number_of(day: date) -> int:
    """A day as the number of a subject: 20261120."""
    return day.year * 10_000 + day.month * 100 + day.day


def day_of(number: int) -> date:
    """The inverse of `number_of`. Raises ValueError."""
    return date(number // 10_000, number // 100 % 100, number % 100)


class Reason(StrEnum):
    """Why nothing was opened: there was no key that is valid, or not for this."""

    NO_KEY = "no-key"
    UNKNOWN_KEY = "unknown-key"
    EXPIRED_KEY = "expired-key"
    REVOKED_KEY = "revoked-key"
    SCOPE_MISSING = "scope-missing"
    MEMBER_SUSPENDED = "member-suspended"
    FORM_REFUSED = "form-refused"
    UNKNOWN_USER = "unknown-user"


class MatchLog(StrEnum):
    """What is kept of matches: which contributions were answered to whom, or numbers only."""

    HITS = "hits"
    COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class Hit:
    """That a contribution was answered to a member on a day: from when to when, and how often.

    `seq` is the number of the log with which the first answer was level: what ended the contribution came after it.
    `distance` has the nearest of each algorithm in the first answer, in bits; nothing tells what was asked.
    """

    day: date
    member: int
    contribution: int
    first_at: datetime
    last_at: datetime
    seq: int
    times: int
    distance: Mapping[str, int]

    def joined(self, later: Hit) -> Hit:
        """This one and a later one of the same day, as one."""
        return replace(
            self,
            first_at=min(self.first_at, later.first_at),
            last_at=max(self.last_at, later.last_at),
            seq=min(self.seq, later.seq),
            times=self.times + later.times,
        )


def in_open_days(found: Iterable[Hit], closed: date, opened: date) -> list[Hit]:
    """Hits as they are written: those of days up to `closed` at the first moment of the day `opened`, as one."""
    at, hits = datetime.combine(opened, time.min, UTC), dict[tuple[date, int, int], Hit]()
    for hit in sorted(found, key=lambda hit: hit.day):
        one = replace(hit, day=opened, first_at=at, last_at=at) if hit.day <= closed else hit
        key = one.day, one.member, one.contribution
        hits[key] = hits[key].joined(one) if key in hits else one
    return list(hits.values())


SETTLED = timedelta(seconds=3)
"""How old an event is before what was answered until then is surely written down (`counts.flush` does each second)."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """The event `seq`, after which a contribution that had been answered to a member is no match any more.

    `now` is what it is at the time of reading: `withdrawn`, `quarantined` or `retired`.
    """

    seq: int
    contribution: int
    now: str
    reason: str | None
    at: datetime


MOST = 1_000
"""Changes that are counted of what a reader has not been given; more are `more`."""


@dataclass(frozen=True, slots=True)
class Use:
    """When a key was last used, to the minute; with which event of the log the feed made its reader level, and when."""

    key: int
    used_at: datetime
    fed_at: datetime | None = None
    fed_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """What the feed has for a reader that it has not given yet: how many changes (at most `MOST`), the oldest since."""

    changes: int
    since: datetime | None

    @property
    def more(self) -> bool:
        """Whether there are more than are counted."""
        return self.changes >= MOST


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What is known of a key's use; `lag` where it has read the feed."""

    use: Use
    member: int
    lag: Lag | None
