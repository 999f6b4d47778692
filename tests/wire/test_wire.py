"""What every model of the wire does: strict JSON, paths of faults, nothing repeated that may be a hash."""

from __future__ import annotations

import pytest

from hashdb.errors import Fault, InvalidInput, MalformedRequest
from hashdb.wire import path, read, refused
from hashdb.wire.members import MemberIn


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
    assert refusal.value.faults == (Fault("", "takes an object"),)


def test_of_a_name_given_twice_the_last_counts() -> None:
    assert read(MemberIn, '{"name": "A", "kind": "platform", "name": "B"}').name == "B"


def test_a_path_reads_as_in_a_program() -> None:
    assert path(("contributions", 3, "signals", 0)) == "contributions[3].signals[0]"
    assert path(("queries", 0, "radius", "md5", "[key]")) == "queries[0].radius.md5"
    assert path(()) == ""
    assert path(("x" * 65,)) == "x" * 64 + "…"
    assert path(("pdq:" + "ab" * 32,)) == "pdq:…"


def test_a_thousand_faults_are_told_and_the_others_counted() -> None:
    faults = [Fault(str(number), "is wrong") for number in range(1003)]
    error = refused(faults)
    assert (len(error.faults), error.omitted) == (1000, 3)
