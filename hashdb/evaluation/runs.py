"""An evaluation: recall, false matches and the cost of search, for each algorithm, profile and transforms."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import log
from pathlib import Path
from statistics import median
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.alterations import ALTERATIONS, Family
from hashdb.evaluation.pairs import Pairs, compare
from hashdb.evaluation.samples import Sample, SampleJob, Scheme, Unfit, measure_all
from hashdb.evaluation.tails import Check, Tail, check, fit
from hashdb.hashing import Limits
from hashdb.index.segment import Segment, build_segment
from hashdb.index.vectors import Words

MOST: Final = 2_000_000
"""The most values that are measured; the cost of more values is extrapolated."""
_FEWER = 8
"""The factor by which a second measurement has fewer values, to see how the time grows."""
_QUERIES, _ROUNDS = 20, 3


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of search with one algorithm at one radius."""

    bytes_an_item: float
    microseconds_a_query: float
    """For one picture with all of its transforms."""
    measured: int
    """Values in the segment that was measured."""
    scanned: bool
    """Whether every value is compared, because tables do not help at this radius."""


def cost(algorithm: Algorithm, radius: int, items: int, values_an_item: float, values_a_query: float) -> Cost:
    """The memory of an index of so many items and the time of a query, on this machine, with one thread.

    Random values are spread more evenly than those of pictures, so with tables the time is a lower bound. Above `MOST`
    values, the time is assumed to grow as a power of their number: linearly for a scan, more slowly with tables, as a
    larger segment has wider chunks.
    """
    values = max(1, round(items * values_an_item))
    measured = min(values, MOST)
    octets, seconds, scanned = _measured(algorithm, radius, measured)
    if values > measured:
        growth = 1.0 if scanned else _growth(seconds, _measured(algorithm, radius, measured // _FEWER)[1])
        seconds *= (values / measured) ** growth
    return Cost(
        bytes_an_item=octets / measured * values_an_item,
        microseconds_a_query=seconds * 1e6 * values_a_query,
        measured=measured,
        scanned=scanned,
    )


def _growth(seconds: float, fewer: float) -> float:
    """The exponent with which the time grows; at most that of a scan."""
    return min(1.0, max(0.0, log(seconds / fewer, _FEWER)))


@lru_cache(maxsize=64)
def _measured(algorithm: Algorithm, radius: int, count: int) -> tuple[int, float, bool]:
    """The bytes of a segment of `count` random values, the seconds of a query, and whether it is scanned."""
    random = np.random.default_rng(count)
    segment = build_segment(_random(random, count, algorithm), radius)
    return _bytes(segment), _seconds(segment, _random(random, _QUERIES, algorithm), radius), not segment.cut.widths


def _seconds(segment: Segment, queries: Words, radius: int) -> float:
    segment.search(queries, radius)
    times = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        segment.search(queries, radius)
        times.append(time.perf_counter() - start)
    return median(times) / _QUERIES


def _bytes(segment: Segment) -> int:
    """The bytes of a segment; for values of 64 bits, the first table holds the values."""
    tables = [table for table in (segment.offsets, segment.entries) if table is not None]
    lanes = [lane for lane in segment.lanes if not any(np.may_share_memory(lane, table) for table in tables)]
    return sum(lane.nbytes for lane in lanes) + sum(table.nbytes for table in tables)


def _random(random: np.random.Generator, count: int, algorithm: Algorithm) -> Words:
    words: Words = random.integers(2**64, size=(count, algorithm.bits // 64), dtype=np.uint64)
    return words


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
    """From each altered copy to its original. Shape (pictures, alterations)."""
    pairs: Pairs
    altered_pairs: Pairs
    """The same with an altered picture as the query: each by one of the alterations, in turn."""
    tail: Tail | None
    check: Check | None
    in_force: int
    """The configured radius, or the default of the algorithm."""
    radius: int | None
    """The widest radius at which false matches are rare enough, by the cautious estimate."""
    curved_radius: int | None
    """The same by the curved estimate."""
    values_an_item: float
    values_a_query: float
    costs: Mapping[int, Cost]
    """By radius: that in force and `radius`."""

    def recalls(self, radius: int | None) -> NDArray[np.float64]:
        """The share of each alteration's copies within the radius (None: no copy is)."""
        shares: NDArray[np.float64] = (self.distances <= (-1 if radius is None else radius)).mean(axis=0)
        return shares

    def rate(self, radius: int) -> float | None:
        """False matches per pair of pictures: the cautious estimate, or beyond the fitted tail the count.

        None if no pair was counted and there are too few pairs for an estimate.
        """
        if self.tail is not None and radius <= self.tail.threshold:
            return float(self.tail.cautious[radius])
        count = self.pairs.within(radius)
        return count / self.pairs.total if count else None

    def curve(self, places: Sequence[int]) -> list[tuple[float, float]]:
        """(False matches per pair, mean recall of some alterations) for each radius that has a rate."""
        chosen = self.distances[:, list(places)]
        rates = [(radius, self.rate(radius)) for radius in range(self.choice.algorithm.bits // 2)]
        return [(rate, float((chosen <= radius).mean())) for radius, rate in rates if rate]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All measurements."""

    scheme: Scheme
    rate: float
    items: int
    names: tuple[str, ...]
    """The pictures that were measured; pairs are positions among them."""
    unfit: Mapping[str, str]
    """Pictures that were not measured, and why."""
    same: tuple[tuple[int, int], ...]
    """Pairs of pictures that are assumed to show the same thing."""
    outcomes: tuple[ChoiceResult, ...]

    def together(self, profile: str, transforms: bool, *, in_force: bool) -> NDArray[np.float64]:
        """The share of each alteration's copies that any algorithm finds within its radius.

        The radius is the one in force, or the one that the rate of false matches allows.
        """
        found = []
        for outcome in self.outcomes:
            if outcome.choice.profile == profile and outcome.choice.transforms == transforms:
                radius = outcome.in_force if in_force else outcome.radius
                found.append(outcome.distances <= (-1 if radius is None else radius))
        shares: NDArray[np.float64] = np.logical_or.reduce(found).mean(axis=0)
        return shares

    def families(self) -> Iterator[tuple[Family, list[int]]]:
        """The families that were measured, with the positions of their alterations."""
        for family in Family:
            places = [i for i, name in enumerate(self.scheme.alterations) if ALTERATIONS[name].family is family]
            if places:
                yield family, places


SAME: Final = {Algorithm.PDQ: 60, Algorithm.PHASH256: 60}
"""Two pictures this near by both algorithms are assumed to show the same thing (a burst, a copy): no false match."""


class _Measured(NamedTuple):
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
    """Measure these pictures.

    `rate` is the allowed number of false matches per pair of pictures for all algorithms together: each algorithm gets
    an equal part of it. The costs are those of an index of `items`. `advance` is called after each picture.
    """
    measured = _measure(paths, scheme, limits, processes, advance)
    if len(measured.samples) < 2:
        return Evaluation(scheme, rate, items, measured.names, measured.unfit, (), ())
    same = _same(measured, scheme)
    outcomes = tuple(
        outcome
        for algorithm, profile in product(scheme.algorithms, scheme.profiles)
        for outcome in _outcomes(measured, scheme, algorithm, profile, same, rate, items)
    )
    return Evaluation(scheme, rate, items, measured.names, measured.unfit, same, outcomes)


def _measure(
    paths: Sequence[Path], scheme: Scheme, limits: Limits, processes: int, advance: Callable[[], object]
) -> _Measured:
    jobs = [SampleJob(place, path, paths[(place + 1) % len(paths)], limits) for place, path in enumerate(paths)]
    samples, unfit = [], {}
    for sample in measure_all(jobs, scheme, processes):
        advance()
        if isinstance(sample, Unfit):
            unfit[str(paths[sample.place])] = sample.reason
        else:
            samples.append(sample)
    at = {sample.place: position for position, sample in enumerate(samples)}
    beside = tuple(at.get((sample.place + 1) % len(paths), at[sample.place]) for sample in samples)
    return _Measured(tuple(str(paths[sample.place]) for sample in samples), unfit, tuple(samples), beside)


def _same(measured: _Measured, scheme: Scheme) -> tuple[tuple[int, int], ...]:
    """The pairs within SAME by both of its algorithms, with any variant and transform."""
    near: list[set[tuple[int, int]]] = []
    for algorithm, radius in SAME.items():
        if algorithm not in scheme.algorithms or not measured.samples:
            return ()
        pairs = _compare(measured.samples, algorithm, scheme.profiles[-1], set())[1]
        rows = pairs.near[pairs.near[:, 2] <= radius][:, :2]
        near.append({(min(one, other), max(one, other)) for one, other in rows.tolist()})
    return tuple(sorted(set.intersection(*near)))


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
    both_ways = {pair for one, other in same for pair in ((one, other), (other, one))}
    pairs = _compare(samples, algorithm, profile, both_ways)
    # A collage shows the picture beside it, too: that match is right.
    beside = set(enumerate(measured.beside))
    altered = _compare(samples, algorithm, profile, both_ways | beside, altered=True)
    column, row = scheme.algorithms.index(algorithm), scheme.profiles.index(profile)
    distances = np.stack([sample.distances[:, column, row] for sample in samples])
    values = float(np.mean([len(sample.stored[profile][algorithm]) for sample in samples]))
    queries = float(np.mean([len(sample.asked[algorithm]) for sample in samples]))
    for transforms in (False, True):
        tail = fit(pairs[transforms], scheme.seed)
        part = rate / len(scheme.algorithms)
        radius = None if tail is None else tail.radius(part)
        values_a_query = queries if transforms else 1.0
        in_force = scheme.radius(algorithm)
        radii = {in_force, in_force if radius is None else radius}
        yield ChoiceResult(
            choice=AlgorithmChoice(algorithm, profile, transforms),
            distances=distances[:, :, int(transforms)],
            pairs=pairs[transforms],
            altered_pairs=altered[transforms],
            tail=tail,
            check=check(pairs[transforms], scheme.seed),
            in_force=in_force,
            radius=radius,
            curved_radius=None if tail is None else tail.curved_radius(part),
            values_an_item=values,
            values_a_query=values_a_query,
            costs={bits: cost(algorithm, bits, items, values, values_a_query) for bits in sorted(radii)},
        )


def _compare(
    samples: Sequence[Sample],
    algorithm: Algorithm,
    profile: str,
    left_out: set[tuple[int, int]],
    *,
    altered: bool = False,
) -> tuple[Pairs, Pairs]:
    queries: list[Words] = [(sample.altered if altered else sample.asked)[algorithm] for sample in samples]
    stored: list[Words] = [sample.stored[profile][algorithm] for sample in samples]
    return compare(queries, stored, algorithm, left_out)
