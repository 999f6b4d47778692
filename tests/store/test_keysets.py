"""Links to the next and previous page, also of an empty page, and totals that stop at a bound."""

from __future__ import annotations

import pytest
from sqlalchemy import literal, select, union_all

from hashdb.domain.listings import Paged, Place, Position, Total
from hashdb.store import Store, keysets

ONE, TWO = Position(7, 1), Position(9, 2)


@pytest.mark.parametrize(
    ("place", "more", "expected"),
    [
        (Place(), False, Paged((ONE, TWO))),
        (Place(), True, Paged((ONE, TWO), None, TWO)),
        (Place(Position(5, 5)), True, Paged((ONE, TWO), ONE, TWO)),
        (Place(Position(5, 5)), False, Paged((ONE, TWO), ONE, None)),
        (Place(Position(10, 5), back=True), True, Paged((ONE, TWO), ONE, TWO)),
        (Place(Position(10, 5), back=True), False, Paged((ONE, TWO), None, TWO)),
    ],
)
def test_a_page_links_to_the_next_and_the_previous_page(place: Place, more: bool, expected: Paged[Position]) -> None:
    assert keysets.links((ONE, TWO), place, descending=False, more=more) == expected


def test_the_link_of_an_empty_page_includes_the_row_it_started_from() -> None:
    forward, back = Place(ONE), Place(TWO, back=True)
    assert keysets.links((), forward, descending=False, more=False) == Paged((), Position(7, 2), None)
    assert keysets.links((), forward, descending=True, more=False) == Paged((), Position(7, 0), None)
    assert keysets.links((), back, descending=False, more=False) == Paged((), None, Position(9, 1))
    assert keysets.links((), back, descending=True, more=False) == Paged((), None, Position(9, 3))


def test_a_total_stops_at_its_bound(store: Store) -> None:
    three = union_all(*(select(literal(number).label("n")) for number in range(3))).subquery()
    with store.read() as tx:
        connection = tx.listings._connection
        totals = [keysets.count(connection, select(three.c.n), most) for most in (2, 3, 4)]
    assert totals == [Total(2, more=True), Total(3), Total(3)]
