"""A run over a folder, as a whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hashdb.evaluation.evaluations import Evaluation
from hashdb.evaluation.runs import evaluate
from hashdb.hashing import Limits
from tests.evaluation.conftest import SCHEME
from tests.evaluation.photos import PHOTOS


def test_every_choice_has_its_outcome(small: Evaluation) -> None:
    assert [str(outcome.choice) for outcome in small.outcomes] == [
        "pdq, plain, without transforms",
        "pdq, plain, with transforms",
        "phash256, plain, without transforms",
        "phash256, plain, with transforms",
    ]


def test_what_cannot_be_measured_is_named(small: Evaluation) -> None:
    assert {Path(path).name for path in small.unfit} == {"<b>&.jpg"}
    assert len(small.names) == 7


def test_a_copy_within_the_folder_is_named_and_makes_no_false_match(small: Evaluation) -> None:
    named = [{Path(small.names[place]).name for place in pair} for pair in small.same]
    assert named == [{"again.jpg", PHOTOS[0].name}]
    for outcome in small.outcomes:
        assert outcome.pairs.total == 7 * 6 - 2
        assert outcome.pairs.nearest is not None
        assert outcome.pairs.nearest > 60


def test_costs_are_of_the_radius_in_force(small: Evaluation) -> None:
    assert [list(outcome.costs) for outcome in small.outcomes] == [[44], [44], [46], [46]]


def test_a_run_can_be_repeated(small: Evaluation) -> None:
    again = evaluate(
        [Path(name) for name in small.names], SCHEME, rate=1e-11, items=1_000, limits=Limits(), processes=1
    )
    for one, other in zip(small.outcomes, again.outcomes, strict=True):
        # The places have moved up by the one that was not measured, and with them what is left to chance: not here.
        np.testing.assert_array_equal(one.distances, other.distances)


def test_less_than_two_pictures_have_no_outcome() -> None:
    made = evaluate(PHOTOS[:1], SCHEME, rate=1e-11, items=1_000, limits=Limits(), processes=1)
    assert (len(made.names), made.outcomes) == (1, ())
