"""Counts: what is counted by day, and the digest that seals a day."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
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


class Outcome(StrEnum):
    """How a query ended, and whose contribution a hit is on; refusals have codes of their own."""

    HIT = "hit"
    NONE = "none"
    OWN = "own"
    OTHERS = "others"


_OUTCOMES = {
    str(Kind.QUERY): (str(Outcome.HIT), str(Outcome.NONE)),
    str(Kind.HIT): (str(Outcome.OWN), str(Outcome.OTHERS)),
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
        if kind in _OUTCOMES and outcome != Outcome.NONE and number > times[kind, member, ANY, outcome]:
            yield f"member {member} has more of {kind} {algorithm} {outcome or 'in all'} than of any algorithm"
    for (kind, member, algorithm, outcome), number in times.items():
        found = (kind, algorithm, outcome) == (Kind.QUERY, ANY, Outcome.HIT)
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
