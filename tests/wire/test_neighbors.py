"""What is pasted into the match debugger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import InvalidInput
from hashdb.wire.neighbors import LINES, read_lines, spell_lines
from tests.builders import signal

SIGNALS = st.builds(Signal, st.just(Algorithm.PHASH), st.integers(0, 2**64 - 1))
SIDES = st.dictionaries(
    st.sampled_from(["", "mirror", "turned left"]), st.lists(SIGNALS, min_size=1, unique=True).map(tuple), min_size=1
)


@given(SIDES)
def test_what_was_spelled_is_read_again(sides: dict[str, tuple[Signal, ...]]) -> None:
    assert read_lines(spell_lines(sides)) == sides


def test_people_paste_as_they_like() -> None:
    one, other = signal(1), signal(2)
    text = f"  {str(one).upper()}\r\n\n{other}, mirror {one}\n{one}"
    assert read_lines(text) == {"": (one, other), "mirror": (one,)}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "are required"),
        (" \n ", "are required"),
        ("pdq:12", "line 1: pdq takes 64 hex digits, got 2"),
        (f"{signal(1)}\nnonsense", "line 2: a signal is algorithm:hex"),
        (f"{'x' * 41} {signal(1)}", "line 1: what stands before the signal"),
        ("\n" * LINES + str(signal(1)), "take at most"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        read_lines(text)
    assert any(fault.at == "signals" and told in fault.reason for fault in caught.value.faults)
