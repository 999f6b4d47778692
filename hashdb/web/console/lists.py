"""What all lists of the console share: columns that sort, pages in both directions, totals and selected rows.

A view makes a `ListPage` and gives it to the macros of templates/console/lists.html: by `page_of_all` from all rows, or
by `page_at_place` from the rows of a page. If `row_kind` is set, the list is a form, which `read_selection` reads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl, urlencode

from flask import request, url_for

from hashdb.domain.listings import Paged, Place, Total
from hashdb.errors import reject_field
from hashdb.web.console.pages import parse_whole
from hashdb.wire import LARGEST_ID
from hashdb.wire.pages import ListQuery, PlacedQuery

Row = TypeVar("Row")
SIZES = (25, 50, 100, 200)
"""How many rows a page may have."""
_PLACE_FIELDS = ("after", "before", "row", "exact")
"""The fields of an address that say which page of the list it is, and whether all rows are counted (`exact`)."""


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """A column of a list. With `sort`, the name of its order in the address, a click on its head orders the list.

    `key` returns what rows are ordered by, if the view has all rows. `number`: its cells are numbers, on the right.
    `ascending_first`: the first click puts the least first.
    """

    label: str
    sort: str = ""
    key: Callable[[Row], Any] | None = None
    number: bool = False
    ascending_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPage:
    """A page of `count` rows of a list, which the view `endpoint` shows.

    `place`, and for the pages beside it `before` and `after` (None: there is none), are the fields of the address that
    say where a page is; `fields` are those of the filter. `row` is the number of the first row, if it is known.
    With `row_kind` (the kind of its rows), rows can be selected; `upto` is then the newest id of the whole list.
    """

    endpoint: str
    columns: Sequence[Column[Any]]
    sort: str
    descending: bool
    limit: int
    count: int
    row: int | None = None
    total: Total | None = None
    before: Mapping[str, object] | None = None
    after: Mapping[str, object] | None = None
    place: Mapping[str, object] = field(default_factory=dict)
    fields: Mapping[str, object] = field(default_factory=dict)
    row_kind: str = ""
    upto: int = 0

    def address(self, **changed: object) -> str:
        """The URL of the list with its filter and order, on the first page, with these changes."""
        order = {"sort": self.sort, "order": "down" if self.descending else "up", "limit": self.limit}
        return url_for(self.endpoint, **_texts({**self.fields, **order, **changed}))

    def sorted_by(self, column: Column[Any]) -> str:
        """The URL of the list in the order of a column; the other way round if it has that order already."""
        down = not self.descending if column.sort == self.sort else not column.ascending_first
        return self.address(sort=column.sort, order="down" if down else "up")

    @property
    def sizes(self) -> Sequence[tuple[int, str]]:
        """How many rows a page may have, each with its URL at this place; none if the least is enough for the list."""
        beside = self.before is not None or self.after is not None
        if not beside and self.count <= SIZES[0]:
            return ()
        return [(size, self.address(limit=size, **self.place)) for size in SIZES]

    @property
    def query(self) -> str:
        """The fields of the filter as a query string, for a selection of all rows."""
        return urlencode(_texts(self.fields))


def _texts(fields: Mapping[str, object]) -> dict[str, Any]:
    """The fields that have a value, as text."""
    return {name: str(value) for name, value in fields.items() if value not in (None, "")}


@dataclass(frozen=True, slots=True)
class Selection:
    """The rows that a user selected: those with these `ids`, or all that pass the `filter`, up to the id `upto`."""

    row_kind: str
    ids: tuple[int, ...] = ()
    filter: Mapping[str, str] | None = None
    upto: int = 0


def page_at_place(
    paged: Paged[Any],
    columns: Sequence[Column[Any]],
    query: PlacedQuery,
    endpoint: str,
    *,
    sort: str,
    row_kind: str = "",
    upto: int = 0,
) -> ListPage:
    """The page of a list of which only these rows were read, at the place of the query.

    `sort` is the order of the rows, `row_kind` and `upto` are as in `ListPage`.
    """
    row = query.row
    # The first page begins at row 1, whatever number the address has.
    if (paged.previous is None and query.before is not None) or query.place == Place():
        row = 1
    before, after, total = paged.previous, paged.next, paged.total
    if total is not None and total.more and row is not None:
        total = Total(max(total.count, row - 1 + len(paged.rows)), more=True)
    next_row = None if row is None else row + len(paged.rows)
    previous_row = None if row is None else max(1, row - query.limit)
    return ListPage(
        endpoint=endpoint,
        columns=columns,
        sort=sort,
        descending=query.order == "down",
        limit=query.limit,
        count=len(paged.rows),
        row=row,
        total=total,
        before=None if before is None else {"before": before, "row": previous_row},
        after=None if after is None else {"after": after, "row": next_row},
        place={name: request.args[name] for name in ("after", "before", "row") if name in request.args},
        fields=filter_fields(),
        row_kind=row_kind,
        upto=upto,
    )


def page_of_all(
    rows: Iterable[Row],
    columns: Sequence[Column[Row]],
    query: ListQuery,
    endpoint: str,
    *,
    first: str,
    fields: Mapping[str, object] | None = None,
    row_kind: str = "",
    upto: int = 0,
) -> tuple[tuple[Row, ...], ListPage]:
    """Of all rows of a list, those of the page that the query asks for, and the page.

    `first` is the default order, `fields` are those of the filter, `row_kind` and `upto` are as in `ListPage`.

    Raises InvalidInput if no column has the order.
    """
    orders = {column.sort: column for column in columns if column.sort}
    sort = query.sort or first
    if sort not in orders:
        reject_field("sort", f"must be one of {', '.join(orders)}")
    descending = not orders[sort].ascending_first if query.order is None else query.order == "down"
    ordered = _ordered(rows, orders[sort].key, descending)
    start = min(query.row, len(ordered) or 1) - 1
    page = tuple(ordered[start : start + query.limit])
    end = start + len(page)
    return page, ListPage(
        endpoint=endpoint,
        columns=columns,
        sort=sort,
        descending=descending,
        limit=query.limit,
        count=len(page),
        row=start + 1,
        total=Total(len(ordered)),
        before={"row": max(1, start + 1 - query.limit)} if start else None,
        after={"row": end + 1} if end < len(ordered) else None,
        fields=fields or {},
        row_kind=row_kind,
        upto=upto,
    )


def _ordered(rows: Iterable[Row], key: Callable[[Row], Any] | None, descending: bool) -> list[Row]:
    """The rows in the order of their keys; rows whose key is None come last in both directions."""
    rows = list(rows)
    if key is None:
        return rows
    with_key = [row for row in rows if key(row) is not None]
    return sorted(with_key, key=key, reverse=descending) + [row for row in rows if key(row) is None]


def filter_fields() -> dict[str, str]:
    """The fields of the filter in the address of this request: all but the order and the place."""
    no_filter = ("sort", "order", "limit", *_PLACE_FIELDS)
    return {name: value for name, value in request.args.items() if value.strip() and name not in no_filter}


def read_selection() -> Selection:
    """The rows that were selected in the form of this request.

    Raises InvalidInput if none was, or if a field is not what the list has sent.
    """
    row_kind, form = request.form.get("picks", ""), request.form
    if form.get("all"):
        return Selection(row_kind, filter=dict(parse_qsl(form.get("filter", ""))), upto=_parse_id(form.get("upto", "")))
    ids = tuple(dict.fromkeys(_parse_id(text) for text in form.getlist("id")))
    if not ids:
        reject_field("id", "is required: select at least one row")
    return Selection(row_kind, ids)


def _parse_id(text: str) -> int:
    id = parse_whole(text)
    reject_field("id", None if isinstance(id, int) and id <= LARGEST_ID else "must be the number of a row")
    return int(id)
