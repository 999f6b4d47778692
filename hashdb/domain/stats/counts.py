"""Counts, hits and uses: what the service counts by day, and the digest that seals a day."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple

ANY_ALGORITHM = "any"
"""The algorithm of a count over all algorithms."""


class CountKind(StrEnum):
    """What is counted: queries, hits, refused contributions, refused access, and refused forms of the console."""

    QUERY = "query"
    HIT = "hit"
    REFUSAL = "refusal"
    ACCESS = "access"
    FORM = "form"


class QueryOutcome(StrEnum):
    """The outcome of a query (`hit`, `none`), and the contributor of a hit (`own`, `others`).

    Refusals have their own codes.
    """

    HIT = "hit"
    NONE = "none"
    OWN = "own"
    OTHERS = "others"


_OUTCOMES = {
    str(CountKind.QUERY): (str(QueryOutcome.HIT), str(QueryOutcome.NONE)),
    str(CountKind.HIT): (str(QueryOutcome.OWN), str(QueryOutcome.OTHERS)),
}


class Cell(NamedTuple):
    """What a count of a day is about. `kind` is a `CountKind`, `outcome` depends on it. `member` is 0 if unknown."""

    kind: str
    member: int
    algorithm: str
    outcome: str


class Count(NamedTuple):
    """A count of a day."""

    cell: Cell
    times: int

    def __str__(self) -> str:
        """The line of the digest: kind, member, algorithm, outcome, number."""
        return " ".join(map(str, (*self.cell, self.times)))


def count_faults(counts: Iterable[Count]) -> Iterator[str]:
    """What is inconsistent in the counts of a day that is not sealed yet, as sentences."""
    times: Counter[Cell] = Counter()
    for cell, number in counts:
        if (
            number < 1
            or cell.kind not in tuple(CountKind)
            or cell.outcome not in _OUTCOMES.get(cell.kind, (cell.outcome,))
        ):
            yield f"“{cell.kind} {cell.member} {cell.algorithm} {cell.outcome}” is not a valid count"
            return
        times[cell] += number
        # The empty outcome stands for all of them.
        times[cell._replace(outcome="")] += number
    for cell, number in times.items():
        # The counts of an algorithm are part of the counts of all algorithms.
        of_all = times[cell._replace(algorithm=ANY_ALGORITHM)]
        if cell.kind in _OUTCOMES and cell.outcome != QueryOutcome.NONE and number > of_all:
            what = f"{cell.kind} {cell.algorithm} {cell.outcome or 'in all'}"
            yield f"member {cell.member} has more of {what} than of all algorithms together"
    for cell, number in times.items():
        is_of_hits = cell == Cell(CountKind.QUERY, cell.member, ANY_ALGORITHM, QueryOutcome.HIT)
        if is_of_hits and number > times[Cell(CountKind.HIT, cell.member, ANY_ALGORITHM, "")]:
            yield f"member {cell.member} has more queries that hit than hits"


def lines(counts: Iterable[Count]) -> tuple[str, ...]:
    """The lines of the counts of a day, sorted by their octets."""
    return tuple(sorted(map(str, counts), key=str.encode))


def digest(day: date, counts: Iterable[Count]) -> str:
    r"""The SHA-256, in hex, of the day and the lines of its counts, each ended by a line feed.

    >>> digest(date(2026, 11, 20), [])  # as of `printf '2026-11-20\n' | sha256sum`
    'e14baceb738f3d782569898574d78b3cf6300a9aea770c870b50939b31f7a4fa'
    """
    text = "".join(f"{line}\n" for line in (day.isoformat(), *lines(counts)))
    return hashlib.sha256(text.encode()).hexdigest()


def number_of_day(day: date) -> int:
    """The id of a day as the subject of an event: 20261120."""
    return day.year * 10_000 + day.month * 100 + day.day


def day_of(number: int) -> date:
    """The inverse of `number_of_day`. Raises ValueError."""
    return date(number // 10_000, number // 100 % 100, number % 100)


class AccessRefusal(StrEnum):
    """Why access was refused (`CountKind.ACCESS`): there was no valid key, scope, user or form."""

    NO_KEY = "no-key"
    UNKNOWN_KEY = "unknown-key"
    EXPIRED_KEY = "expired-key"
    REVOKED_KEY = "revoked-key"
    SCOPE_MISSING = "scope-missing"
    MEMBER_SUSPENDED = "member-suspended"
    FORM_REFUSED = "form-refused"
    UNKNOWN_USER = "unknown-user"


class MatchLog(StrEnum):
    """What the service keeps of matches: hits by contribution and member, or counts only."""

    HITS = "hits"
    COUNTS = "counts"


@dataclass(frozen=True, slots=True)
class Hit:
    """The matches of a contribution that a member received on a day: the first and last time, and how often.

    `seq` is the seq of the first answer: an event that ended the contribution came after it. `distance` has the nearest
    distance of each algorithm in the first answer, in bits. The query is not stored.
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
        """This hit and a later one of the same day, joined."""
        return replace(
            self,
            first_at=min(self.first_at, later.first_at),
            last_at=max(self.last_at, later.last_at),
            seq=min(self.seq, later.seq),
            times=self.times + later.times,
        )


def in_open_days(hits: Iterable[Hit], closed: date, opened: date) -> list[Hit]:
    """Hits as the service stores them: hits of days that are sealed already count on the first day that is not.

    Those up to the day `closed` (the last sealed one) move to the start of the day `opened`, and equal ones are joined.
    """
    start, joined = datetime.combine(opened, time.min, UTC), dict[tuple[date, int, int], Hit]()
    for hit in sorted(hits, key=lambda hit: hit.day):
        moved = replace(hit, day=opened, first_at=start, last_at=start) if hit.day <= closed else hit
        key = moved.day, moved.member, moved.contribution
        joined[key] = joined[key].joined(moved) if key in joined else moved
    return list(joined.values())


SETTLED_AGE = timedelta(seconds=3)
"""The age of an event at which all earlier hits are surely stored (`counts.flush` runs each second)."""


@dataclass(frozen=True, slots=True)
class Reversal:
    """The event `seq`, since which a contribution that a member received as a match no longer matches.

    `now` is its state at the time of reading: `withdrawn`, `quarantined` or `retired`.
    """

    seq: int
    contribution: int
    now: str
    reason: str | None
    at: datetime


MAX_LAG = 1_000
"""The most changes that are counted of a reader's lag."""


@dataclass(frozen=True, slots=True)
class Use:
    """The last use of a key, to the minute, and the seq and time up to which its reader read the feed."""

    key: int
    used_at: datetime
    fed_at: datetime | None = None
    fed_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Lag:
    """The changes of the feed that a reader has not read: how many (at most `MAX_LAG`), and since when."""

    changes: int
    since: datetime | None

    @property
    def more(self) -> bool:
        """Whether there may be more than were counted."""
        return self.changes >= MAX_LAG


@dataclass(frozen=True, slots=True)
class KeyUse:
    """The use of a key of a member, with `lag` if it has read the feed."""

    last_use: Use
    member: int
    lag: Lag | None
