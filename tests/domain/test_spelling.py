"""Spelling: which id is written, and which known word was probably meant."""

from __future__ import annotations

import pytest

from hashdb.domain.spelling import did_you_mean, nearest, read_id

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


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("17", (None, 17)),
        ("#17", (None, 17)),
        (" 17 ", (None, 17)),
        ("contribution 17", ("contribution", 17)),
        ("Contribution #17:", ("contribution", 17)),
        ("contribution:17", ("contribution", 17)),
        ("benign entry 3", ("entry", 3)),
        ("benign:3", ("entry", 3)),
        ("https://hashes.example/console/contributions/17?page=2", ("contribution", 17)),
        ("https://hashes.example/console/cases/3", ("case", 3)),
        ("https://hashes.example/console/users/3", ("user", 3)),
        ("/console/cases/3", ("case", 3)),
        ("report 3", ("report", 3)),
        ("batches 3", ("batch", 3)),
        ("seventeen", None),
        ("sentence 17", None),
        ("-17", None),
        ("1.7", None),
        ("\u0661\u0667", None),
        ("contribution 17 18", None),
        ("17 contribution", None),
    ],
)
def test_an_id_is_read_as_it_is_shown(shown: str, read: tuple[str | None, int] | None) -> None:
    assert read_id(shown) == read
