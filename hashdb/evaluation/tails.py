"""The tail of the distances between different pictures: the rate of false matches below what can be counted.

The model: the number of pairs at distance d, for d up to a threshold that about one pair in a thousand reaches, is a
Poisson count about exp(a + b·x + c·x²), x = d − threshold, fitted by maximum likelihood. With c = 0 it is an
exponential tail, the straight line on a logarithmic axis (of the generalised Pareto laws to which tails over a
threshold tend, that of shape 0: Pickands, 1975). A distance is a sum of many bits, so its tail falls ever more steeply
(c < 0: a normal tail). The straight line then overestimates false matches and never underestimates them: it is the
*cautious* estimate, by which radii are chosen. The curved estimate is reported beside it.

Pairs share pictures, so they are not independent. The interval comes from a bootstrap: pictures are drawn with
replacement, a pair counts as often as both of its pictures together were drawn, and the fit is repeated (Owen: The
pigeonhole bootstrap, 2007).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.pairs import Pairs

SHARE: Final = 1e-3
"""The share of the pairs that are fitted, nearest first."""
FEWEST: Final = 60
"""The least number of pairs for a fit."""
_COUNTED = 30
"""With at least this many pairs within a radius, the rate is counted, not estimated."""
_DRAWS, _STEPS = 200, 50
"""How often the bootstrap draws pictures, and the most steps of a fit."""

_Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Tail:
    """False matches per pair of pictures, at the radii from 0 to the threshold."""

    fitted_pairs: int
    """The number of fitted pairs: those up to the threshold."""
    cautious: _Floats
    """The cautious estimate: that of an exponential tail."""
    low: _Floats
    high: _Floats
    """The lower and the upper end of the 95 % interval of the bootstrap's cautious estimates."""
    curved: _Floats
    """The curved estimate: that of a tail which falls ever more steeply."""

    @property
    def threshold(self) -> int:
        """The distance up to which pairs were fitted."""
        return len(self.cautious) - 1

    def radius(self, rate: float) -> int | None:
        """The widest radius at which the upper end of the cautious estimate is at most `rate`; None if no radius is."""
        return _widest(self.high, rate)

    def curved_radius(self, rate: float) -> int | None:
        """The widest radius at which the curved estimate is at most `rate`; None if no radius is."""
        return _widest(self.curved, rate)

    def estimate(self, radius: int) -> float | None:
        """False matches per pair at a radius, by the cautious estimate; None above the threshold."""
        return float(self.cautious[radius]) if radius <= self.threshold else None

    def upper(self, radius: int) -> float | None:
        """The upper end of the 95 % interval of `estimate`."""
        return float(self.high[radius]) if radius <= self.threshold else None

    def as_document(self) -> dict[str, object]:
        """As a part of a JSON document."""
        rates = {name: getattr(self, name).tolist() for name in ("cautious", "low", "high", "curved")}
        return {"threshold": self.threshold, "fitted_pairs": self.fitted_pairs, **rates}

    def curve(self, least_radii: Sequence[int | None]) -> list[tuple[float, float]]:
        """(False matches per pair, share of copies that match) for each radius; none without copies.

        `least_radii` has the least radius at which each copy matches; None if it matches at none.
        """
        known = np.array([radius for radius in least_radii if radius is not None])
        return [
            (float(rate), int((known <= radius).sum()) / len(least_radii))
            for radius, rate in enumerate(self.cautious if least_radii else ())
        ]


class FalseRate(NamedTuple):
    """What the nearest pairs of different videos or texts let expect of the radius in force."""

    radius: int
    """The radius in force, in bits."""
    nearest: int | None
    """The least radius at which any pair matches."""
    tail: Tail | None
    """False matches for a pair by radius; None if there were too few pairs."""

    @property
    def estimate(self) -> float | None:
        """False matches for a pair at the radius in force, by the cautious estimate; None if there is none."""
        return None if self.tail is None else self.tail.estimate(self.radius)

    @property
    def upper(self) -> float | None:
        """The upper end of the 95 % interval of `estimate`."""
        return None if self.tail is None else self.tail.upper(self.radius)

    def as_document(self) -> dict[str, float | None]:
        """As a part of a JSON document."""
        return {"nearest": self.nearest, "estimate": self.estimate, "upper": self.upper}


def false_rate(
    near: Sequence[tuple[int, int, int]], items: int, total: int, algorithm: Algorithm, widest: int, seed: int
) -> FalseRate:
    """Estimate from the pairs of `items` videos or texts that match at any radius up to `widest` bits.

    `near` has for each of them the positions of the query and of the listed item, and the least radius at which they
    match; the other ones of `total` pairs are counted as half of the bits apart.
    """
    beyond = algorithm.bits // 2
    rows = np.array(near, np.int64).reshape(-1, 3)
    counts = np.bincount(rows[:, 2], minlength=beyond + 1).astype(np.int64)
    counts[beyond] += total - len(near)
    tail = fit(Pairs(pictures=items, counts=counts, limit=widest, near=rows), seed) if near else None
    return FalseRate(algorithm.radius, int(rows[:, 2].min()) if near else None, tail)


@dataclass(frozen=True, slots=True)
class Check:
    """What the fit of half of the pictures predicts for the other half, and what was counted there."""

    radius: int
    cautious: float
    curved: float
    """`cautious` and `curved` are the predicted numbers of pairs within the radius."""
    found: int


def fit(pairs: Pairs, seed: int) -> Tail | None:
    """The tail of these pairs; None if they are too few for a fit."""
    threshold = _threshold(pairs)
    if threshold is None:
        return None
    counts = pairs.counts[: threshold + 1].astype(np.float64)
    estimates = [_rates(draw, pairs.total, curved=False) for draw in _draws(pairs, threshold, seed)]
    low, high = np.quantile(np.stack(estimates), (0.025, 0.975), axis=0)
    cautious, curved = (_rates(counts, pairs.total, curved=curved) for curved in (False, True))
    return Tail(int(counts.sum()), cautious, np.minimum(low, cautious), np.maximum(high, cautious), curved)


def check(pairs: Pairs, seed: int) -> Check | None:
    """Fit the pairs among a random half of the pictures, and count those among the other half at a far radius.

    That is the radius at which the cautious estimate expects ten pairs, so the check tests an extrapolation. None if
    there are too few pairs for a fit.
    """
    half = np.random.default_rng(seed).permutation(pairs.pictures) < pairs.pictures // 2
    known, other = (_among(pairs, chosen) for chosen in (half, ~half))
    threshold = _threshold(known)
    if threshold is None:
        return None
    counts = known.counts[: threshold + 1].astype(np.float64)
    scale = _count_ordered(other) / _count_ordered(known)
    cautious, curved = (np.cumsum(_model(counts, curved=curved)) * scale for curved in (False, True))
    radius = int(np.searchsorted(cautious, 10, side="right")) - 1
    return None if radius < 0 else Check(radius, float(cautious[radius]), float(curved[radius]), other.within(radius))


def _threshold(pairs: Pairs) -> int | None:
    """The distance within which SHARE of the pairs lie, or FEWEST pairs if that is more; None if there are too few."""
    within = np.cumsum(pairs.counts[: pairs.limit + 1])
    threshold = int(np.searchsorted(within, max(FEWEST, SHARE * _count_ordered(pairs))))
    if threshold > pairs.limit or np.count_nonzero(pairs.counts[: threshold + 1]) < 3:
        return None
    return threshold


def _count_ordered(pairs: Pairs) -> int:
    """How many ordered pairs the pictures make, counted or not."""
    return pairs.pictures * (pairs.pictures - 1)


def _among(pairs: Pairs, chosen: NDArray[np.bool_]) -> Pairs:
    """The near pairs of which both pictures are chosen."""
    near = pairs.near[chosen[pairs.near[:, 0]] & chosen[pairs.near[:, 1]]]
    counts = np.bincount(near[:, 2], minlength=len(pairs.counts)).astype(np.int64)
    return Pairs(int(chosen.sum()), counts, pairs.limit, near)


def _draws(pairs: Pairs, threshold: int, seed: int) -> Iterator[_Floats]:
    """The counts of the pigeonhole bootstrap."""
    query, stored, distance = pairs.near[pairs.near[:, 2] <= threshold].T
    random = np.random.default_rng(seed)
    for _ in range(_DRAWS):
        times = np.bincount(random.integers(pairs.pictures, size=pairs.pictures), minlength=pairs.pictures)
        counts = np.bincount(distance, times[query] * times[stored], threshold + 1)
        yield counts.astype(np.float64)


def _rates(counts: _Floats, total: int, *, curved: bool) -> _Floats:
    """The share of pairs within each radius: counted if there are enough, else from the model."""
    within = np.cumsum(counts)
    rates: _Floats = np.where(within >= _COUNTED, within, np.cumsum(_model(counts, curved=curved))) / total
    return rates


def _model(counts: _Floats, *, curved: bool) -> _Floats:
    """The expected counts, by Newton's method; a curve that would bend upwards is replaced by a straight line."""
    place = np.linspace(-1, 0, len(counts))
    columns = np.stack([np.ones_like(place), place, place**2][: 2 + curved], axis=1)
    weights = np.zeros(columns.shape[1])
    weights[0], weights[1] = np.log(max(counts.sum(), 1) / 4), 8.0
    for _ in range(_STEPS):
        expected = np.exp(np.clip(columns @ weights, -700, 50))
        # The first and the second derivative of the likelihood by the weights.
        slope = columns.T @ (counts - expected)
        bend = (columns.T * expected) @ columns + 1e-9 * np.eye(len(weights))
        step = np.linalg.solve(bend, slope)
        weights = weights + step * min(1, 2 / max(1e-12, np.abs(step).max()))
        if np.abs(step).max() < 1e-9:
            break
    if curved and weights[2] > 0:
        return _model(counts, curved=False)
    expected_counts: _Floats = np.exp(np.clip(columns @ weights, -700, 50))
    return expected_counts


def _widest(rates: _Floats, most: float) -> int | None:
    fits = np.flatnonzero(rates <= most)
    return int(fits[-1]) if len(fits) else None
