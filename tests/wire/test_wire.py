"""Rules of all wire models: strict JSON, limits of size, paths of faults, and no hash quoted in an error."""

from __future__ import annotations

import json
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb import wire
from hashdb.errors import Fault, InvalidInput, MalformedRequest, TooLarge
from hashdb.wire import MAX_FIELD_NAMES, MAX_VALUES, check_size, read
from hashdb.wire.accounts import MemberIn
from hashdb.wire.faults import path


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"{",
        b"{'name': 1}",
        b'{"name": NaN}',
        b'{"name": 1, "limits": {"x": [-Infinity]}}',
        b'{"name": "\xff"}',
        b'{"name": "\\ud800"}',
        b'\xef\xbb\xbf{"name": "A"}',
        '{"name": "A"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 20_000,
        b'{"name": "A"} x',
        b'{"name": "a\nb"}',
        b"nul",
    ],
)
def test_a_body_that_is_not_json_in_utf_8_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(MemberIn, text)


@pytest.mark.parametrize("text", ["3", "null", '"x"', "[]", "true", "1e999"])
def test_json_that_is_not_an_object_is_rejected(text: str) -> None:
    with pytest.raises(InvalidInput) as error:
        read(MemberIn, text)
    assert error.value.faults == (Fault("", "must be an object"),)


def test_the_last_of_two_fields_with_one_name_wins() -> None:
    assert read(MemberIn, '{"name": "A", "kind": "platform", "name": "B"}').name == "B"


def test_a_path_is_written_with_dots_and_indexes_and_without_hashes() -> None:
    assert path(("contributions", 3, "signals", 0)) == "contributions[3].signals[0]"
    assert path(("queries", 0, "radius", "md5", "[key]")) == "queries[0].radius.md5"
    assert path(()) == ""
    assert path(("x" * 65,)) == "x" * 64 + "…"
    assert path(("pdq:" + "ab" * 32,)) == "pdq:…"


JSON_VALUES = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab:,"\\[{ \u00e9', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='ab:"\\ ', max_size=4), inner),
    max_leaves=20,
)


def _count_keys(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    return sum(map(_count_keys, value)) if isinstance(value, list) else 0


def _is_too_large(text: str | bytes, keys: int = MAX_FIELD_NAMES) -> bool:
    try:
        with patch.object(wire, "MAX_FIELD_NAMES", keys):
            check_size(text)
    except TooLarge:
        return True
    return False


@given(JSON_VALUES, st.sampled_from([None, 1]))
def test_field_names_are_counted_as_a_json_parser_counts_them(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, separators=(" , ", " : "), ensure_ascii=False)
    keys = _count_keys(value)
    assert not _is_too_large(text, keys)
    assert keys == 0 or _is_too_large(text.encode(), keys - 1)


def _object_with(count: int) -> str:
    return "{" + ",".join(f'"{n}":0' for n in range(count)) + "}"


def test_the_limits_of_field_names_and_values_are_exact() -> None:
    assert not _is_too_large(_object_with(MAX_FIELD_NAMES))
    assert _is_too_large(_object_with(MAX_FIELD_NAMES + 1))
    assert not _is_too_large("[" + "0," * (MAX_VALUES - 1) + "0]")
    assert _is_too_large("[" + "0," * MAX_VALUES + "0]")


@pytest.mark.parametrize(
    "text",
    [
        b'"' + b'\\"' * 4_000_000,
        b":" * 8_000_000,
        b'{"a": "' + b":" * 8_000_000,
        b":" * 30_000 + b'"' + b"\\" * 8_000_000,
        b":" * 30_000 + b'""' * 4_000_000,
        b":" * 30_000 + (b'""' + b" " * 100) * 80_000,
    ],
    ids=["escaped", "colons", "a text of colons", "backslashes", "quotes", "spaces"],
)
def test_counting_a_body_takes_linear_time(text: bytes) -> None:
    # A count with backtracking at each byte would take days.
    assert not _is_too_large(text)
