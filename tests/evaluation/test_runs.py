"""An evaluation of pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.alterations import Family
from hashdb.evaluation.duplicates import DUPLICATES_FILE, BadList
from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.remaining import Remaining
from hashdb.evaluation.runs import AlgorithmChoice, ChoiceResult, Evaluation, evaluate
from hashdb.evaluation.samples import UNMEASURED, Scheme
from hashdb.evaluation.tails import Tail
from hashdb.hashing import Limits
from tests.evaluation.conftest import SCHEME
from tests.evaluation.photos import PHOTOS

TWO = Scheme((Algorithm.PDQ, Algorithm.PHASH256), ("plain",), ("JPEG 50", "crop 10 %"))


def _outcome(
    algorithm: Algorithm, distances: list[list[int]], radius: int | None, tail: Tail | None = None
) -> ChoiceResult:
    counts = np.zeros(257, np.int64)
    counts[[70, 100, 128]] = (1, 9, 90)
    pairs = Pairs(10, counts, 100, np.array([[0, 1, 70]]))
    return ChoiceResult(
        AlgorithmChoice(algorithm, "plain", True),
        np.array(distances, np.uint16),
        pairs,
        pairs,
        tail,
        None,
        31,
        radius,
        None,
        1,
        1,
        {},
    )


def _evaluation(*outcomes: ChoiceResult) -> Evaluation:
    return Evaluation(TWO, 1e-11, 1_000, ("a", "b", "c", "d"), {}, (), outcomes)


PDQ = _outcome(Algorithm.PDQ, [[0, 50], [10, 60], [44, 80], [45, 45]], 44)
PHASH256 = _outcome(Algorithm.PHASH256, [[0, 40], [90, 90], [90, 90], [50, 90]], 50)


def test_recall_is_the_share_within_the_radius() -> None:
    assert PDQ.recalls(44).tolist() == [0.75, 0]
    assert PDQ.recalls(45).tolist() == [1, 0.25]
    assert PDQ.recalls(None).tolist() == [0, 0]


def test_algorithms_together_find_what_any_of_them_finds() -> None:
    made = _evaluation(PDQ, PHASH256)
    assert made.at_the_rate("plain", True).tolist() == [1, 0.25]


def test_a_copy_that_was_not_made_is_neither_found_nor_missed() -> None:
    made = _outcome(Algorithm.PDQ, [[0, UNMEASURED], [UNMEASURED, 60], [50, UNMEASURED]], 44)
    assert made.recalls(44).tolist() == [0.5, 0]
    assert _evaluation(made).at_the_rate("plain", True).tolist() == [0.5, 0]
    assert made.curve([1])[0] == (0.01, 1)


def test_families_stand_in_order_with_their_alterations() -> None:
    assert list(_evaluation(PDQ).families()) == [(Family.ENCODING, [0]), (Family.CROPS, [1])]


def test_a_rate_is_of_the_tail_and_beyond_it_counted() -> None:
    tail = Tail(10, np.full(71, 1e-9), np.full(71, 1e-10), np.full(71, 1e-8), np.full(71, 1e-9))
    fitted = _outcome(Algorithm.PDQ, [[0, 0]], 44, tail)
    assert fitted.rate(70) == 1e-9
    assert fitted.rate(100) == pytest.approx(0.1)
    assert PDQ.rate(69) is None
    assert PDQ.rate(70) == pytest.approx(0.01)


def test_a_curve_leaves_out_what_has_no_rate() -> None:
    assert PDQ.curve([0, 1])[:2] == [(0.01, 0.875), (0.01, 0.875)]
    assert len(PDQ.curve([0])) == 128 - 70


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


def test_a_copy_that_the_list_names_makes_no_false_match(small: Evaluation) -> None:
    named = [{Path(small.names[place]).name for place in pair} for pair in small.same]
    assert named == [{"again.jpg", PHOTOS[0].name}]
    for outcome in small.outcomes:
        assert outcome.pairs.total == small.compared[0] == 7 * 6 - 2
        assert outcome.pairs.nearest is not None
        assert outcome.pairs.nearest > 60


def test_what_a_service_matches_is_told_with_its_mistakes(small: Evaluation) -> None:
    assert small.matched["plain"].tolist() == [1, 1, 1]
    assert small.copies == (7, 7, 7)
    assert small.compared == (7 * 6 - 2, 3 * (7 * 6 - 2)), "a picture and what shows the same are no pair"
    assert small.mistakes == ()
    apart = evaluate(
        [Path(name) for name in small.names if "again" in name or PHOTOS[0].name in name],
        SCHEME,
        rate=1e-11,
        items=1_000,
        limits=Limits(),
        processes=1,
    )
    assert apart.mistakes == () and apart.same == ((0, 1),)


def test_the_rate_in_all_is_the_sum_of_the_algorithms_that_make_a_match() -> None:
    tail = Tail(10, np.full(71, 1e-9), np.full(71, 1e-10), np.full(71, 1e-8), np.full(71, 1e-9))
    both = _evaluation(*(_outcome(one, [[0, 0]], 44, tail) for one in (Algorithm.PDQ, Algorithm.PHASH256)))
    assert both.upper_rate("plain") == pytest.approx(2e-8)
    with_phash = _evaluation(*both.outcomes, _outcome(Algorithm.PHASH, [[0, 0]], 44, tail))
    assert with_phash.upper_rate("plain") == pytest.approx(2e-8)
    assert _evaluation(PDQ, *both.outcomes).upper_rate("plain") is None
    verified = _evaluation(*(replace(outcome, remaining=Remaining(0, 60)) for outcome in both.outcomes))
    assert verified.upper_rate("plain") == pytest.approx(2e-8 * Remaining(0, 60).upper)


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


def test_a_list_of_duplicates_is_read_before_anything_is_measured(tmp_path: Path) -> None:
    for photo in PHOTOS[:2]:
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    (tmp_path / DUPLICATES_FILE).write_text("no pair\n")
    done: list[None] = []
    with pytest.raises(BadList):
        evaluate(
            [tmp_path / photo.name for photo in PHOTOS[:2]],
            SCHEME,
            rate=1e-11,
            items=1_000,
            limits=Limits(),
            processes=1,
            advance=lambda: done.append(None),
        )
    assert done == []
