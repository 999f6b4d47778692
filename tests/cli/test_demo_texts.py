"""The text, the page and the address of the demonstration."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.cli.demo_texts import GARDEN, LIGHTHOUSE, LISTED_ADDRESS, UPLOADED_ADDRESS, TextTrial, hide
from hashdb.hashing.addresses import normalise
from hashdb.hashing.texts import split_words


def _found(*segments: tuple[int, int], unit: str = "words") -> dict[str, Any]:
    return {"contribution": 7, "segments": [{"unit": unit, "query": [9, 99], "listed": list(one)} for one in segments]}


@pytest.mark.parametrize(
    ("found", "held"),
    [
        (_found((100, 300)), True),
        (_found((110, 200), (190, 310)), True),
        (_found((100, 300), unit="pages"), False),
        (_found((0, 300)), False),
        (_found((100, 200)), False),
        (_found(), False),
        (_found((100, 300)) | {"contribution": 8}, False),
        (None, False),
    ],
)
def test_a_text_holds_with_about_its_words_only(found: dict[str, Any] | None, held: bool) -> None:
    assert TextTrial("upload.txt", "a part", 7, found, (100, 300)).held is held


def test_other_things_hold_when_they_are_found() -> None:
    found = {"contribution": 7, "digest": "url"}
    assert TextTrial("links.txt", "it", 7, found).held
    assert TextTrial("links.txt", "it", 7, found).description == "the same address"
    assert TextTrial("a.jpg", "it", 7, {"contribution": 7, "pages": [2]}).description == "page 2 of the listed document"
    assert (
        TextTrial("a.txt", "it", 7, _found((1, 9))).description == "words 1-9 of the listed text, at word 9 of this one"
    )
    assert TextTrial("a.txt", "it", 7, None).description == "no match"
    assert not TextTrial("links.txt", "it", 8, found).held


def test_what_is_matched_is_another_spelling_and_has_a_part_of_the_text_only() -> None:
    assert normalise(UPLOADED_ADDRESS) == normalise(LISTED_ADDRESS)
    hidden, listed = split_words(hide()), split_words(LIGHTHOUSE)
    assert len(hidden) == len(split_words(GARDEN)) + 260
    assert listed[121] in hidden
    assert LIGHTHOUSE not in hide()
