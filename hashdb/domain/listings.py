"""Lists: the request for one, its pages, and totals."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from hashdb.domain.contributions import Filter

_Row = TypeVar("_Row")
_PAGE = 1_000
"""Rows that `read_all` reads at once."""
_POSITION = re.compile(r"(-?[0-9]{1,18})?\.([0-9]{1,18})")


class _HasId(Protocol):
    @property
    def id(self) -> int: ...


_Numbered = TypeVar("_Numbered", bound=_HasId)


@dataclass(frozen=True, slots=True)
class Total:
    """How many rows a list has. With `more`, the count was stopped: the list has at least `count`.

    >>> str(Total(6012)), str(Total(10_000, more=True))
    ('6012', 'at least 10000')
    """

    count: int
    more: bool = False

    def __str__(self) -> str:
        return f"at least {self.count}" if self.more else str(self.count)


class Position(NamedTuple):
    """A row at which a page begins or ends: the value of its sort field, and its id.

    >>> Position.parse(str(Position(None, 17)))
    Position(key=None, id=17)
    """

    key: int | None
    """A number such as a severity, an id, or the microseconds since 1970; None if unknown: such rows come last."""
    id: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """The position of a text; `str()` is the inverse. Raises ValueError with a sentence."""
        parts = _POSITION.fullmatch(text)
        if parts is None:
            raise ValueError("is not the end of a page of this list")
        key, id = parts.groups()
        return cls(None if key is None else int(key), int(id))

    def __str__(self) -> str:
        return f"{'' if self.key is None else self.key}.{self.id}"


class Place(NamedTuple):
    """Where a page is: after a position, or with `back` before it.

    Without a position, it is the first page of the list, or with `back` the last one.
    """

    position: Position | None = None
    back: bool = False


@dataclass(frozen=True, slots=True)
class Paged(Generic[_Row]):
    """A page of a list, and the positions beside which the other pages are."""

    rows: tuple[_Row, ...]
    previous: Position | None = None
    """The position of the first row, before which the previous page ends; None if there is no such page."""
    next: Position | None = None
    """The position of the last row, after which the next page begins; None if there is no such page."""
    total: Total | None = None
    """How many rows all pages have, exact if few rows must be read for it; None if they were not counted."""
    unfinished: bool = False
    """Whether the search stopped before the page was full, since it would have read too many rows."""


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
