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


def test_every_alteration_has_a_row_and_every_row_every_column(small: Evaluation) -> None:
    table = figures.recall_table(small)
    assert [row[:2] for row in table.rows] == [("JPEG 50", "encoding"), ("JPEG 10", "encoding"), ("mirrored", "turns")]
    assert table.columns[:4] == ("alteration", "family", ">pdq ≤ 44", ">phash256 ≤ 46")
    assert table.rows[0][2:4] == ("100.0", "100.0")
    assert table.columns[4:] == (">plain, matched",)
    for one in (table, figures.matches(small), figures.in_force(small), figures.choices(small)):
        assert {len(row) for row in one.rows} == {len(one.columns)}


def test_what_too_few_pairs_cannot_tell_is_a_dash(small: Evaluation) -> None:
    columns, rows = figures.choices(small)
    assert {row[columns.index(">radius")] for row in rows} == {"–"}
    assert not list(figures.checks(small))


def test_pairs_are_named(small: Evaluation) -> None:
    assert [PHOTOS[0].name in sentence for sentence in figures.same(small)] == [True]
    nearest = list(figures.nearest(small, 3))
    assert nearest and all(sentence.startswith(("pdq ", "phash256 ")) for sentence in nearest)


def test_a_rate_is_written_short() -> None:
    assert figures.format_rate(1.234e-11) == "1.2e-11"
    assert figures.format_rate(None) == "–"


def test_it_is_json_and_tells_what_was_measured(small: Evaluation) -> None:
    said = json.loads(json.dumps(as_document(small), allow_nan=False))
    assert said["pictures"] == 7
    assert [alteration["name"] for alteration in said["alterations"]] == ["JPEG 50", "JPEG 10", "mirrored"]
    assert {Path(name).name for name in said["same"][0]} == {"again.jpg", PHOTOS[0].name}
    assert [Path(one["path"]).name for one in said["unfit"]] == ["<b>&.jpg"]
    pdq = said["choices"][0]
    assert (pdq["algorithm"], pdq["profile"], pdq["transforms"], pdq["radius_in_force"]) == ("pdq", "plain", False, 44)
    assert pdq["radius"] is None
    assert pdq["tail"] is None


def test_a_false_match_is_named_once_and_told_in_full(small: Evaluation) -> None:
    mistakes = (
        Mistake(1, 2, "plain", "JPEG 10", {"pdq": 30}, "mirror", None),
        Mistake(2, 1, "plain", None, {"pdq": 31, "phash256": 40}, None, None),
    )
    made = replace(small, mistakes=mistakes)
    one, other = small.names[1:3]
    assert list(figures.mistakes(made, 9)) == [f"{other} (as it is) – {one}: pdq 31, phash256 40"]
    assert list(figures.mistakes(replace(small, mistakes=mistakes[:1]), 9)) == [
        f"{one} (JPEG 10) – {other}: pdq 30, through mirror"
    ]
    assert figures.matches(made).rows == [("plain", "100.0", "1", "40", "1", "120", "–")]
    said = as_document(made)
    assert said["mistakes"][0]["listed"] == other
    assert said["matched"] == [
        {"profile": "plain", "recall": [1, 1, 1], "mistaken": 1, "altered_mistaken": 1, "upper_rate": None}
    ]


def test_what_was_found_grows_with_the_radius_and_agrees_with_the_recall(small: Evaluation) -> None:
    for choice in as_document(small)["choices"]:
        for found, recall in zip(choice["found"], choice["recall_in_force"], strict=True):
            assert found == sorted(found)
            assert found[choice["radius_in_force"]] / 7 == recall
        assert choice["pairs_within"] == sorted(choice["pairs_within"])
        least = choice["nearest"][0]["distance"] if choice["nearest"] else len(choice["pairs_within"])
        assert not any(choice["pairs_within"][:least])
