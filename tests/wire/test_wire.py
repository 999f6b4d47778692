"""What every model of the wire does: strict JSON, paths of faults, nothing repeated that may be a hash."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
def test_what_is_not_json_in_utf_8_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(MemberIn, text)


@pytest.mark.parametrize("text", ["3", "null", '"x"', "[]", "true", "1e999"])
def test_json_that_is_no_object_is_refused_as_such(text: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        read(MemberIn, text)
    assert refusal.value.faults == (Fault("", "must be an object"),)


def test_of_a_name_given_twice_the_last_counts() -> None:
    assert read(MemberIn, '{"name": "A", "kind": "platform", "name": "B"}').name == "B"


def test_a_path_reads_as_in_a_program() -> None:
    assert path(("contributions", 3, "signals", 0)) == "contributions[3].signals[0]"
    assert path(("queries", 0, "radius", "md5", "[key]")) == "queries[0].radius.md5"
    assert path(()) == ""
    assert path(("x" * 65,)) == "x" * 64 + "…"
    assert path(("pdq:" + "ab" * 32,)) == "pdq:…"


ANYTHING = st.recursive(
    st.none() | st.integers() | st.text(alphabet='ab:,"\\[{ \u00e9', max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet='ab:"\\ ', max_size=4), inner),
    max_leaves=20,
)


def _keys(value: object) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_keys, value.values()))
    return sum(map(_keys, value)) if isinstance(value, list) else 0


def _refused(text: str | bytes, keys: int = MAX_FIELD_NAMES) -> bool:
    try:
        check_size(text, keys=keys)
    except TooLarge:
        return True
    return False


@given(ANYTHING, st.sampled_from([None, 1]))
def test_names_of_fields_are_counted_as_a_parser_does(value: object, indent: int | None) -> None:
    text = json.dumps(value, indent=indent, separators=(" , ", " : "), ensure_ascii=False)
    keys = _keys(value)
    assert not _refused(text, keys)
    assert keys == 0 or _refused(text.encode(), keys - 1)


def _fields(count: int) -> str:
    return "{" + ",".join(f'"{n}":0' for n in range(count)) + "}"


def test_as_many_as_may_be_are_taken_and_no_more() -> None:
    assert not _refused(_fields(MAX_FIELD_NAMES))
    assert _refused(_fields(MAX_FIELD_NAMES + 1))
    assert not _refused("[" + "0," * (MAX_VALUES - 1) + "0]")
    assert _refused("[" + "0," * MAX_VALUES + "0]")


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
def test_what_is_made_to_be_hard_to_count_is_counted_once(text: bytes) -> None:
    # A count that went back for each byte would take days.
    assert not _refused(text)
