"""An evaluation of pictures: recall, false matches and the cost of search, by algorithm, profile and transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.matching.matches import OVERRULING
from hashdb.domain.signals import Algorithm
from hashdb.evaluation.alterations import ALTERATIONS, Family
from hashdb.evaluation.costs import Cost, cost
from hashdb.evaluation.duplicates import duplicates
from hashdb.evaluation.pairs import Pairs, compare
from hashdb.evaluation.remaining import ALL_REMAIN, Remaining, remains
from hashdb.evaluation.samples import UNMEASURED, Mistake, Sample, SampleJob, Scheme, Unfit, measure_all
from hashdb.evaluation.tails import Check, Tail, check, fit
from hashdb.hashing import Limits
from hashdb.index.vectors import Words


def share(matched: NDArray[np.bool_], measured: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The share of the copies measured that matched, by alteration, from arrays of shape (pictures, alterations)."""
    shares: NDArray[np.float64] = (matched & measured).sum(axis=0) / np.maximum(1, measured.sum(axis=0))
    return shares


class AlgorithmChoice(NamedTuple):
    """An algorithm, with a profile, with or without transforms."""

    algorithm: Algorithm
    profile: str
    transforms: bool

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.profile}, {'with' if self.transforms else 'without'} transforms"


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceResult:
    """The measurements of one choice."""

    choice: AlgorithmChoice
    distances: NDArray[np.uint16]
    """From each altered copy to its original; `UNMEASURED`, which exceeds any distance, if there is no such copy.

    Shape (pictures, alterations).
    """
    pairs: Pairs
    altered_pairs: Pairs
    """The pairs with an altered picture as the query: each by one of the alterations, in turn."""
    tail: Tail | None
    """The estimated rate of false matches by radius, up to `tail.threshold`; None if there are too few pairs for it.

    The cautious estimate assumes an exponential tail, and never underestimates. The curved estimate fits the curvature
    of the tail as well, and is lower. `hashdb.evaluation.tails` explains both.
    """
    check: Check | None
    """What such an estimate from half of the pictures predicts for the others; None if there are too few pairs."""
    radius_in_force: int
    """The configured radius, or the default of the algorithm."""
    radius: int | None
    """The widest radius at which the upper end of the cautious estimate is within the algorithm's part of the rate.

    That part is the allowed rate divided by the number of algorithms. None if there is no such radius, or no `tail`.
    """
    curved_radius: int | None
    """The widest radius at which the curved estimate is within that part; None as for `radius`."""
    values_an_item: float
    values_a_query: float
    costs: Mapping[int, Cost]
    """The cost at each radius: at that in force, and at `radius`."""
    remaining: Remaining
    """Of the pairs from which `tail` was estimated, how many remain after the verification."""

    @property
    def upper_rate(self) -> float | None:
        """False matches for a pair at the radius in force: the upper end of the cautious estimate, or the count.

        None if there are too few pairs for an estimate.
        """
        if self.tail is None:
            return None
        upper = self.tail.upper(self.radius_in_force)
        return self.rate(self.radius_in_force) if upper is None else upper

    @property
    def verified_upper_rate(self) -> float | None:
        """What `upper_rate` is after the verification: times the upper end of the share of the pairs that remain."""
        return None if self.upper_rate is None else self.upper_rate * self.remaining.upper

    def recalls(self, radius: int | None) -> NDArray[np.float64]:
        """The share of each alteration's copies within the radius (None: no copy is)."""
        return share(self.distances <= (-1 if radius is None else radius), self.distances != UNMEASURED)

    def rate(self, radius: int) -> float | None:
        """False matches per pair of pictures: the cautious estimate, or beyond the fitted tail the count.

        None if no pair was counted and there are too few pairs for an estimate.
        """
        if self.tail is not None and (estimate := self.tail.estimate(radius)) is not None:
            return estimate
        count = self.pairs.within(radius)
        return count / self.pairs.total if count else None

    def curve(self, alterations: Sequence[int]) -> list[tuple[float, float]]:
        """(False matches per pair, mean recall of the alterations at these positions) for each radius with a rate."""
        chosen = self.distances[:, list(alterations)]
        chosen = chosen[chosen != UNMEASURED]
        rates = [(radius, self.rate(radius)) for radius in range(self.choice.algorithm.bits // 2)]
        return [(rate, float((chosen <= radius).mean())) for radius, rate in rates if rate and len(chosen)]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All measurements."""

    scheme: Scheme
    """What was measured: the algorithms, the profiles, the alterations and the seed."""
    rate: float
    """The allowed number of false matches per pair of pictures."""
    items: int
    """The items of the index whose cost is measured."""
    names: tuple[str, ...]
    """The pictures that were measured; pairs are positions among them."""
    unfit: Mapping[str, str]
    """Pictures that were not measured, and why."""
    same: tuple[tuple[int, int], ...]
    """Pairs of pictures that show the same thing: a list or equal bytes say so."""
    outcomes: tuple[ChoiceResult, ...]
    copies: tuple[int, ...] = ()
    """How many pictures were altered, by alteration."""
    matched: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    """By profile, the share of each alteration's copies that a service answers with their picture."""
    mistakes: tuple[Mistake, ...] = ()
    """The queries that a service answers with a different picture; pictures are positions in `names`."""
    compared: tuple[int, int] = (0, 0)
    """How many pairs of different pictures were compared: with the query as it is, and with altered queries."""
    places: tuple[int, ...] = ()
    """The position of each picture among all that were to be measured, also those that were not."""

    def at_the_rate(self, profile: str, transforms: bool) -> NDArray[np.float64]:
        """The share of each alteration's copies that any algorithm finds within the radius that the rate allows."""
        matched, measured = [], np.zeros((len(self.names), len(self.scheme.alterations)), np.bool_)
        for outcome in self.outcomes:
            if outcome.choice.profile == profile and outcome.choice.transforms == transforms:
                matched.append(outcome.distances <= (-1 if outcome.radius is None else outcome.radius))
                measured = outcome.distances != UNMEASURED
        return share(np.logical_or.reduce(matched), measured)

    def mistaken(self, profile: str, *, altered: bool) -> int:
        """How many pairs of different pictures match, with the query as it is, or with all altered copies."""
        return sum(
            mistake.profile == profile and (mistake.alteration is not None) is altered for mistake in self.mistakes
        )

    def upper_rate(self, profile: str) -> float | None:
        """False matches for a pair in all: the sum of the upper ends of the 256-bit algorithms (`OVERRULING`).

        `phash` is left out: alone, it makes no match where one of them could have. None if there are too few pairs for
        an estimate.
        """
        rates = [
            outcome.verified_upper_rate
            for outcome in self.outcomes
            if outcome.choice.transforms
            and outcome.choice.profile == profile
            and outcome.choice.algorithm in OVERRULING
        ]
        known = [rate for rate in rates if rate is not None]
        return sum(known) if known and len(known) == len(rates) else None

    def families(self) -> Iterator[tuple[Family, list[int]]]:
        """The families that were measured, with the positions of their alterations."""
        for family in Family:
            positions = [i for i, name in enumerate(self.scheme.alterations) if ALTERATIONS[name].family is family]
            if positions:
                yield family, positions


class _Measured(NamedTuple):
    """The samples of the pictures that were measured, with their names, and why others were not."""

    names: tuple[str, ...]
    unfit: Mapping[str, str]
    samples: tuple[Sample, ...]
    beside: tuple[int, ...]
    """The position of the picture that each was put beside."""


def evaluate(
    paths: Sequence[Path],
    scheme: Scheme,
    *,
    rate: float,
    items: int,
    limits: Limits,
    processes: int,
    advance: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Measure these pictures. Raises BadList, before anything is measured.

    `rate` is the allowed number of false matches per pair of pictures for all algorithms together: each algorithm gets
    an equal part of it. The costs are those of an index of `items`. `advance` is called after each picture.
    """
    same_paths = duplicates(paths)
    measured = _measure(paths, scheme, limits, processes, advance)
    samples = measured.samples
    if len(samples) < 2:
        return Evaluation(scheme, rate, items, measured.names, measured.unfit, same=(), outcomes=())
    position_of = {sample.place: position for position, sample in enumerate(samples)}
    same = tuple(sorted((position_of[a], position_of[b]) for a, b in same_paths if {a, b} <= position_of.keys()))
    outcomes = tuple(
        outcome
        for algorithm, profile in product(scheme.algorithms, scheme.profiles)
        for outcome in _outcomes(measured, scheme, algorithm, profile, same, rate, items)
    )
    made = np.stack([sample.is_made for sample in samples])  # by picture and alteration
    copies = made.sum(axis=1).tolist()
    altered_same = sum(copies[first] + copies[second] for first, second in same)
    matched = np.stack([sample.matched for sample in samples])
    mistakes = [
        mistake._replace(query=position_of[mistake.query], listed=position_of[mistake.listed])
        for sample in samples
        for mistake in sample.mistakes
    ]
    return Evaluation(
        scheme,
        rate,
        items,
        measured.names,
        measured.unfit,
        same,
        outcomes,
        copies=tuple(made.sum(axis=0).tolist()),
        matched={profile: share(matched[:, :, position], made) for position, profile in enumerate(scheme.profiles)},
        mistakes=tuple(mistake for mistake in mistakes if tuple(sorted((mistake.query, mistake.listed))) not in same),
        compared=(len(samples) * (len(samples) - 1) - 2 * len(same), sum(copies) * (len(samples) - 1) - altered_same),
        places=tuple(position_of),
    )


def _measure(
    paths: Sequence[Path], scheme: Scheme, limits: Limits, processes: int, advance: Callable[[], object]
) -> _Measured:
    following = [*range(1, len(paths)), 0]  # the place of the picture beside each
    jobs = [
        SampleJob(place, path, paths[following[place]], limits, following[place]) for place, path in enumerate(paths)
    ]
    samples, unfit = [], {}
    for sample in measure_all(jobs, scheme, processes):
        advance()
        if isinstance(sample, Unfit):
            unfit[str(paths[sample.place])] = sample.reason
        else:
            samples.append(sample)
    position_of = {sample.place: position for position, sample in enumerate(samples)}
    beside = tuple(position_of.get(following[place], position) for place, position in position_of.items())
    return _Measured(tuple(str(paths[sample.place]) for sample in samples), unfit, tuple(samples), beside)


def _outcomes(
    measured: _Measured,
    scheme: Scheme,
    algorithm: Algorithm,
    profile: str,
    same: Sequence[tuple[int, int]],
    rate: float,
    items: int,
) -> Iterator[ChoiceResult]:
    """The results of one algorithm and profile: without transforms, then with them."""
    samples = measured.samples
    # Pairs are computed twice: without transforms, and with them.
    both_ways = {pair for first, second in same for pair in ((first, second), (second, first))}
    pairs = _compare(samples, algorithm, profile, both_ways)
    # A collage shows the picture beside it, too: that match is right.
    shown = [_shows_beside(scheme, sample.place) for sample in samples]
    beside = {pair for pair, is_shown in zip(enumerate(measured.beside), shown, strict=True) if is_shown}
    altered = _compare(samples, algorithm, profile, both_ways | beside, altered=True)
    algorithm_at, profile_at = scheme.algorithms.index(algorithm), scheme.profiles.index(profile)
    distances = np.stack([sample.distances[:, algorithm_at, profile_at] for sample in samples])
    values_an_item = float(np.mean([len(sample.stored[profile][algorithm]) for sample in samples]))
    values_with_transforms = float(np.mean([len(sample.views[algorithm].values) for sample in samples]))
    for transforms in (False, True):
        tail = fit(pairs[transforms], scheme.seed)
        own_rate = rate / len(scheme.algorithms)
        radius = None if tail is None else tail.radius(own_rate)
        values_a_query = values_with_transforms if transforms else 1.0
        in_force = scheme.radius(algorithm)
        radii = {in_force, in_force if radius is None else radius}
        yield ChoiceResult(
            choice=AlgorithmChoice(algorithm, profile, transforms),
            distances=distances[:, :, int(transforms)],
            pairs=pairs[transforms],
            altered_pairs=altered[transforms],
            tail=tail,
            check=check(pairs[transforms], scheme.seed),
            radius_in_force=in_force,
            radius=radius,
            curved_radius=None if tail is None else tail.curved_radius(own_rate),
            values_an_item=values_an_item,
            values_a_query=values_a_query,
            remaining=_remaining(samples, pairs[True], tail, algorithm, profile) if transforms else ALL_REMAIN,
            costs={bits: cost(algorithm, bits, items, values_an_item, values_a_query) for bits in sorted(radii)},
        )


def _shows_beside(scheme: Scheme, place: int) -> bool:
    """Whether the altered copy that makes the pairs of a picture shows another picture, too."""
    position = scheme.in_turn(place)
    return position is not None and ALTERATIONS[scheme.alterations[position]].shows_beside


def _remaining(
    samples: Sequence[Sample], pairs: Pairs, tail: Tail | None, algorithm: Algorithm, profile: str
) -> Remaining:
    """How many of the pairs from which `tail` was estimated remain after the verification."""
    if tail is None:
        return ALL_REMAIN
    # A row of `near` has the positions of the query and of the stored picture, and their distance.
    fitted = pairs.near[pairs.near[:, 2] <= tail.threshold].tolist()
    remain = [remains(samples[query].query, samples[stored].listed[profile], algorithm) for query, stored, _ in fitted]
    return Remaining(sum(remain), len(remain))


def _compare(
    samples: Sequence[Sample],
    algorithm: Algorithm,
    profile: str,
    left_out: set[tuple[int, int]],
    *,
    altered: bool = False,
) -> tuple[Pairs, Pairs]:
    """The pairs of the samples without and with transforms, with the pictures or their altered copies as queries."""
    queries = [(sample.altered if altered else sample.views)[algorithm] for sample in samples]
    stored: list[Words] = [sample.stored[profile][algorithm] for sample in samples]
    return compare(queries, stored, algorithm, left_out)
