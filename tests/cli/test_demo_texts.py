"""The text, the page and the address of the demonstration, and when their trials hold."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.cli.demo_texts import GARDEN, LIGHTHOUSE, LISTED_ADDRESS, UPLOADED_ADDRESS, TextTrial, hide
from hashdb.hashing.addresses import normalise
from hashdb.hashing.texts import split_words


def _answer(*segments: tuple[int, int], unit: str = "words") -> dict[str, Any]:
    return {
        "contribution": 7,
        "segments": [{"unit": unit, "query": [9, 99], "listed": list(listed)} for listed in segments],
    }


@pytest.mark.parametrize(
    ("answer", "held"),
    [
        (_answer((100, 300)), True),
        (_answer((110, 200), (190, 310)), True),
        (_answer((100, 300), unit="pages"), False),
        (_answer((0, 300)), False),
        (_answer((100, 200)), False),
        (_answer(), False),
        (_answer((100, 300)) | {"contribution": 8}, False),
        (None, False),
    ],
)
def test_a_trial_of_a_text_holds_only_if_about_the_right_words_match(answer: dict[str, Any] | None, held: bool) -> None:
    assert TextTrial("upload.txt", "a part", 7, answer, (100, 300)).held is held


def test_a_trial_of_a_page_or_an_address_holds_if_it_is_found() -> None:
    answer = {"contribution": 7, "digest": "url"}
    assert TextTrial("links.txt", "it", 7, answer).held
    assert TextTrial("links.txt", "it", 7, answer).description == "the same address"
    assert TextTrial("a.jpg", "it", 7, {"contribution": 7, "pages": [2]}).description == "page 2 of the listed document"
    assert (
        TextTrial("a.txt", "it", 7, _answer((1, 9))).description
        == "words 1-9 of the listed text, at word 9 of this one"
    )
    assert TextTrial("a.txt", "it", 7, None).description == "no match"
    assert not TextTrial("links.txt", "it", 8, answer).held


def test_the_uploads_have_another_spelling_and_only_a_part_of_the_text() -> None:
    assert normalise(UPLOADED_ADDRESS) == normalise(LISTED_ADDRESS)
    upload, listed = split_words(hide()), split_words(LIGHTHOUSE)
    assert len(upload) == len(split_words(GARDEN)) + 260
    assert listed[121] in upload
    assert LIGHTHOUSE not in hide()
