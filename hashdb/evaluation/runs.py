"""A run of the evaluation: from the pictures of a folder to what came of each choice."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.costs import cost
from hashdb.evaluation.evaluations import Choice, Evaluation, Outcome
from hashdb.evaluation.pairs import Pairs, compare
from hashdb.evaluation.samples import Job, Sample, Unfit
from hashdb.evaluation.schemes import Scheme
from hashdb.evaluation.tails import check, fit
from hashdb.evaluation.workers import measure_all
from hashdb.hashing import Limits
from hashdb.index.words import Words

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
    jobs = [Job(place, path, paths[(place + 1) % len(paths)], limits) for place, path in enumerate(paths)]
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
) -> Iterator[Outcome]:
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
        yield Outcome(
            choice=Choice(algorithm, profile, transforms),
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
