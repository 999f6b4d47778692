"""Neighbors: contributions and benign entries near a query, with the reason why one is no match."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hashdb.domain.contributions import Contribution
from hashdb.domain.matching.matches import FrameDetails, Verdict, transform_radius
from hashdb.domain.signals import Algorithm, Signal, match_radius


@dataclass(frozen=True, slots=True)
class NearContribution:
    """A contribution near a query, which may be too far to match.

    By algorithm: `distance` is the smallest distance in bits, `pairs` has the two signals (of the query, and stored) at
    this distance, and `nearest_transform` names the transform that made the first if it is not the item itself.
    `phash_is_overruled` is whether phash alone makes no match, because another algorithm of the query could have
    agreed.
    """

    contribution: Contribution
    distance: Mapping[Algorithm, int]
    pairs: Mapping[Algorithm, tuple[Signal, Signal]]
    nearest_transform: Mapping[Algorithm, str]
    phash_is_overruled: bool = False
    verdict: Verdict | None = None
    """Only of a contribution within the default radius, and if there is more to compare than signals."""
    places: FrameDetails | None = None
    """Where a contribution with frames has the nearest signals; only if signals were searched for, not an item."""

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts nearest first, as `Match.rank`: smallest share of the radius, then more algorithms, then lower id."""
        nearest = min(bits / (algorithm.radius or 1) for algorithm, bits in self.distance.items())
        return nearest, -len(self.distance), self.contribution.id

    @property
    def no_match_reason(self) -> str | None:
        """Why it cannot match at any distance: its status, its standing, or the evidence. None if it can."""
        if self.contribution.no_match_reason is None and self.verdict is not None and self.verdict.contradicted:
            return "contradicted by the evidence"
        return self.contribution.no_match_reason

    def within(self, radii: Mapping[Algorithm, int]) -> tuple[Algorithm, ...]:
        """The algorithms whose distance is within these radii (bits)."""
        return tuple(algorithm for algorithm, bits in self.distance.items() if bits <= self._limit(algorithm, radii))

    def default_radius(self, algorithm: Algorithm) -> int:
        """The radius in bits within which it matches a query that names no radius."""
        pair = self.pairs.get(algorithm)
        radius = algorithm.radius if pair is None else match_radius(algorithm, pair[0].value, pair[1].value)
        return min(radius, transform_radius(self.nearest_transform.get(algorithm, ""), algorithm))

    def _limit(self, algorithm: Algorithm, radii: Mapping[Algorithm, int]) -> int:
        radius = radii.get(algorithm, algorithm.radius)
        return self.default_radius(algorithm) if radius == algorithm.radius else radius

    def only_overruled(self, radii: Mapping[Algorithm, int]) -> bool:
        """Whether only phash is within these radii (bits), and phash is overruled."""
        return self.phash_is_overruled and self.within(radii) == (Algorithm.PHASH,)

    def matches(self, radii: Mapping[Algorithm, int]) -> bool:
        """Whether it is a match at these radii (bits)."""
        return self.no_match_reason is None and bool(self.within(radii)) and not self.only_overruled(radii)


@dataclass(frozen=True, slots=True)
class NearBenign:
    """The benign signal that is nearest to the signals of a query, by one algorithm."""

    entry: int
    name: str
    algorithm: Algorithm
    distance: int
    """In bits."""
    radius: int
    """The radius of the benign entry, in bits."""

    @property
    def would_reject(self) -> bool:
        """Whether a contribution of these signals would be rejected because of the entry."""
        return self.distance <= self.radius


def neighbor_radius(algorithm: Algorithm) -> int:
    """The radius in bits of a search for neighbors: twice the default, to show what a wider radius would add.

    It is at most 36 % of the bits: values of items that have nothing in common differ in half of theirs.
    """
    return min(2 * algorithm.radius, algorithm.bits * 36 // 100)
