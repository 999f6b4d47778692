"""What follows from what was measured."""

from __future__ import annotations

import numpy as np
import pytest

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.alterations import Family
from hashdb.evaluation.evaluations import Choice, Evaluation, Outcome
from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.schemes import Scheme
from hashdb.evaluation.tails import Tail

SCHEME = Scheme((Algorithm.PDQ, Algorithm.PHASH256), ("plain",), ("JPEG 50", "crop 10 %"))


def _outcome(algorithm: Algorithm, distances: list[list[int]], radius: int | None, tail: Tail | None = None) -> Outcome:
    counts = np.zeros(257, np.int64)
    counts[[70, 100, 128]] = (1, 9, 90)
    pairs = Pairs(10, counts, 100, np.array([[0, 1, 70]]))
    return Outcome(
        Choice(algorithm, "plain", True),
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


def _evaluation(*outcomes: Outcome) -> Evaluation:
    return Evaluation(SCHEME, 1e-11, 1_000, ("a", "b", "c", "d"), {}, (), outcomes)


PDQ = _outcome(Algorithm.PDQ, [[0, 50], [10, 60], [44, 80], [45, 45]], 44)
PHASH256 = _outcome(Algorithm.PHASH256, [[0, 40], [90, 90], [90, 90], [50, 90]], 50)


def test_recall_is_the_share_within_the_radius() -> None:
    assert PDQ.recalls(44).tolist() == [0.75, 0]
    assert PDQ.recalls(45).tolist() == [1, 0.25]
    assert PDQ.recalls(None).tolist() == [0, 0]


def test_algorithms_together_find_what_any_of_them_finds() -> None:
    made = _evaluation(PDQ, PHASH256)
    assert made.together("plain", True, in_force=False).tolist() == [1, 0.25]
    assert made.together("plain", True, in_force=True).tolist() == [0.5, 0]


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
