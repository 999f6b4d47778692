"""Altered copies of texts."""

# ruff: noqa: RUF001

from __future__ import annotations

from random import Random

import pytest

from hashdb.evaluation.passages import COPIES, TextCopy, TextForm, pieces, take_words
from hashdb.hashing.texts import split_words
from tests.hashing.test_texts import WORDS

TEXT = ". ".join(" ".join(WORDS[place : place + 12]) for place in range(0, 480, 12))
OTHERS = pieces(" ".join(WORDS[600:900]))
UNALTERED = ("as it is", "Cyrillic and Greek in Latin letters", "HTML entities left in")
"""The alterations that do not change a text of plain Latin letters."""
SAME = (
    "as it is",
    "upper case",
    "fullwidth letters",
    "wrapped anew, with hyphens",
    "invisible characters",
    "struck through by combining marks",
    "letters that look alike",
    "punctuation within words",
    "letter-spaced",
    "Cyrillic and Greek in Latin letters",
)


@pytest.mark.parametrize("text", [TEXT, "一字一詞，也是一段話。" * 20, "ภาษาไทย " * 30, " leading, and two  spaces\n"])
def test_the_pieces_of_a_text_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text)) == text.lstrip()


def test_take_words_returns_the_requested_number_of_words() -> None:
    words = pieces(TEXT)
    passage = take_words(words, [1] * len(words), 30, 100)
    assert split_words("".join(passage)) == split_words(TEXT)[30:130]
    assert len(take_words(words, [1] * len(words), 30, 10_000)) == len(words) - 30


@pytest.mark.parametrize("name", SAME)
def test_a_disguised_text_is_read_with_the_same_words(name: str) -> None:
    copy = next(copy for copy in COPIES if copy.name == name)
    assert split_words(copy.alter(pieces(TEXT), Random(3), OTHERS)) == split_words(TEXT)


@pytest.mark.parametrize("copy", COPIES, ids=lambda copy: f"{copy.form.name} {copy.name}")
def test_a_copy_is_the_same_for_the_same_seed(copy: TextCopy) -> None:
    words = pieces(TEXT)
    altered = [copy.alter(words, Random(7), OTHERS) for _ in range(2)]
    assert altered[0] == altered[1]
    if copy.form is TextForm.INSIDE and copy.name not in UNALTERED:
        assert altered[0] != TEXT


def test_rows_of_dots_do_not_count_as_words() -> None:
    """A table of contents has more dots than words."""
    text = " . . . . . . . . . . . . . . . . . . . . ".join(WORDS[:200])
    for copy in COPIES:
        if copy.name == "10 % of the words replaced":
            altered = copy.alter(pieces(text), Random(1), [*OTHERS, ". "])
            assert len(split_words(altered)) == 200
            assert altered.count(".") == text.count(".")


@pytest.mark.parametrize(
    ("name", "least", "most"),
    [
        ("10 % of the words replaced", 0.84, 0.95),
        ("10 % of the words left out", 0.84, 0.95),
        ("10 % of words inserted", 0.99, 1.0),
        ("10 % of the words misspelt", 0.84, 0.95),
    ],
)
def test_an_alteration_changes_about_a_tenth_of_the_words(name: str, least: float, most: float) -> None:
    copy = next(copy for copy in COPIES if copy.name == name)
    remaining = set(split_words(copy.alter(pieces(TEXT), Random(1), OTHERS)))
    words = split_words(TEXT)
    assert least <= sum(word in remaining for word in words) / len(words) <= most
