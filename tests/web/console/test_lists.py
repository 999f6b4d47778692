"""Pages of a list that is held as a whole, and what a form says of selected rows."""

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
    Column("Name", "name", lambda row: row[0], rises=True),
    Column("Used", "used", lambda row: row[1]),
    Column("Note"),
)


@pytest.fixture(autouse=True)
def request_of() -> Iterator[Flask]:
    app = Flask(__name__)
    app.add_url_rule("/list", "list")
    with app.test_request_context("/list"):
        yield app


def names(query: ListQuery) -> tuple[str, ListPage]:
    rows, shown = page_of_all(ROWS, COLUMNS, query, "list", first="name", fields={"state": "open"})
    return "".join(name for name, _ in rows), shown


def test_a_column_orders_the_list_both_ways_and_rows_without_a_value_come_last() -> None:
    assert names(ListQuery())[0] == "abcd"
    assert names(ListQuery(order="down"))[0] == "dcba"
    assert names(ListQuery(sort="used"))[0] == "bdca"
    assert names(ListQuery(sort="used", order="up"))[0] == "cbda"
    with pytest.raises(InvalidInput, match="sort: must be one of name, used"):
        names(ListQuery(sort="note"))


def test_pages_lead_forward_and_back_and_say_which_rows_they_have() -> None:
    found, first = names(ListQuery(limit=3))
    assert (found, first.row, first.count, first.total, first.before, first.after) == (
        "abc",
        1,
        3,
        Total(4),
        None,
        {"row": 4},
    )
    assert first.after is not None
    assert first.address(**first.after) == "/list?state=open&sort=name&order=up&limit=3&row=4"
    found, last = names(ListQuery(limit=3, row=4))
    assert (found, last.row, last.before, last.after) == ("d", 4, {"row": 1}, None)
    assert names(ListQuery(row=99))[0] == "d"


def test_a_head_turns_its_own_order_round_and_begins_another_as_the_column_says() -> None:
    shown = names(ListQuery())[1]
    assert [shown.sorted_by(column) for column in COLUMNS[:2]] == [
        "/list?state=open&sort=name&order=down&limit=50",
        "/list?state=open&sort=used&order=down&limit=50",
    ]


def test_the_number_of_rows_is_chosen_where_a_list_has_more_than_the_least() -> None:
    assert names(ListQuery())[1].sizes == ()
    assert dict(names(ListQuery(limit=3))[1].sizes)[100] == "/list?state=open&sort=name&order=up&limit=100"


def selected(app: Flask, *fields: tuple[str, str]) -> Selection:
    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(name, []).append(value)
    with app.test_request_context("/list", method="POST", data=data):
        return read_selection()


def test_selected_rows_are_read_once_each_or_as_all_that_a_filter_lets_through(request_of: Flask) -> None:
    picked = selected(request_of, ("picks", "cases"), ("id", "3"), ("id", "1"), ("id", "3"), ("upto", "9"))
    assert picked == Selection("cases", (3, 1))
    fields = (("picks", "cases"), ("id", "3"), ("all", "1"), ("filter", "member=3&label=a+b"), ("upto", "9"))
    assert selected(request_of, *fields) == Selection("cases", filter={"member": "3", "label": "a b"}, upto=9)


@pytest.mark.parametrize("fields", [(), (("id", "x"),), (("id", "1" * 17),), (("all", "1"), ("upto", "-1"))])
def test_other_fields_are_refused(request_of: Flask, fields: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(InvalidInput):
        selected(request_of, *fields)
