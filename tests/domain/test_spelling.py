"""Spelling: the id in a text, and the known word that was probably meant."""

from __future__ import annotations

import time

import pytest

from hashdb.domain.spelling import did_you_mean, nearest, read_id

LABELS = ("graphic_violence", "glorification", "incitement", "manifesto")


@pytest.mark.parametrize(
    ("word", "expected"),
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
def test_the_nearest_word_is_found_regardless_of_case_and_separators(word: str, expected: str | None) -> None:
    assert nearest(word, LABELS) == expected


def test_did_you_mean_suggests_a_near_word_or_nothing() -> None:
    assert did_you_mean("incitment", LABELS) == "; did you mean 'incitement'?"
    assert did_you_mean("zebra", LABELS) == ""


def test_the_first_of_two_words_that_differ_only_in_case_is_found() -> None:
    assert nearest("alpha", ("Alpha", "ALPHA")) == "Alpha"


@pytest.mark.parametrize(
    ("text", "expected"),
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
def test_an_id_is_read_in_every_form_that_the_console_shows(text: str, expected: tuple[str | None, int] | None) -> None:
    assert read_id(text) == expected


@pytest.mark.parametrize("text", ["https://x" + "/a" * 100_000, "/a" * 100_000, "https://x/" + "a" * 200_000])
def test_a_long_address_is_read_in_time_proportional_to_its_length(text: str) -> None:
    before = time.process_time()
    assert read_id(text) is None
    assert read_id(f"{text}/cases/3") == ("case", 3)
    assert time.process_time() - before < 5
