"""Near: a contribution that is close to something, and whether it would be answered as a match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hashdb.domain import sparseness
from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.signals import Algorithm, Signal


@dataclass(frozen=True, slots=True)
class Near:
    """A contribution with the nearest distance in bits, by algorithm, and the pair of signals that is so near.

    `through` names the transform of what was asked that is so near, by algorithm, where it was not the thing itself.
    `overruled` is whether phash alone makes no match: another algorithm of what was asked could have agreed.
    """

    contribution: Contribution
    distance: Mapping[Algorithm, int]
    pairs: Mapping[Algorithm, tuple[Signal, Signal]]
    through: Mapping[Algorithm, str]
    overruled: bool = False

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts as matches are: nearest first against the default radius, more algorithms, lower id."""
        nearest = min(bits / algorithm.radius for algorithm, bits in self.distance.items())
        return nearest, -len(self.distance), self.contribution.id

    @property
    def hindrance(self) -> str | None:
        """Why it is not answered as a match however near it is, or None."""
        if self.contribution.status is not Status.ACTIVE:
            return str(self.contribution.status)
        return None if self.contribution.standing.matches else str(self.contribution.standing)

    def within(self, radii: Mapping[Algorithm, int]) -> tuple[Algorithm, ...]:
        """The algorithms by which it is within these radii."""
        return tuple(one for one, bits in self.distance.items() if bits <= self._limit(one, radii))

    def usual(self, algorithm: Algorithm) -> int:
        """Within how many bits members are answered it, who name no radius."""
        pair = self.pairs.get(algorithm)
        return algorithm.radius if pair is None else sparseness.reach(algorithm, pair[0].value, pair[1].value)

    def _limit(self, algorithm: Algorithm, radii: Mapping[Algorithm, int]) -> int:
        radius = radii.get(algorithm, algorithm.radius)
        return self.usual(algorithm) if radius == algorithm.radius else radius

    def alone(self, radii: Mapping[Algorithm, int]) -> bool:
        """Whether it is within these radii by phash alone, which is overruled."""
        return self.overruled and self.within(radii) == (Algorithm.PHASH,)

    def matches(self, radii: Mapping[Algorithm, int]) -> bool:
        """Whether it is answered as a match at these radii."""
        return self.hindrance is None and bool(self.within(radii)) and not self.alone(radii)


@dataclass(frozen=True, slots=True)
class NearBenign:
    """The benign signal that is nearest to what was asked by an algorithm: whether it reaches that far."""

    entry: int
    name: str
    algorithm: Algorithm
    distance: int
    radius: int

    @property
    def touches(self) -> bool:
        """Whether what was asked is not accepted, because of it."""
        return self.distance <= self.radius


def reach(algorithm: Algorithm) -> int:
    """How far is looked for what is near: twice the radius, so that one sees what a wider one would add."""
    return 2 * algorithm.radius
