"""Counts: what is counted by day, and the digest that seals a day."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
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
