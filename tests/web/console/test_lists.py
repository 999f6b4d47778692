"""Pages of a list that is in memory as a whole, and the selection of rows in a form."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from flask import Flask

from hashdb.domain.listings import Total
from hashdb.errors import InvalidInput
from hashdb.web.console.lists import Column, ListPage, Selection, page_of_all, read_selection
from hashdb.wire.pages import ListQuery

ROWS = (("b", 2), ("a", None), ("c", 1), ("d", 2))
COLUMNS: tuple[Column[tuple[str, int | None]], ...] = (
    Column("Name", "name", lambda row: row[0], ascending_first=True),
    Column("Used", "used", lambda row: row[1]),
    Column("Note"),
)


@pytest.fixture(autouse=True)
def flask_app() -> Iterator[Flask]:
    app = Flask(__name__)
    app.add_url_rule("/list", "list")
    with app.test_request_context("/list"):
        yield app


def page_names(query: ListQuery) -> tuple[str, ListPage]:
    rows, shown = page_of_all(ROWS, COLUMNS, query, "list", first="name", fields={"state": "open"})
    return "".join(name for name, _ in rows), shown


def test_a_list_is_sorted_both_ways_with_empty_values_last() -> None:
    assert page_names(ListQuery())[0] == "abcd"
    assert page_names(ListQuery(order="down"))[0] == "dcba"
    assert page_names(ListQuery(sort="used"))[0] == "bdca"
    assert page_names(ListQuery(sort="used", order="up"))[0] == "cbda"
    with pytest.raises(InvalidInput, match="sort: must be one of name, used"):
        page_names(ListQuery(sort="note"))


def test_pages_link_both_ways_and_number_their_rows() -> None:
    names, first = page_names(ListQuery(limit=3))
    assert (names, first.row, first.count, first.total, first.before, first.after) == (
        "abc",
        1,
        3,
        Total(4),
        None,
        {"row": 4},
    )
    assert first.after is not None
    assert first.address(**first.after) == "/list?state=open&sort=name&order=up&limit=3&row=4"
    names, last = page_names(ListQuery(limit=3, row=4))
    assert (names, last.row, last.before, last.after) == ("d", 4, {"row": 1}, None)
    assert page_names(ListQuery(row=99))[0] == "d"


def test_a_column_head_reverses_its_order_or_starts_with_its_own() -> None:
    shown = page_names(ListQuery())[1]
    assert [shown.sorted_by(column) for column in COLUMNS[:2]] == [
        "/list?state=open&sort=name&order=down&limit=50",
        "/list?state=open&sort=used&order=down&limit=50",
    ]


def test_the_page_size_can_be_chosen_only_for_long_lists() -> None:
    assert page_names(ListQuery())[1].sizes == ()
    assert dict(page_names(ListQuery(limit=3))[1].sizes)[100] == "/list?state=open&sort=name&order=up&limit=100"


def select(app: Flask, *fields: tuple[str, str]) -> Selection:
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    with app.test_request_context("/list", method="POST", data=data):
        return read_selection()


def test_a_selection_has_distinct_rows_or_a_whole_filter(flask_app: Flask) -> None:
    selection = select(flask_app, ("picks", "cases"), ("id", "3"), ("id", "1"), ("id", "3"), ("upto", "9"))
    assert selection == Selection("cases", (3, 1))
    fields = (("picks", "cases"), ("id", "3"), ("all", "1"), ("filter", "member=3&label=a+b"), ("upto", "9"))
    assert select(flask_app, *fields) == Selection("cases", filter={"member": "3", "label": "a b"}, upto=9)


@pytest.mark.parametrize("fields", [(), (("id", "x"),), (("id", "1" * 17),), (("all", "1"), ("upto", "-1"))])
def test_an_invalid_selection_is_rejected(flask_app: Flask, fields: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(InvalidInput):
        select(flask_app, *fields)
