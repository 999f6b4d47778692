"""The column types return the values that were stored."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import sqlite

from hashdb.store.columns import CodesColumn, InstantColumn, JsonColumn

DIALECT = sqlite.dialect()
texts = st.text(st.characters(exclude_categories=["Cs"]))
objects = st.dictionaries(texts, texts | st.integers() | st.none() | st.lists(texts))
codes = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)


@given(st.datetimes(timezones=st.just(UTC)) | st.none())
def test_a_time_is_returned_with_its_microseconds(time: datetime | None) -> None:
    stored = InstantColumn().bind_processor(DIALECT)(time)
    assert InstantColumn().result_processor(DIALECT, None)(stored) == time


@given(objects | st.none())
def test_json_is_returned_unchanged(value: dict[str, object] | None) -> None:
    stored = JsonColumn().process_bind_param(value, DIALECT)
    assert JsonColumn().process_result_value(stored, DIALECT) == value


@given(st.lists(codes, max_size=5).map(tuple) | st.none())
def test_codes_are_returned_in_order_and_each_can_be_searched(values: tuple[str, ...] | None) -> None:
    stored = CodesColumn().process_bind_param(values, DIALECT)
    assert CodesColumn().result_processor(DIALECT, None)(stored) == values
    assert all(f" {code} " in (stored or "") for code in values or ())
