"""Types of columns: times, seconds, days, codes and JSON are stored in the same form in every database."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime, timedelta

from sqlalchemy import BigInteger, Dialect, Integer, String, Text, TypeDecorator

from hashdb.domain.ledger.events import canonical
from hashdb.domain.times import EPOCH, MICROSECOND

IdColumn = BigInteger().with_variant(Integer, "sqlite")
"""A primary key: SQLite assigns the next number only to an INTEGER."""


class InstantColumn(TypeDecorator[datetime]):
    """An aware datetime, stored as microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    # Not `process_bind_param` and `process_result_value`, which are a call more for each value.
    def bind_processor(self, dialect: Dialect) -> Callable[[datetime | None], int | None]:
        return _microseconds

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], datetime | None]:
        return _instant


class SecondsColumn(TypeDecorator[float]):
    """Seconds, stored as whole milliseconds."""

    impl = Integer
    cache_ok = True

    def bind_processor(self, dialect: Dialect) -> Callable[[float | None], int | None]:
        return lambda seconds: None if seconds is None else round(seconds * 1_000)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[int | None], float | None]:
        return lambda milliseconds: None if milliseconds is None else milliseconds / 1_000


class JsonColumn(TypeDecorator[dict[str, object]]):
    """A small JSON object, stored as text, so that a hashed object is read back unchanged."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, object] | None:
        return None if value is None else json.loads(value)


class DayColumn(TypeDecorator[date]):
    """A day, stored as ISO 8601 text."""

    impl = String(10)
    cache_ok = True

    def process_bind_param(self, value: date | None, dialect: Dialect) -> str | None:
        return None if value is None else value.isoformat()

    def process_result_value(self, value: str | None, dialect: Dialect) -> date | None:
        return None if value is None else date.fromisoformat(value)


class CodesColumn(TypeDecorator[tuple[str, ...]]):
    """A few codes without spaces, stored as ` a b c `: a row has the code `b` if the text contains ` b `."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: tuple[str, ...] | None, dialect: Dialect) -> str | None:
        return None if value is None else f" {' '.join(value)} " if value else ""

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[str | None], tuple[str, ...] | None]:
        return _words


def _microseconds(value: datetime | None) -> int | None:
    # As `to_microseconds` does, without another call.
    return None if value is None else (value - EPOCH) // MICROSECOND


def _instant(value: int | None) -> datetime | None:
    # As `from_microseconds` does, without another call: each row of a match has two.
    return None if value is None else EPOCH + timedelta(microseconds=value)


def _words(value: str | None) -> tuple[str, ...] | None:
    return None if value is None else tuple(value.split())
