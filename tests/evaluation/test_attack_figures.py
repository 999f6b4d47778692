"""The results of attacks: shares, a table, and a JSON document."""

from __future__ import annotations

import pytest

from hashdb.evaluation.attack_figures import as_document, attack_table, outcomes
from hashdb.evaluation.attacks import Attack, Attacked

REACHED = (44.0, None, 39.95, 31.0)
(OUTCOME,) = outcomes([Attacked(place, {Attack.BEND: decibels}) for place, decibels in enumerate(REACHED)])


def test_a_share_counts_the_changes_that_are_no_larger_up_to_rounding() -> None:
    assert [OUTCOME.share(decibels) for decibels in (45, 40, 36, 30)] == [0, 0.5, 0.5, 0.75]
    assert OUTCOME.median == pytest.approx(39.95)


def test_the_table_has_a_row_for_each_attack() -> None:
    assert attack_table([OUTCOME]).rows == [("is bent onto a match", "4", "40.0", "50.0", "50.0", "50.0", "75.0")]
    (failed,) = outcomes([Attacked(0, {Attack.BEND: None})])
    assert attack_table([failed]).rows[0][2:4] == ("–", "0.0")
    assert attack_table(outcomes([])).rows == []


def test_the_document_has_what_was_reached_on_each_picture() -> None:
    document = as_document([OUTCOME], 7)
    assert (document["seed"], document["pictures"]) == (7, 4)
    (attack,) = document["attacks"]
    assert (attack["attack"], attack["decibels"], attack["shares"]["40"]) == ("bend", REACHED, 0.5)
    assert as_document([], 7)["pictures"] == 0
