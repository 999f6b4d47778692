"""What search pays: bytes of the index an item, and time of a query, measured on random values."""

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
from hashdb.index.segment import Segment, build
from hashdb.index.vectors import Words

MOST: Final = 2_000_000
"""Values that are measured; what more of them take follows from how the time grows up to here."""
_FEWER = 8
"""How many times fewer values are measured too, to see how the time grows."""
_QUERIES, _ROUNDS = 20, 3


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one algorithm, at one radius."""

    bytes_an_item: float
    microseconds_a_query: float
    """Of one picture that is asked about, all of its transforms together."""
    measured: int
    """Values in the segment that was measured."""
    scanned: bool
    """Whether every value is compared, as no table pays at this radius."""


def cost(algorithm: Algorithm, radius: int, items: int, values_an_item: float, values_a_query: float) -> Cost:
    """What an index of so many items takes, in memory and for each query, on this machine, with one thread.

    Random values are spread more evenly than those of pictures, so where tables are used the time is the least that
    can be expected. Past what is measured it is taken to grow as a power of the values: a scan's grows with them, that
    of tables ever more slowly, since a larger segment has wider chunks.
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
    """The power with which time grows; at most that of a scan."""
    return min(1.0, max(0.0, log(seconds / fewer, _FEWER)))


@lru_cache(maxsize=64)
def _measured(algorithm: Algorithm, radius: int, count: int) -> tuple[int, float, bool]:
    """Bytes of a segment of so many random values, seconds of a query of one, and whether it is scanned."""
    random = np.random.default_rng(count)
    segment = build(_random(random, count, algorithm), radius)
    return _bytes(segment), _seconds(segment, _random(random, _QUERIES, algorithm), radius), not segment.cut.widths


def _seconds(segment: Segment, queries: Words, radius: int) -> float:
    segment.search(queries, radius)
    spent = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        segment.search(queries, radius)
        spent.append(time.perf_counter() - start)
    return median(spent) / _QUERIES


def _bytes(segment: Segment) -> int:
    """Of values of 64 bits, the first table is the values."""
    tables = [table for table in (segment.offsets, segment.entries) if table is not None]
    lanes = [lane for lane in segment.lanes if not any(np.may_share_memory(lane, table) for table in tables)]
    return sum(lane.nbytes for lane in lanes) + sum(table.nbytes for table in tables)


def _random(random: np.random.Generator, count: int, algorithm: Algorithm) -> Words:
    words: Words = random.integers(2**64, size=(count, algorithm.bits // 64), dtype=np.uint64)
    return words


class AlgorithmChoice(NamedTuple):
    """One way to use one algorithm."""

    algorithm: Algorithm
    profile: str
    transforms: bool

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.profile}, {'with' if self.transforms else 'without'} transforms"


@dataclass(frozen=True, slots=True, eq=False)
class ChoiceResult:
    """What came of one choice."""

    choice: AlgorithmChoice
    distances: NDArray[np.uint16]
    """From each altered copy to its original. Shape (pictures, alterations)."""
    pairs: Pairs
    altered_pairs: Pairs
    """The same where the picture that asks is altered, too: each by one of the alterations, in turn."""
    tail: Tail | None
    check: Check | None
    in_force: int
    """The radius that was given, or the algorithm's default one."""
    radius: int | None
    """The widest at which false matches are rare enough, cautiously estimated."""
    curved_radius: int | None
    """The same by the curved estimate."""
    values_an_item: float
    values_a_query: float
    costs: Mapping[int, Cost]
    """By radius, for both."""

    def recalls(self, radius: int | None) -> NDArray[np.float64]:
        """The share of each alteration's copies that are within the radius (None: nothing is)."""
        reached: NDArray[np.float64] = (self.distances <= (-1 if radius is None else radius)).mean(axis=0)
        return reached

    def rate(self, radius: int) -> float | None:
        """False matches per pair of pictures: cautiously estimated, or counted beyond the tail that was fitted.

        None where nothing was counted and there are too few pairs for an estimate.
        """
        if self.tail is not None and radius <= self.tail.threshold:
            return float(self.tail.cautious[radius])
        found = self.pairs.within(radius)
        return found / self.pairs.total if found else None

    def curve(self, places: Sequence[int]) -> list[tuple[float, float]]:
        """For each radius that has an estimate: false matches per pair, and the mean recall of some alterations."""
        chosen = self.distances[:, list(places)]
        rates = [(radius, self.rate(radius)) for radius in range(self.choice.algorithm.bits // 2)]
        return [(rate, float((chosen <= radius).mean())) for radius, rate in rates if rate]


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """All that was measured."""

    scheme: Scheme
    rate: float
    items: int
    names: tuple[str, ...]
    """The pictures that were measured; places are positions among them."""
    unfit: Mapping[str, str]
    """Pictures that were not, and why."""
    same: tuple[tuple[int, int], ...]
    """Pairs of pictures that are taken to be the same."""
    outcomes: tuple[ChoiceResult, ...]

    def together(self, profile: str, transforms: bool, *, in_force: bool) -> NDArray[np.float64]:
        """The share of each alteration's copies that any algorithm finds within its radius.

        That is the one in force, or the one that the rate of false matches allows.
        """
        found = []
        for one in self.outcomes:
            if one.choice.profile == profile and one.choice.transforms == transforms:
                radius = one.in_force if in_force else one.radius
                found.append(one.distances <= (-1 if radius is None else radius))
        reached: NDArray[np.float64] = np.logical_or.reduce(found).mean(axis=0)
        return reached

    def families(self) -> Iterator[tuple[Family, list[int]]]:
        """The families that were measured, and the positions of their alterations."""
        for family in Family:
            places = [i for i, name in enumerate(self.scheme.alterations) if ALTERATIONS[name].family is family]
            if places:
                yield family, places


SAME: Final = {Algorithm.PDQ: 60, Algorithm.PHASH256: 60}
"""Two pictures that come this near by both are taken to be of the same thing (a burst, a copy): no false match."""


class _Measured(NamedTuple):
    names: tuple[str, ...]
    unfit: Mapping[str, str]
    samples: tuple[Sample, ...]
    beside: tuple[int, ...]
    """The place of the picture that each was put beside."""


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

    `rate` is how many false matches per pair of pictures are allowed, all algorithms together: each gets an equal part
    of it. `items` is how many the index has whose costs are told. `advance` is called as each picture is done.
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
    for found in measure_all(jobs, scheme, processes):
        advance()
        if isinstance(found, Unfit):
            unfit[str(paths[found.place])] = found.reason
        else:
            samples.append(found)
    at = {sample.place: position for position, sample in enumerate(samples)}
    beside = tuple(at.get((sample.place + 1) % len(paths), at[sample.place]) for sample in samples)
    return _Measured(tuple(str(paths[sample.place]) for sample in samples), unfit, tuple(samples), beside)


def _same(measured: _Measured, scheme: Scheme) -> tuple[tuple[int, int], ...]:
    """The pairs that are within SAME by both of its algorithms, whatever variant and transform it takes."""
    near: list[set[tuple[int, int]]] = []
    for algorithm, radius in SAME.items():
        if algorithm not in scheme.algorithms or not measured.samples:
            return ()
        pairs = _compared(measured.samples, algorithm, scheme.profiles[-1], set())[1]
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
    """What came of one algorithm and profile: without transforms, then with them."""
    samples = measured.samples
    both_ways = {pair for one, other in same for pair in ((one, other), (other, one))}
    pairs = _compared(samples, algorithm, profile, both_ways)
    # A collage shows the picture beside, too: to find that one is right.
    beside = set(enumerate(measured.beside))
    altered = _compared(samples, algorithm, profile, both_ways | beside, altered=True)
    column, row = scheme.algorithms.index(algorithm), scheme.profiles.index(profile)
    distances = np.stack([sample.distances[:, column, row] for sample in samples])
    values = float(np.mean([len(sample.stored[profile][algorithm]) for sample in samples]))
    queries = float(np.mean([len(sample.asked[algorithm]) for sample in samples]))
    for transforms in (False, True):
        tail = fit(pairs[transforms], scheme.seed)
        part = rate / len(scheme.algorithms)
        radius = None if tail is None else tail.radius(part)
        asked = queries if transforms else 1.0
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
            values_a_query=asked,
            costs={bits: cost(algorithm, bits, items, values, asked) for bits in sorted(radii)},
        )


def _compared(
    samples: Sequence[Sample],
    algorithm: Algorithm,
    profile: str,
    left_out: set[tuple[int, int]],
    *,
    altered: bool = False,
) -> tuple[Pairs, Pairs]:
    asked: list[Words] = [(sample.altered if altered else sample.asked)[algorithm] for sample in samples]
    stored: list[Words] = [sample.stored[profile][algorithm] for sample in samples]
    return compare(asked, stored, algorithm, left_out)
