"""The tables of an evaluation."""

from __future__ import annotations

from hashdb.evaluation import figures
from hashdb.evaluation.evaluations import Evaluation
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
    assert all(sentence.startswith(("pdq ", "phash256 ")) for sentence in figures.nearest(small, 3))


def test_a_rate_is_written_short() -> None:
    assert figures.rare(1.234e-11) == "1.2e-11"
    assert figures.rare(None) == "–"
