"""An evaluation: what was measured of a folder of pictures, and what follows from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.signals import Algorithm
from hashdb.evaluation.alterations import ALTERATIONS, Family
from hashdb.evaluation.costs import Cost
from hashdb.evaluation.pairs import Pairs
from hashdb.evaluation.schemes import Scheme
from hashdb.evaluation.tails import Check, Tail


class Choice(NamedTuple):
    """One way to use one algorithm."""

    algorithm: Algorithm
    profile: str
    transforms: bool

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.profile}, {'with' if self.transforms else 'without'} transforms"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What came of one choice."""

    choice: Choice
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
    outcomes: tuple[Outcome, ...]

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
