"""The tables of an evaluation."""

from __future__ import annotations

import json
from pathlib import Path

from hashdb.evaluation import figures
from hashdb.evaluation.figures import as_document
from hashdb.evaluation.runs import Evaluation
from tests.evaluation.photos import PHOTOS


def test_every_alteration_has_a_row_and_every_row_every_column(small: Evaluation) -> None:
    table = figures.recall(small)
    assert [row[:2] for row in table.rows] == [("JPEG 50", "encoding"), ("JPEG 10", "encoding"), ("mirrored", "turns")]
    assert table.columns[:4] == ("alteration", "family", ">pdq ≤ 44", ">phash256 ≤ 46")
    assert table.rows[0][2:4] == ("100.0", "100.0")
    for one in (table, figures.in_force(small), figures.choices(small)):
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
    assert figures.rare(1.234e-11) == "1.2e-11"
    assert figures.rare(None) == "–"


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


def test_what_was_found_grows_with_the_radius_and_agrees_with_the_recall(small: Evaluation) -> None:
    for choice in as_document(small)["choices"]:
        for found, recall in zip(choice["found"], choice["recall_in_force"], strict=True):
            assert found == sorted(found)
            assert found[choice["radius_in_force"]] / 7 == recall
        assert choice["pairs_within"] == sorted(choice["pairs_within"])
        least = choice["nearest"][0]["distance"] if choice["nearest"] else len(choice["pairs_within"])
        assert not any(choice["pairs_within"][:least])
