"""Listing: which contributions to show in which order, and where a page of them ends."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Self

from hashdb.domain.contributions import Contribution, Filter


class Sort(StrEnum):
    """By what contributions are ordered; of equal ones, by their ids."""

    RECEIVED = "received"
    REMOVED = "removed"
    SEVERITY = "severity"


class Position(NamedTuple):
    """Where a page ended: the value that it is ordered by (microseconds, or a severity; None comes last), and the id.

    >>> Position.parse(str(Position(None, 17)))
    Position(key=None, id=17)
    """

    key: int | None
    id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position that `text` spells; `str()` is the inverse. Raises ValueError with a sentence."""
        key, dot, id = text.partition(".")
        digits = key.removeprefix("-")
        if not dot or not (digits == "" or _is_number(digits)) or not _is_number(id) or key == "-":
            raise ValueError("is not where a page of this list ended")
        return cls(int(key) if key else None, int(id))

    def __str__(self) -> str:
        return f"{'' if self.key is None else self.key}.{self.id}"


@dataclass(frozen=True, slots=True)
class Listing:
    """What is asked for: a filter and an order."""

    chosen: Filter = field(default_factory=Filter)
    sort: Sort = Sort.RECEIVED
    descending: bool = True


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of contributions. Go on after `next`, which is None at the end.

    `unfinished`: rather than look at millions, the search stopped before the page was full; there may be more.
    """

    contributions: tuple[Contribution, ...]
    next: Position | None = None
    unfinished: bool = False


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
