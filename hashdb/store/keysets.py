"""Pages of a query that begin where another page ended, in both directions, and totals that read a bounded number."""

from __future__ import annotations

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select, tuple_

from hashdb.domain.listings import Paged, Place, Position, Total

MOST_COUNTED = 10_000
"""Rows that a total counts at most."""


class Order(NamedTuple):
    """The order of a list: by a whole number, which is never NULL, and then by the id."""

    key: ColumnElement[int]
    id: ColumnElement[int]
    descending: bool


def page(
    connection: Connection, query: Select[Any], order: Order, place: Place, limit: int
) -> tuple[list[Row[Any]], Paged[Position]]:
    """At most `limit` rows of a query at a place, and their positions with the links of the page."""
    # A page that ends at its position is read backwards.
    reading_order = order._replace(descending=order.descending is not place.back)
    query = in_order(query.add_columns(order.key.label("order_key"), order.id.label("order_id")), reading_order)
    if place.position is not None:
        query = query.where(beyond(reading_order, place.position))
    rows = list(connection.execute(query.limit(limit + 1)))
    more, rows = len(rows) > limit, rows[:limit]
    if place.back:
        rows.reverse()
    positions = tuple(Position(row.order_key, row.order_id) for row in rows)
    return rows, links(positions, place, descending=order.descending, more=more)


def links(positions: tuple[Position, ...], place: Place, *, descending: bool, more: bool) -> Paged[Position]:
    """The positions of a page with its links; `more`: rows follow it in the direction of reading."""
    # Whether there are rows before the page, and after it. A page that was read from a position has rows behind that.
    is_from_position = place.position is not None
    before, after = (more, is_from_position) if place.back else (is_from_position, more)
    if not positions and place.position is not None:
        # The page beside an empty one begins with the row at whose position the empty one was read.
        step = -1 if descending is not place.back else 1
        beside = place.position._replace(id=place.position.id + step)
        return Paged((), beside if before else None, beside if after else None)
    if not positions:
        return Paged(())
    return Paged(positions, positions[0] if before else None, positions[-1] if after else None)


def in_order(query: Select[Any], order: Order) -> Select[Any]:
    """The query in the order."""
    columns = (order.key, order.id)
    return query.order_by(*((column.desc() for column in columns) if order.descending else columns))


def beyond(order: Order, position: Position) -> ColumnElement[bool]:
    """The condition that a row comes after a position in the order."""
    # As pairs: both databases then start in the index where the page ended, even if many rows have the same key.
    here, there = tuple_(order.key, order.id), tuple_(*position)
    return here < there if order.descending else here > there


def count(connection: Connection, query: Select[Any], most: int = MOST_COUNTED) -> Total:
    """How many rows a query has; it reads at most one more than `most`."""
    rows = connection.execute(select(func.count()).select_from(query.limit(most + 1).subquery())).scalar_one()
    return Total(min(rows, most), more=rows > most)
