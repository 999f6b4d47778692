"""An evaluation of texts, and its tables."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from hashdb.domain.signals import Algorithm
from hashdb.errors import UnreadablePicture
from hashdb.evaluation import text_figures as figures
from hashdb.evaluation.pages import text_curves, text_page
from hashdb.evaluation.passages import COPIES, TextForm
from hashdb.evaluation.texts import (
    SHARED_WORDS,
    Text,
    TextEvaluation,
    TextScheme,
    evaluate_texts,
    longest_run,
    resemblance,
    split_texts,
    steps,
)
from tests.hashing.test_texts import WORDS

CHOSEN = ("as it is", "30 % of the words replaced", "150 words")


def text(seed: int, words: int = 700, common: int = 0) -> Text:
    """A text of random words. The first `common` words are the same in each text."""
    drawn = [*WORDS[:common], *Random(seed).choices(WORDS, k=words - common)]
    return Text(f"{seed}.txt", " ".join(drawn))


@pytest.fixture(scope="module")
def evaluation() -> TextEvaluation:
    """Eight texts, two of which begin with the same 300 words."""
    listed = [text(seed, common=300 if seed < 2 else 0) for seed in range(8)]
    copies = [copy for copy in COPIES if copy.name in CHOSEN]
    return evaluate_texts(TextScheme(listed, [text(seed, 3_200) for seed in (20, 21)], 4, copies), 1)


def test_passages_and_whole_texts_are_found(evaluation: TextEvaluation) -> None:
    recalls = {(recall.copy.form, recall.copy.name): recall for recall in figures.recall_by_copy(evaluation)}
    inside, whole = recalls[TextForm.INSIDE, "as it is"], recalls[TextForm.WHOLE, "as it is"]
    assert (inside.found, inside.exact, inside.digest, inside.whole) == (1.0, 1.0, 0.0, 0.0)
    assert (whole.found, whole.exact, whole.digest, whole.whole) == (1.0, 1.0, 1.0, 1.0)
    assert recalls[TextForm.ALONE, "150 words"].found == 1.0
    assert recalls[TextForm.INSIDE, "30 % of the words replaced"].found < 1.0


def test_only_texts_with_a_common_passage_match(evaluation: TextEvaluation) -> None:
    false = figures.false_matches(evaluation)
    assert (false.shared, false.counted, false.mistaken) == (2, 0, 0)
    assert false.pairs == 8 * 7 - 2
    assert {(pair.query, pair.listed) for pair in evaluation.pairs if pair.shares} == {(0, 1), (1, 0)}
    assert false.rate.nearest is None or false.rate.nearest > Algorithm.SIMHASH256.radius


def test_the_page_and_the_document_have_results_but_no_word_of_a_text(evaluation: TextEvaluation) -> None:
    document = json.dumps(figures.as_document(evaluation))
    html = text_page(evaluation, {"short.txt": "it has 3 words, and 300 are needed"})
    assert "it has 3 words" in html
    assert "<svg" in text_curves(evaluation)
    assert not any(word in document.split('"') or word in html.split() for word in WORDS if len(word) > 5)
    assert "Latin" in document


def test_texts_are_split_into_listed_and_surrounding_ones() -> None:
    texts = [text(seed) for seed in range(8)]
    listed, around = split_texts(texts, 0)
    assert (len(listed), len(around)) == (6, 2)
    assert {*listed, *around} == {*texts}
    assert steps(TextScheme(listed, around, 3)) == 9


def test_a_file_with_too_few_words_is_rejected(tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text("three words here", "utf-8")
    with pytest.raises(UnreadablePicture, match="it has 3 words, and 300 are needed"):
        Text.read(tmp_path / "short.txt", tmp_path)


def test_longest_run_counts_the_common_words_in_a_row() -> None:
    first, other = WORDS[:100], [*WORDS[500:540], *WORDS[30:61], *WORDS[540:570], *WORDS[10:20]]
    assert longest_run(first, other) == 31 > SHARED_WORDS
    assert longest_run(first, ["absent"] * 30) == 0
    assert resemblance(first, first) == 1.0
    assert resemblance(first, WORDS[100:200]) == 0.0


@pytest.mark.parametrize(
    ("words", "script"),
    [("some words", "Latin"), ("несколько слов", "Cyrillic"), ("かなと漢字", "Chinese, Japanese"), ("123", "?")],
)
def test_the_script_of_a_text_is_that_of_most_letters(words: str, script: str) -> None:
    assert Text("one", words * 10).script == script
