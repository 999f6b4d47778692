"""A filter of contributions as SQL conditions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Text, exists, func

from hashdb.domain.contributions import Filter
from hashdb.store.statuses import status_at
from hashdb.store.tables import contributions, signals


def conditions(chosen: Filter, now: datetime) -> Iterator[ColumnElement[bool]]:
    """What a contribution must be; where a status is chosen, the query joins the members."""
    table = contributions.c
    for column, wanted in (
        (table.member_id, chosen.member),
        (table.standing, chosen.standing),
        (table.severity, chosen.severity),
        (table.incident, chosen.incident),
    ):
        if wanted is not None:
            yield column == wanted
    for column, start, end in (
        (table.received_at, chosen.since, chosen.until),
        (table.removed_at, chosen.removed_since, chosen.removed_until),
    ):
        if start is not None:
            yield column >= start
        if end is not None:
            yield column < end
    if chosen.status is not None:
        yield status_at(now) == str(chosen.status)
    if chosen.label is not None:
        yield table.labels.cast(Text).contains(f" {chosen.label} ", autoescape=True)
    if chosen.algorithm is not None:
        held = exists().where(signals.c.contribution_id == table.id, signals.c.algorithm == str(chosen.algorithm))
        yield held
    if chosen.reference is not None:
        # Not LIKE, which takes A for a on one database and not on the other.
        yield func.substr(table.reference, 1, len(chosen.reference)) == chosen.reference
