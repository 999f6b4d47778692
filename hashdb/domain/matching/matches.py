"""Queries, neighbors and matches: what a member asks, what the index finds, and what the service answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from hashdb.domain import signals
from hashdb.domain.contributions import Contribution, Standing
from hashdb.domain.frames import Extent, Frame, Unit
from hashdb.domain.matching.segments import Covered, Segment
from hashdb.domain.origins import Origin
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Signature

MATCHES_A_QUERY = 1_000
MATCHES_A_REQUEST = 20_000
CERTAIN = 20.0
"""The highest score, and that of an equal digest."""
OVERRULING = frozenset({Algorithm.PDQ, Algorithm.PHASH256})
"""The algorithms that overrule phash: where both could have agreed, phash alone makes no match.

Their 256 bits find what the 64 bits of phash find, with far fewer false matches.
"""

NARROW: Final = {
    **dict.fromkeys(("panel", "tile", "corner", "invert", "cut", "shape", "turn-"), 31),
    # Who knows the code but not the seed changes secret views by up to 40 bits, unseen.
    "secret": 40,
}
"""How the names of the transforms begin that ask for a part of a picture which is placed precisely, with their default
radius in bits: a search within 31 takes a tenth of the time of one within 46."""


def view_radius(name: str, algorithm: Algorithm) -> int:
    """The default radius in bits of the transform with this name; of the item itself, if the name is empty."""
    narrow = next((bits for beginning, bits in NARROW.items() if name.startswith(beginning)), algorithm.radius)
    return min(algorithm.radius, narrow)


class Order(StrEnum):
    """The order of the matches of a query.

    `distance`: nearest first. `score`: the most certain first.
    """

    DISTANCE = "distance"
    SCORE = "score"


# Not frozen, for speed: a batch makes a thousand, and a frozen one takes twice as long to make.
@dataclass(slots=True)
class Query:
    """One item with its signals; `radius` (bits) overrides the algorithm's default.

    `transforms` has the signals of further forms of the item, which undo an alteration, by the name of the transform.
    `signatures` are those of the item (by the name `whole`) and of its transforms, by their names. What scores less
    than `min_score` is no match.
    """

    signals: tuple[Signal, ...]
    id: str | None = None
    radius: Mapping[Algorithm, int] = field(default_factory=dict)
    transforms: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict)
    frames: tuple[Frame, ...] = ()
    duration: float | None = None
    min_seconds: float | None = None
    """The seconds that a segment of a video must have; None: the default."""
    signatures: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    min_score: float | None = None
    order: Order = Order.DISTANCE
    min_words: int | None = None
    """The words that a segment of a text must have; None: the default."""

    @property
    def is_verified(self) -> bool:
        """Whether all views are compared with all that is stored of what the index suggests."""
        return not self.frames and bool(self.transforms or self.signatures)

    @property
    def is_plain(self) -> bool:
        """Whether distances alone decide what matches, and in which order."""
        return not self.is_verified and self.min_score is None and self.order is Order.DISTANCE

    def radius_of(self, algorithm: Algorithm) -> int:
        """The radius of this query in bits, for an algorithm."""
        return self.radius.get(algorithm, algorithm.radius)

    def radius_of_transform(self, name: str, algorithm: Algorithm) -> int:
        """The same for the signals of the transform with this name."""
        if algorithm in self.radius:
            return self.radius[algorithm]
        return view_radius(name, algorithm) if name else algorithm.radius

    @property
    def decisive(self) -> frozenset[Algorithm]:
        """The algorithms of the item's own signals that overrule phash."""
        return OVERRULING.intersection([signal.algorithm for signal in self.signals])


class Neighbor(NamedTuple):
    """A stored value within the radius, with its Hamming distance in bits."""

    distance: int
    value: int


class FrameMatch(NamedTuple):
    """A frame of the query that is near a listed picture: its place in `unit`, and the distance in bits by algorithm.

    A window of words is near no picture.
    """

    at: float
    distance: Mapping[Algorithm, int | None]
    unit: Unit = Unit.SECONDS


class FrameDetails(NamedTuple):
    """How a video, a document or a text matches.

    By segments of a listed one, longest first, or by the frames that are a listed picture.
    """

    segments: tuple[Segment, ...] = ()
    covered: Covered | None = None
    at: tuple[float, ...] = ()
    """Where a listed video shows the picture that was asked for, in seconds from its start."""
    frames: tuple[FrameMatch, ...] = ()
    pages: tuple[int, ...] = ()
    """Which pages of a listed document show the picture that was asked for."""
    words: tuple[tuple[int, int], ...] = ()
    """Which words of a listed text are near the window that was asked for: the first one, and that after the last."""


class Evidence(NamedTuple):
    """What speaks for a match beside its distances."""

    views: tuple[str, ...]
    """The views of the query with a signal within the radius: `WHOLE` first, then names of transforms."""
    detail: float | None
    """How much the details differ once one is laid over the other: 0 if equal, about 0.5 for different pictures.

    None if either side has none, or one without information."""
    colour: float | None
    """The difference of the colours in grey levels; None if either side has none, or a grey one."""


class Verdict(NamedTuple):
    """What speaks for a match and what against it."""

    score: float
    """-log10 of the rate of false matches a pair of pictures of the worst kind, one decimal, 0 to `CERTAIN`."""
    views: tuple[str, ...] = ()
    """As those of `Evidence`, like the following two."""
    detail: float | None = None
    colour: float | None = None
    contradicted: bool = False
    """Whether it is no match, by default, although a signal is within the radius."""


class Match(NamedTuple):
    """An active contribution that is close to the query: advice to review, never a command.

    It is a plain tuple because an answer may have 20,000 matches.
    """

    contribution: int
    distance: Mapping[Algorithm, int | None]
    """The distance in bits of each algorithm within its radius; None if the key hides distances."""
    labels: tuple[str, ...]
    severity: int | None
    standing: Standing
    context: tuple[str, ...]
    removed_at: datetime | None
    received_at: datetime
    transform: str | None = None
    """The transform that found it; None if the item itself is close."""
    digest: Algorithm | None = None
    """The strongest digest that is equal; it is not in `distance`."""
    segments: tuple[Segment, ...] = ()
    """In the order of `FrameDetails`, which has this and the following fields."""
    covered: Covered | None = None
    at: tuple[float, ...] = ()
    frames: tuple[FrameMatch, ...] = ()
    pages: tuple[int, ...] = ()
    words: tuple[tuple[int, int], ...] = ()
    score: float | None = None
    """How certain: -log10 of the rate of false matches a pair of the worst kind; None: hidden, or by frames."""
    evidence: Evidence | None = None
    """Only if the query was verified."""
    origin: Origin | None = None
    """Where it was first contributed, if it came from another hashdb."""

    @property
    def agree(self) -> tuple[Algorithm, ...]:
        """The algorithms whose signals are within the radius."""
        return tuple(self.distance)

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts nearest first: smallest share of the default radius, then more algorithms that agree, then lower id."""
        distances = [bits / algorithm.radius for algorithm, bits in self.distance.items() if bits is not None]
        return min(distances, default=0.0), -len(self.distance), self.contribution

    def without_distances(self) -> Match:
        """The match for a key that hides distances."""
        hidden = self._replace(distance=dict.fromkeys(self.distance), score=None, evidence=None)
        if not self.segments and not self.frames:
            return hidden
        return hidden._replace(
            segments=tuple(replace(segment, distance=None) for segment in self.segments),
            frames=tuple(frame._replace(distance=dict.fromkeys(frame.distance)) for frame in self.frames),
        )


# Not frozen, for speed: a batch makes a thousand, and a frozen one takes twice as long to make.
@dataclass(slots=True)
class Result:
    """The answer to one query.

    `members` counts the members that contributed or confirmed a match within the radius. `severity` is the highest of
    these matches. Both include the matches that were cut off.
    """

    id: str | None
    matches: tuple[Match, ...]
    members: int
    truncated: bool = False
    signals: tuple[Signal, ...] = ()
    severity: int | None = None
    incomplete: str | None = None
    """A sentence that says how much of a video could be read, if that is not all."""

    @property
    def action(self) -> str:
        """`review` or `none`. It is `review` also if all matches were cut off."""
        return "review" if self.matches or self.truncated else "none"

    def with_origins(self, origins: Mapping[int, Origin]) -> Result:
        """The result in which matches have these origins, by contribution."""
        matches = [match._replace(origin=origins.get(match.contribution)) for match in self.matches]
        return replace(self, matches=tuple(matches))

    def without_distances(self) -> Result:
        """The result for a key that hides distances: the order does not show them either."""
        hidden = (match.without_distances() for match in self.matches)
        return replace(self, matches=tuple(sorted(hidden, key=lambda match: match.rank)))


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a match request: one result a query, in order, as of the event with seq `checkpoint`."""

    results: tuple[Result, ...] = ()
    checkpoint: int = 0


class MatchDetails(NamedTuple):
    """The fields of a match that are not needed to select it."""

    labels: tuple[str, ...]
    context: tuple[str, ...]
    removed_at: datetime | None
    received_at: datetime


class Holder(NamedTuple):
    """An active contribution with a value that the index found; `details` is None until it is read."""

    signal: Signal
    contribution: int
    member: int
    severity: int | None
    standing: Standing
    details: MatchDetails | None
    extent: Extent | None = None
    """How long it is, if its frames are listed; else None."""
    source: int | None = None
    """As which member it counts, if it came from another hashdb. What is returned is shared out by `member`."""


class Stored(NamedTuple):
    """Of a contribution: its signals that are not suppressed, without those of frames, and its signatures, in order."""

    signals: tuple[Signal, ...] = ()
    signatures: tuple[Signature, ...] = ()


@dataclass(frozen=True, slots=True)
class NearContribution:
    """A contribution near a query: by algorithm, the smallest distance in bits and the pair of signals at it.

    `through` names, by algorithm, the transform that is nearest, where it is nearer than the item itself.
    `overruled` is whether phash alone makes no match, because another algorithm of the query could have agreed.
    """

    contribution: Contribution
    distance: Mapping[Algorithm, int]
    pairs: Mapping[Algorithm, tuple[Signal, Signal]]
    through: Mapping[Algorithm, str]
    overruled: bool = False
    verdict: Verdict | None = None
    """On a contribution within the default radius, if there is more to compare than signals."""
    places: FrameDetails | None = None
    """Where a contribution with frames has the nearest signals; only in the answer to a search for signals."""

    @property
    def rank(self) -> tuple[float, int, int]:
        """Sorts as matches do: smallest share of the default radius, then more algorithms, then lower id."""
        nearest = min(bits / (algorithm.radius or 1) for algorithm, bits in self.distance.items())
        return nearest, -len(self.distance), self.contribution.id

    @property
    def hindrance(self) -> str | None:
        """What keeps it from matching at any distance, or None: its status, its standing, or the evidence."""
        if self.contribution.hindrance is None and self.verdict is not None and self.verdict.contradicted:
            return "contradicted by the evidence"
        return self.contribution.hindrance

    def within(self, radii: Mapping[Algorithm, int]) -> tuple[Algorithm, ...]:
        """The algorithms whose distance is within these radii (bits)."""
        return tuple(algorithm for algorithm, bits in self.distance.items() if bits <= self._limit(algorithm, radii))

    def usual(self, algorithm: Algorithm) -> int:
        """The radius in bits for queries that name none."""
        pair = self.pairs.get(algorithm)
        radius = algorithm.radius if pair is None else signals.match_radius(algorithm, pair[0].value, pair[1].value)
        return min(radius, view_radius(self.through.get(algorithm, ""), algorithm))

    def _limit(self, algorithm: Algorithm, radii: Mapping[Algorithm, int]) -> int:
        radius = radii.get(algorithm, algorithm.radius)
        return self.usual(algorithm) if radius == algorithm.radius else radius

    def alone(self, radii: Mapping[Algorithm, int]) -> bool:
        """Whether only phash is within these radii, and phash is overruled."""
        return self.overruled and self.within(radii) == (Algorithm.PHASH,)

    def matches(self, radii: Mapping[Algorithm, int]) -> bool:
        """Whether it is a match at these radii (bits)."""
        return self.hindrance is None and bool(self.within(radii)) and not self.alone(radii)


@dataclass(frozen=True, slots=True)
class NearBenign:
    """The benign signal that is nearest to the signals of a query, by one algorithm."""

    entry: int
    name: str
    algorithm: Algorithm
    distance: int
    radius: int

    @property
    def touches(self) -> bool:
        """Whether a contribution of these signals would be rejected because of the entry."""
        return self.distance <= self.radius


def neighbor_radius(algorithm: Algorithm) -> int:
    """The radius in bits of a search for neighbors: twice the default, to show what a wider radius would add.

    It is at most 36 % of the bits: values of items that have nothing in common differ in half of theirs.
    """
    return min(2 * algorithm.radius, algorithm.bits * 36 // 100)


FLOOD_WINDOW = timedelta(hours=1)
FLOOD_STEP = timedelta(minutes=5)
FLOOD_REST = timedelta(days=7)
"""How long a contribution that a reviewer upheld opens no case by a flood."""
FLOOD_MEMBERS = 3
"""A flood takes hits of at least so many members other than the contributor, so that one key cannot make one."""


@dataclass(frozen=True, slots=True)
class Flood:
    """How many hits a contribution had at other members within the last hour, and at how many of them."""

    contribution: int
    hits: int
    members: int


def hits_counted_of_member(cap: int) -> int:
    """How many hits of one member count towards the cap. It takes `FLOOD_MEMBERS` members to exceed the cap."""
    return max(1, cap // (FLOOD_MEMBERS - 1))


def flood_step(at: datetime) -> datetime:
    """The start of the five minutes (`FLOOD_STEP`) that contain an instant."""
    return datetime.fromtimestamp(at.timestamp() // FLOOD_STEP.total_seconds() * FLOOD_STEP.total_seconds(), UTC)
