"""The types in which columns keep values: what goes in comes out."""

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
def test_an_instant_comes_back_to_the_microsecond(at: datetime | None) -> None:
    kept = InstantColumn().bind_processor(DIALECT)(at)
    assert InstantColumn().result_processor(DIALECT, None)(kept) == at


@given(objects | st.none())
def test_json_comes_back_to_the_letter(value: dict[str, object] | None) -> None:
    kept = JsonColumn().process_bind_param(value, DIALECT)
    assert JsonColumn().process_result_value(kept, DIALECT) == value


@given(st.lists(codes, max_size=5).map(tuple) | st.none())
def test_words_come_back_in_order_and_each_can_be_found(words: tuple[str, ...] | None) -> None:
    kept = CodesColumn().process_bind_param(words, DIALECT)
    assert CodesColumn().result_processor(DIALECT, None)(kept) == words
    assert all(f" {word} " in (kept or "") for word in words or ())
