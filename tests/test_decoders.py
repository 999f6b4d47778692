"""What strangers wrote is read or refused, whatever the bytes; `scripts/fuzz` goes on for longer."""

from __future__ import annotations

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from tests.decoders import DECODERS

_TEXTS = r'" { ] , \u \ud800 1e999 NaN - = %00 null [] {} .. + | ; \u0661 \u2028'
ODD = st.sampled_from([*map(str.encode, _TEXTS.split()), b"\0", b"\xff", b"\xed\xa0\x80", b"\r\n", b"\x1b", b"9" * 400])
EDITS = st.lists(st.tuples(st.floats(0, 1), st.integers(0, 3), ODD | st.binary(max_size=4)), min_size=1, max_size=5)
"""Where, how many bytes are taken away, and what is put in their place."""


def edited(octets: bytes, edits: list[tuple[float, int, bytes]]) -> bytes:
    """The bytes with these edits."""
    for place, gone, put in edits:
        at = int(place * len(octets))
        octets = octets[:at] + put + octets[at + gone :]
    return octets


@pytest.mark.parametrize("name", DECODERS)
def test_what_is_right_is_read(name: str) -> None:
    assert all(map(DECODERS[name], DECODERS[name].examples))


@pytest.mark.parametrize("name", DECODERS)
def test_anything_else_is_read_or_refused(name: str) -> None:
    decoder = DECODERS[name]

    @seed(8)
    @settings(max_examples=100, deadline=None, database=None)
    @given(st.sampled_from(decoder.examples), EDITS, st.none() | st.binary(max_size=40))
    def reads_or_refuses(example: bytes, edits: list[tuple[float, int, bytes]], other: bytes | None) -> None:
        decoder(edited(example, edits) if other is None else other)

    reads_or_refuses()
