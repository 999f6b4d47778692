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
from hashdb.evaluation.remaining import ALL_REMAIN, Remaining
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
        ALL_REMAIN,
    )


def _evaluation(*outcomes: ChoiceResult) -> Evaluation:
    return Evaluation(TWO, 1e-11, 1_000, ("a", "b", "c", "d"), {}, (), outcomes)


PDQ = _outcome(Algorithm.PDQ, [[0, 50], [10, 60], [44, 80], [45, 45]], 44)
PHASH256 = _outcome(Algorithm.PHASH256, [[0, 40], [90, 90], [90, 90], [50, 90]], 50)


def test_recall_is_the_share_within_the_radius() -> None:
    assert PDQ.recalls(44).tolist() == [0.75, 0]
    assert PDQ.recalls(45).tolist() == [1, 0.25]
    assert PDQ.recalls(None).tolist() == [0, 0]


def test_the_combined_recall_counts_copies_that_any_algorithm_finds() -> None:
    evaluation = _evaluation(PDQ, PHASH256)
    assert evaluation.at_the_rate("plain", True).tolist() == [1, 0.25]


def test_a_copy_that_was_not_measured_is_neither_found_nor_missed() -> None:
    outcome = _outcome(Algorithm.PDQ, [[0, UNMEASURED], [UNMEASURED, 60], [50, UNMEASURED]], 44)
    assert outcome.recalls(44).tolist() == [0.5, 0]
    assert _evaluation(outcome).at_the_rate("plain", True).tolist() == [0.5, 0]
    assert outcome.curve([1])[0] == (0.01, 1)


def test_families_are_in_order_with_their_alterations() -> None:
    assert list(_evaluation(PDQ).families()) == [(Family.ENCODING, [0]), (Family.CROPS, [1])]


def test_a_rate_is_estimated_by_the_tail_and_counted_beyond_it() -> None:
    tail = Tail(10, np.full(71, 1e-9), np.full(71, 1e-10), np.full(71, 1e-8), np.full(71, 1e-9))
    fitted = _outcome(Algorithm.PDQ, [[0, 0]], 44, tail)
    assert fitted.rate(70) == 1e-9
    assert fitted.rate(100) == pytest.approx(0.1)
    assert PDQ.rate(69) is None
    assert PDQ.rate(70) == pytest.approx(0.01)


def test_a_curve_omits_radii_without_a_rate() -> None:
    assert PDQ.curve([0, 1])[:2] == [(0.01, 0.875), (0.01, 0.875)]
    assert len(PDQ.curve([0])) == 128 - 70


def test_every_choice_of_algorithm_has_an_outcome(small: Evaluation) -> None:
    assert [str(outcome.choice) for outcome in small.outcomes] == [
        "pdq, plain, without transforms",
        "pdq, plain, with transforms",
        "phash256, plain, without transforms",
        "phash256, plain, with transforms",
    ]


def test_a_file_that_cannot_be_measured_is_listed(small: Evaluation) -> None:
    assert {Path(path).name for path in small.unfit} == {"<b>&.jpg"}
    assert len(small.names) == 7


def test_a_listed_duplicate_is_not_counted_as_a_pair(small: Evaluation) -> None:
    named = [{Path(small.names[place]).name for place in pair} for pair in small.same]
    assert named == [{"again.jpg", PHOTOS[0].name}]
    for outcome in small.outcomes:
        assert outcome.pairs.total == small.compared[0] == 7 * 6 - 2
        assert outcome.pairs.nearest is not None
        assert outcome.pairs.nearest > 60


def test_the_matches_of_a_service_are_counted_with_false_matches(small: Evaluation) -> None:
    assert small.matched["plain"].tolist() == [1, 1, 1]
    assert small.copies == (7, 7, 7)
    assert small.compared == (7 * 6 - 2, 3 * (7 * 6 - 2)), "a picture and its duplicate are no pair"
    assert small.mistakes == ()
    only_duplicates = evaluate(
        [Path(name) for name in small.names if "again" in name or PHOTOS[0].name in name],
        SCHEME,
        rate=1e-11,
        items=1_000,
        limits=Limits(),
        processes=1,
    )
    assert only_duplicates.mistakes == () and only_duplicates.same == ((0, 1),)


def test_the_total_rate_is_the_sum_over_algorithms_that_match_alone() -> None:
    tail = Tail(10, np.full(71, 1e-9), np.full(71, 1e-10), np.full(71, 1e-8), np.full(71, 1e-9))
    both = _evaluation(*(_outcome(algorithm, [[0, 0]], 44, tail) for algorithm in (Algorithm.PDQ, Algorithm.PHASH256)))
    assert both.upper_rate("plain") == pytest.approx(2e-8)
    with_phash = _evaluation(*both.outcomes, _outcome(Algorithm.PHASH, [[0, 0]], 44, tail))
    assert with_phash.upper_rate("plain") == pytest.approx(2e-8)
    assert _evaluation(PDQ, *both.outcomes).upper_rate("plain") is None
    verified = _evaluation(*(replace(outcome, remaining=Remaining(0, 60)) for outcome in both.outcomes))
    assert verified.upper_rate("plain") == pytest.approx(2e-8 * Remaining(0, 60).upper)


def test_costs_are_computed_for_the_radius_in_force(small: Evaluation) -> None:
    assert [list(outcome.costs) for outcome in small.outcomes] == [[44], [44], [46], [46]]


def test_a_repeated_run_gives_the_same_distances(small: Evaluation) -> None:
    again = evaluate(
        [Path(name) for name in small.names], SCHEME, rate=1e-11, items=1_000, limits=Limits(), processes=1
    )
    for first, second in zip(small.outcomes, again.outcomes, strict=True):
        # Without the file that was not measured, the places differ. No alteration here depends on the place.
        np.testing.assert_array_equal(first.distances, second.distances)


def test_a_run_of_fewer_than_two_pictures_has_no_outcomes() -> None:
    evaluation = evaluate(PHOTOS[:1], SCHEME, rate=1e-11, items=1_000, limits=Limits(), processes=1)
    assert (len(evaluation.names), evaluation.outcomes) == (1, ())


def test_an_invalid_list_of_duplicates_is_rejected_before_measuring(tmp_path: Path) -> None:
    for photo in PHOTOS[:2]:
        (tmp_path / photo.name).write_bytes(photo.read_bytes())
    (tmp_path / DUPLICATES_FILE).write_text("no pair\n")
    measured: list[None] = []
    with pytest.raises(BadList):
        evaluate(
            [tmp_path / photo.name for photo in PHOTOS[:2]],
            SCHEME,
            rate=1e-11,
            items=1_000,
            limits=Limits(),
            processes=1,
            advance=lambda: measured.append(None),
        )
    assert measured == []
