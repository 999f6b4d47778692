"""A filter of contributions as SQL conditions."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Text, exists, func

from hashdb.domain.contributions import Filter
from hashdb.store.statuses import status_at
from hashdb.store.tables import contributions, signals


def conditions(chosen: Filter, now: datetime, *, aside: bool = False) -> Iterator[ColumnElement[bool]]:
    """What a contribution must be; where a status is chosen, the query joins the members.

    With `aside` they are spelled so that no index is taken for them: the query goes along another one.
    """
    table = contributions.c
    for column, wanted in (
        (table.member_id, chosen.member),
        (table.standing, chosen.standing),
        (table.severity, chosen.severity),
        (table.incident, chosen.incident),
    ):
        if wanted is not None:
            yield (func.coalesce(column, column) if aside else column) == wanted
    for column, start, end in (
        (table.received_at, chosen.since, chosen.until),
        (table.removed_at, chosen.removed_since, chosen.removed_until),
        (table.expires_at, None, chosen.expires_until),
    ):
        held = func.coalesce(column, column) if aside else column
        if start is not None:
            yield held >= start
        if end is not None:
            yield held < end
    if chosen.status is not None:
        yield status_at(now) == str(chosen.status)
    if chosen.label is not None:
        yield table.labels.cast(Text).contains(f" {chosen.label} ", autoescape=True)
    if chosen.algorithm is not None:
        yield exists().where(signals.c.contribution_id == table.id, signals.c.algorithm == str(chosen.algorithm))
    if chosen.reference is not None:
        # Not LIKE, which takes A for a on one database and not on the other.
        yield func.substr(table.reference, 1, len(chosen.reference)) == chosen.reference
