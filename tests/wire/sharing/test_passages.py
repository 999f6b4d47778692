"""The exchange format for windows of words: written, read back, and invalid input rejected."""

from __future__ import annotations

import json

import pytest

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire.sharing.passages import passages_text, read_passages

_VALUES = [3, 2**255 + 1]
FRAMES = [
    Frame(1, (Signal(Algorithm.PDQ, 5),), 90, unit=Unit.PAGES),
    *(
        Frame(50 * place, (Signal(Algorithm.SIMHASH256, value),), unit=Unit.WORDS, length=150)
        for place, value in enumerate(_VALUES)
    ),
]


def test_the_windows_of_a_document_are_written_and_read_back() -> None:
    assert read_passages(passages_text(FRAMES)) == [
        {"words": [0, 150], "signals": [f"simhash256:{3:064x}"]},
        {"words": [50, 200], "signals": [f"simhash256:{2**255 + 1:064x}"]},
    ]


def test_pages_without_words_give_an_empty_list() -> None:
    assert passages_text(FRAMES[:1]) == "[]"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[]",
        "{}",
        "7",
        json.dumps([3]),
        json.dumps(["00,0,150"]),
        json.dumps([f"{3:064x},0"]),
        json.dumps([f"{3:064x},0,150", f"{3:064x},-1,150"]),
        "[" * 100_000,
        json.dumps([f"{3:064x},0,150"] * 7_201),
    ],
)
def test_invalid_input_is_rejected_with_a_clear_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a list of"):
        read_passages(text)
