"""The tables of an evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from hashdb.evaluation import figures
from hashdb.evaluation.figures import as_document
from hashdb.evaluation.runs import Evaluation
from hashdb.evaluation.samples import Mistake
from tests.evaluation.photos import PHOTOS


def test_every_alteration_has_a_row_with_all_columns(small: Evaluation) -> None:
    table = figures.recall_table(small)
    assert [row[:2] for row in table.rows] == [("JPEG 50", "encoding"), ("JPEG 10", "encoding"), ("mirrored", "turns")]
    assert table.columns[:4] == ("alteration", "family", ">pdq ≤ 44", ">phash256 ≤ 46")
    assert table.rows[0][2:4] == ("100.0", "100.0")
    assert table.columns[4:] == (">plain, matched",)
    for each in (table, figures.matches(small), figures.in_force(small), figures.choices(small)):
        assert {len(row) for row in each.rows} == {len(each.columns)}


def test_an_estimate_from_too_few_pairs_is_a_dash(small: Evaluation) -> None:
    columns, rows = figures.choices(small)
    assert {row[columns.index(">radius")] for row in rows} == {"–"}
    assert not list(figures.checks(small))


def test_pairs_are_listed_with_the_names_of_their_files(small: Evaluation) -> None:
    assert [PHOTOS[0].name in sentence for sentence in figures.same(small)] == [True]
    nearest = list(figures.nearest(small, 3))
    assert nearest and all(sentence.startswith(("pdq ", "phash256 ")) for sentence in nearest)


def test_a_rate_is_formatted_with_two_digits() -> None:
    assert figures.format_rate(1.234e-11) == "1.2e-11"
    assert figures.format_rate(None) == "–"


def test_the_document_is_json_with_all_measured_figures(small: Evaluation) -> None:
    document = json.loads(json.dumps(as_document(small), allow_nan=False))
    assert document["pictures"] == 7
    assert [alteration["name"] for alteration in document["alterations"]] == ["JPEG 50", "JPEG 10", "mirrored"]
    assert {Path(name).name for name in document["same"][0]} == {"again.jpg", PHOTOS[0].name}
    assert [Path(entry["path"]).name for entry in document["unfit"]] == ["<b>&.jpg"]
    pdq = document["choices"][0]
    assert (pdq["algorithm"], pdq["profile"], pdq["transforms"], pdq["radius_in_force"]) == ("pdq", "plain", False, 44)
    assert pdq["radius"] is None
    assert pdq["tail"] is None


def test_a_false_match_is_listed_once_with_its_details(small: Evaluation) -> None:
    mistakes = (
        Mistake(1, 2, "plain", "JPEG 10", {"pdq": 30}, "mirror", None),
        Mistake(2, 1, "plain", None, {"pdq": 31, "phash256": 40}, None, None),
    )
    evaluation = replace(small, mistakes=mistakes)
    first, second = small.names[1:3]
    assert list(figures.mistakes(evaluation, 9)) == [f"{second} (as it is) – {first}: pdq 31, phash256 40"]
    assert list(figures.mistakes(replace(small, mistakes=mistakes[:1]), 9)) == [
        f"{first} (JPEG 10) – {second}: pdq 30, through mirror"
    ]
    assert figures.matches(evaluation).rows == [("plain", "100.0", "1", "40", "1", "120", "–")]
    document = as_document(evaluation)
    assert document["mistakes"][0]["listed"] == second
    assert document["matched"] == [
        {"profile": "plain", "recall": [1, 1, 1], "mistaken": 1, "altered_mistaken": 1, "upper_rate": None}
    ]


def test_the_numbers_found_grow_with_the_radius_and_equal_the_recall(small: Evaluation) -> None:
    for choice in as_document(small)["choices"]:
        for found, recall in zip(choice["found"], choice["recall_in_force"], strict=True):
            assert found == sorted(found)
            assert found[choice["radius_in_force"]] / 7 == recall
        assert choice["pairs_within"] == sorted(choice["pairs_within"])
        least = choice["nearest"][0]["distance"] if choice["nearest"] else len(choice["pairs_within"])
        assert not any(choice["pairs_within"][:least])
