"""Spelling: which known word was probably meant."""

from __future__ import annotations

import pytest

from hashdb.domain.spelling import did_you_mean, nearest

LABELS = ("graphic_violence", "glorification", "incitement", "manifesto")


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("glorifcation", "glorification"),
        ("Glorification", "glorification"),
        ("graphic-violence", "graphic_violence"),
        ("Graphic Violence", "graphic_violence"),
        ("graphic", "graphic_violence"),
        ("glorfi", "glorification"),
        ("in", None),
        ("zebra", None),
        ("", None),
        ("manifesto" * 100_000, None),
    ],
)
def test_the_nearest_word_is_found_whatever_its_case_and_its_separators(word: str, found: str | None) -> None:
    assert nearest(word, LABELS) == found


def test_the_question_follows_an_error_and_nothing_does_if_no_word_is_near() -> None:
    assert did_you_mean("incitment", LABELS) == "; did you mean 'incitement'?"
    assert did_you_mean("zebra", LABELS) == ""


def test_of_words_that_differ_in_case_alone_the_first_is_found() -> None:
    assert nearest("alpha", ("Alpha", "ALPHA")) == "Alpha"
