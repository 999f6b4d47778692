"""Tails: the predictions of a fit, for pairs with a known distribution."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.tails import Tail, check, fit


def _pairs(distances: NDArray[np.integer]) -> Pairs:
    """The pairs of a square of distances. Row i has the distances of the queried picture i."""
    pictures = len(distances)
    off_diagonal = np.where(np.eye(pictures, dtype=bool), 999, distances)
    counts = np.bincount(off_diagonal.ravel(), minlength=1000)[:257].astype(np.int64)
    limit = int(np.searchsorted(np.cumsum(counts), 0.02 * counts.sum()))
    rows, columns = np.nonzero(off_diagonal <= limit)
    near = np.stack([rows, columns, off_diagonal[rows, columns]], axis=1).astype(np.int64)
    return Pairs(pictures, counts, limit, near)


def _exponential(pictures: int, seed: int) -> Pairs:
    """The share of pairs within d bits is 10^((d - 128) / 8): the tail is a straight line."""
    random = np.random.default_rng(seed)
    distances = 128 + 8 * np.log10(1 - random.random((pictures, pictures)))
    return _pairs(np.clip(np.ceil(distances), 0, 256).astype(np.int64))


def _binomial(pictures: int, seed: int) -> Pairs:
    """Distances of values of random bits."""
    return _pairs(np.random.default_rng(seed).binomial(256, 0.5, (pictures, pictures)))


def _fitted(pairs: Pairs) -> Tail:
    tail = fit(pairs, 0)
    assert tail is not None
    return tail


def test_a_straight_tail_is_predicted_six_powers_of_ten_below_the_counts() -> None:
    tail = _fitted(_exponential(700, 1))
    for bits in (40, 60, 80):
        expected = 10 ** ((bits - 128) / 8)
        assert tail.low[bits] <= expected <= tail.high[bits]
        assert tail.cautious[bits] == pytest.approx(expected, rel=3)
    expected_radius = 128 - 8 * 11
    radius = tail.radius(1e-11)
    assert radius is not None
    assert expected_radius - 12 <= radius <= expected_radius


def test_the_cautious_estimate_of_a_steepening_tail_is_too_high() -> None:
    pairs = _binomial(900, 2)
    tail = _fitted(pairs)
    cautious, curved = tail.radius(1e-11), tail.curved_radius(1e-11)
    # The exact binomial distribution reaches 1e-11 at 75 bits.
    assert cautious is not None and curved is not None
    assert 55 <= cautious < curved <= 80


def test_the_counted_rate_is_used_at_the_threshold() -> None:
    pairs = _exponential(400, 3)
    tail = _fitted(pairs)
    assert tail.cautious[-1] == pairs.within(tail.threshold) / pairs.total
    assert tail.fitted_pairs == pairs.within(tail.threshold)


def test_a_rate_grows_with_the_radius_and_is_within_its_interval() -> None:
    tail = _fitted(_binomial(500, 4))
    for rates in (tail.cautious, tail.curved):
        assert (np.diff(rates) >= -1e-15).all()
    assert (tail.low <= tail.cautious).all()
    assert (tail.cautious <= tail.high).all()


def test_pictures_with_many_near_neighbors_widen_the_interval() -> None:
    """Both have the same number of near pairs, of one picture or of all. Pairs are not independent of each other."""
    random = np.random.default_rng(5)
    spread = np.full((300, 300), 200)
    spread.ravel()[random.choice(90_000, 400, replace=False)] = random.integers(70, 100, 400)
    hub = np.full((300, 300), 200)
    hub[7, :200] = hub[:200, 7] = random.integers(70, 100, 200)
    spread_tail, hub_tail = _fitted(_pairs(spread)), _fitted(_pairs(hub))
    assert hub_tail.high[60] / hub_tail.cautious[60] > 1.5 * spread_tail.high[60] / spread_tail.cautious[60]


def test_too_few_pairs_give_no_tail_and_no_check() -> None:
    pairs = _binomial(20, 6)
    assert fit(pairs, 0) is None
    assert check(pairs, 0) is None


def test_a_prediction_from_half_of_the_pictures_fits_the_other_half() -> None:
    checked = check(_exponential(800, 7), 0)
    assert checked is not None
    assert 3 <= checked.cautious <= 10
    assert checked.found == pytest.approx(checked.cautious, abs=12)


def test_a_curve_has_the_rate_and_the_matched_share_at_each_radius() -> None:
    tail = _fitted(_exponential(100, seed=1))
    points = tail.curve([0, 3, 3, None])
    assert [share for _, share in points[:5]] == [0.25, 0.25, 0.25, 0.75, 0.75]
    assert [rate for rate, _ in points] == [tail.estimate(radius) for radius in range(tail.threshold + 1)]
    assert tail.curve([]) == []
    assert tail.estimate(tail.threshold + 1) is None and tail.upper(tail.threshold + 1) is None
