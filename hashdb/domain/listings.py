"""Lists: the request for one, its pages, and totals."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from hashdb.domain.contributions import Filter

_Row = TypeVar("_Row")
_PAGE = 1_000
"""Rows that `read_all` reads at once."""


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


_Numbered = TypeVar("_Numbered", bound=_HasId)


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows a list has; with `more`, it has at least `count`.

    >>> str(Total(6012)), str(Total(10_000, more=True))
    ('6012', 'at least 10000')
    """

    count: int
    more: bool = False

    def __str__(self) -> str:
        return f"at least {self.count}" if self.more else str(self.count)


class Position(NamedTuple):
    """The end of a page: the value of the sort field (microseconds or severity; None comes last) and the id.

    >>> Position.parse(str(Position(None, 17)))
    Position(key=None, id=17)
    """

    key: int | None
    id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position of a text; `str()` is the inverse. Raises ValueError with a sentence."""
        key, dot, id = text.partition(".")
        digits = key.removeprefix("-")
        if not dot or not (digits == "" or _is_number(digits)) or not _is_number(id) or key == "-":
            raise ValueError("is not where a page of this list ended")
        return cls(int(key) if key else None, int(id))

    def __str__(self) -> str:
        return f"{'' if self.key is None else self.key}.{self.id}"


class Place(NamedTuple):
    """Where a page is: after a position (None: at the start of the list), or with `back` before it."""

    position: Position | None = None
    back: bool = False


@dataclass(frozen=True, slots=True)
class Paged(Generic[_Row]):
    """A page of a list: its rows, and where the next page starts and the previous one ends (None: there is none).

    `unfinished` means that the search stopped before the page was full, to not read millions of rows. `total` is exact
    if few rows must be read for it.
    """

    rows: tuple[_Row, ...]
    previous: Position | None = None
    next: Position | None = None
    total: Total | None = None
    unfinished: bool = False


class Sort(StrEnum):
    """The field that orders contributions; ties are ordered by id."""

    RECEIVED = "received"
    REMOVED = "removed"
    SEVERITY = "severity"
    ID = "id"


@dataclass(frozen=True, slots=True)
class Listing:
    """The request for a list: a filter and an order."""

    filter: Filter = field(default_factory=Filter)
    sort: Sort = Sort.RECEIVED
    descending: bool = True


def read_all(page: Callable[[int, int], Sequence[_Numbered]]) -> Iterator[_Numbered]:
    """Every row that `page(after, limit)` lists, in the order of the ids; it returns rows with ids above `after`."""
    after = 0
    while rows := page(after, _PAGE):
        yield from rows
        after = rows[-1].id


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 18
