"""Query, Neighbor, Match: what is asked, what the index finds, what a member is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from hashdb.domain import signals
from hashdb.domain.contributions import Contribution, Standing, Status
from hashdb.domain.signals import Algorithm, Signal

MATCHES_A_QUERY = 1_000
MATCHES_A_REQUEST = 20_000
OVERRULING = frozenset({Algorithm.PDQ, Algorithm.PHASH256})
"""The algorithms that overrule phash: where both could have agreed, phash alone is no match.

Their 256 bits find what the 64 bits of phash find, and take far fewer different pictures for the same.
"""


@dataclass(frozen=True, slots=True)
class Query:
    """One item with its signals; `radius` (bits) overrides the algorithm's default.

    `transforms` has the signals of what the item may have been before it was altered, by the transform's name.
    """

    signals: tuple[Signal, ...]
    id: str | None = None
    radius: Mapping[Algorithm, int] = field(default_factory=dict)
    transforms: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict)

    def radius_of(self, algorithm: Algorithm) -> int:
        """The radius in bits that this query asks for."""
        return self.radius.get(algorithm, algorithm.radius)

    @property
    def decisive(self) -> frozenset[Algorithm]:
        """The algorithms of the item's own signals that overrule phash."""
        return OVERRULING.intersection([signal.algorithm for signal in self.signals])


class Neighbor(NamedTuple):
    """A stored value within the radius, with its Hamming distance in bits."""

    distance: int
    value: int


class Match(NamedTuple):
    """An active contribution that is close to the query: advice to review, never a command.

    A plain tuple: an answer may have 20,000.
    """

    contribution: int
    distance: Mapping[Algorithm, int | None]
    """Bits apart, by algorithm, of those within the radius; None to who is not told."""
    labels: tuple[str, ...]
    severity: int | None
    standing: Standing
    context: tuple[str, ...]
    removed_at: datetime | None
    received_at: datetime
    transform: str | None = None
    """The transform through which alone it was found; None where the item itself is close."""

    @property
    def agree(self) -> tuple[Algorithm, ...]:
        """The algorithms that are within their radius."""
        return tuple(self.distance)

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts nearest first: smallest distance against its default radius, more agreeing, lower id."""
        told = [bits / algorithm.radius for algorithm, bits in self.distance.items() if bits is not None]
        return min(told, default=0.0), -len(self.distance), self.contribution

    def without_distances(self) -> Match:
        """The same, to who is not told how close it is."""
        return self._replace(distance=dict.fromkeys(self.distance))


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one query.

    `members` counts those that contributed or confirmed any match within the radius, and `severity` is the highest of
    these matches; both include the matches that were cut off.
    """

    id: str | None
    matches: tuple[Match, ...]
    members: int
    truncated: bool = False
    signals: tuple[Signal, ...] = ()
    severity: int | None = None

    @property
    def action(self) -> str:
        """`review` or `none`, there is no other; where matches were cut off, `none` would not be true."""
        return "review" if self.matches or self.truncated else "none"

    def without_distances(self) -> Result:
        """The same, to who is not told how close anything is: not by the order either."""
        hidden = (match.without_distances() for match in self.matches)
        return replace(self, matches=tuple(sorted(hidden, key=lambda one: one.rank)))


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request that matches: one result a query, in order, level with `checkpoint`."""

    results: tuple[Result, ...] = field(default=())
    checkpoint: int = 0


class About(NamedTuple):
    """What a match says of a contribution and is not needed to choose it."""

    labels: tuple[str, ...]
    context: tuple[str, ...]
    removed_at: datetime | None
    received_at: datetime


class Holder(NamedTuple):
    """An active contribution that holds a value which the index found; `about` is None where it is read later."""

    signal: Signal
    contribution: int
    member: int
    severity: int | None
    standing: Standing
    about: About | None


@dataclass(frozen=True, slots=True)
class NearContribution:
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
        return algorithm.radius if pair is None else signals.reach(algorithm, pair[0].value, pair[1].value)

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


WINDOW = timedelta(hours=1)
STEP = timedelta(minutes=5)
REST = timedelta(days=7)
"""How long what a reviewer upheld is left alone."""
MEMBERS = 3
"""A flood takes hits of at least so many members other than the contributor: one key alone cannot make one."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How often a contribution was answered to other members within the last hour, and to how many of them."""

    contribution: int
    hits: int
    members: int


def share_of(cap: int) -> int:
    """How many hits of one member count towards the cap: so few that it takes `MEMBERS` to exceed it."""
    return max(1, cap // (MEMBERS - 1))


def step_of(at: datetime) -> datetime:
    """The beginning of the five minutes that an instant is in."""
    return datetime.fromtimestamp(at.timestamp() // STEP.total_seconds() * STEP.total_seconds(), UTC)
