"""Filters of contributions in SQL, and the form in which the medium of a contribution is stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import ColumnElement, Text, and_, case, exists, func, not_, or_

from hashdb.domain.contributions import Filter, Media
from hashdb.domain.tiers import Rule, rules_of
from hashdb.store.contributions.statuses import status_at
from hashdb.store.tables import contributions, signal_table


def filter_conditions(filter: Filter, now: datetime, *, without_index: bool = False) -> Iterator[ColumnElement[bool]]:
    """The conditions of a filter; if it has a status, the query must join the members.

    With `without_index`, the database uses no index for them, so that the query follows another index.
    """
    table = contributions.c
    for column, wanted in (
        (table.member_id, filter.member),
        (table.standing, filter.standing),
        (table.severity, filter.severity),
        (table.incident, filter.incident),
    ):
        if wanted is not None:
            yield (func.coalesce(column, column) if without_index else column) == wanted
    if filter.media is not None:
        yield of_media(filter.media, without_index=without_index)
    for column, start, end in (
        (table.received_at, filter.since, filter.until),
        (table.removed_at, filter.removed_since, filter.removed_until),
        (table.expires_at, None, filter.expires_until),
    ):
        compared = func.coalesce(column, column) if without_index else column
        if start is not None:
            yield compared >= start
        if end is not None:
            yield compared < end
    if filter.status is not None:
        yield status_at(now) == str(filter.status)
    if filter.label is not None:
        yield has_label(filter.label)
    if filter.algorithm is not None:
        held = signal_table(filter.algorithm)
        yield exists().where(held.c.contribution_id == table.id, held.c.algorithm == str(filter.algorithm))
    if filter.reference is not None:
        # Not LIKE, which ignores case on one database only.
        yield func.substr(table.reference, 1, len(filter.reference)) == filter.reference
    if filter.tier is not None:
        rules = rules_of(filter.tier)
        yield or_(*(and_(_holds(rule), *(not_(_holds(other)) for other in earlier)) for rule, earlier in rules))


def _holds(rule: Rule) -> ColumnElement[bool]:
    """Whether a rule of the tiers holds; never NULL, so that it can be negated."""
    table = contributions.c
    conditions = []
    if rule.labels:
        conditions.append(or_(*(has_label(label) for label in rule.labels)))
    if rule.severities:
        conditions.append(and_(table.severity.is_not(None), table.severity.in_(rule.severities)))
    conditions += [table.entity.is_not(None)] if rule.entity else []
    conditions += [table.incident.is_not(None)] if rule.incident else []
    return and_(*conditions)


def has_label(label: str) -> ColumnElement[bool]:
    """The condition that a contribution has a label."""
    return contributions.c.labels.cast(Text).contains(f" {label} ", autoescape=True)


def stored_media(media: Media, pages: int | None, words: int | None) -> tuple[str, int | None, int | None]:
    """The values of the columns `media`, `pages` and `words` for an item.

    Version 0.1.0 does not know texts. A text is stored as a document that has words and no pages; so a document without
    pages has 0 of them, and a text without windows has 0 words.
    """
    if media is Media.TEXT:
        return str(Media.DOCUMENT), pages, words or 0
    if media is Media.DOCUMENT and words is not None:
        return str(media), pages or 0, words
    return str(media), pages, words


def of_media(media: Media, *, without_index: bool = False) -> ColumnElement[bool]:
    """The condition that a contribution is of a medium. With `without_index`, the database uses no index for it."""
    stored, *_ = stored_media(media, pages=None, words=None)
    column = contributions.c.media
    same: ColumnElement[bool] = (func.coalesce(column, column) if without_index else column) == stored
    if media is Media.TEXT:
        return and_(same, _IS_TEXT)
    return and_(same, ~_IS_TEXT) if media is Media.DOCUMENT else same


_IS_TEXT = and_(contributions.c.pages.is_(None), contributions.c.words.is_not(None))
MEDIA = case(
    (and_(contributions.c.media == str(Media.DOCUMENT), _IS_TEXT), str(Media.TEXT)), else_=contributions.c.media
)
"""The SQL expression for the medium of a contribution."""
