"""Queries and matches: what a member asks, what the index finds, and what the service answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Extent, Frame, Unit
from hashdb.domain.matching.segments import Covered, Segment
from hashdb.domain.origins import Origin
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Signature

MATCHES_A_QUERY = 1_000
"""The most matches that are returned for one query."""
MATCHES_A_REQUEST = 20_000
"""The most matches that are returned for all queries of a request together."""
MAX_SCORE = 20.0
"""The highest score, and the score of an equal digest."""
OVERRULING = frozenset({Algorithm.PDQ, Algorithm.PHASH256})
"""The algorithms that overrule phash: where both could have agreed, phash alone makes no match.

Their 256 bits find what the 64 bits of phash find, with far fewer false matches.
"""

NARROW_RADII: Final = {
    31: ("panel", "tile", "corner", "invert", "cut", "shape", "turn-"),
    # An attacker who knows the code but not the seed can change a secret view by up to 40 bits without a visible trace.
    40: ("secret",),
}
"""By a radius in bits: the beginnings of the names of the transforms that have it by default.

They show a part of the picture that is placed precisely. A search within 31 bits takes a tenth of the time of one
within 46.
"""


def transform_radius(name: str, algorithm: Algorithm) -> int:
    """The default radius in bits of a transform, by its name; of the item itself if it is `WHOLE` or empty."""
    for bits, beginnings in NARROW_RADII.items():
        if name.startswith(beginnings):
            return min(algorithm.radius, bits)
    return algorithm.radius


class Order(StrEnum):
    """The order of the matches of a query.

    `distance`: nearest first. `score`: the most certain first.
    """

    DISTANCE = "distance"
    SCORE = "score"


# Not frozen, for speed: a batch makes a thousand, and a frozen one takes twice as long to make.
@dataclass(slots=True)
class Query:
    """One item with its signals; `radius` (bits) overrides the default radius of an algorithm.

    `transforms` has the signals of further forms of the item, which undo an alteration, by the name of the transform.
    `signatures` has the signatures of the item, by the name `whole`, and of its transforms, by their names. The item
    and its transforms together are the views of the query. A contribution that scores less than `min_score` is no
    match.
    """

    signals: tuple[Signal, ...]
    id: str | None = None
    radius: Mapping[Algorithm, int] = field(default_factory=dict)
    transforms: Mapping[str, tuple[Signal, ...]] = field(default_factory=dict)
    frames: tuple[Frame, ...] = ()
    duration: float | None = None
    """The length of a video in seconds."""
    min_seconds: float | None = None
    """The shortest segment of a video that counts, in seconds; None: the default."""
    signatures: Mapping[str, tuple[Signature, ...]] = field(default_factory=dict)
    min_score: float | None = None
    order: Order = Order.DISTANCE
    min_words: int | None = None
    """The shortest segment of a text that counts, in words; None: the default."""

    @property
    def is_verified(self) -> bool:
        """Whether all views are compared with all that is stored of each contribution that the index suggests."""
        return not self.frames and bool(self.transforms or self.signatures)

    @property
    def is_plain(self) -> bool:
        """Whether distances alone decide what matches, and in which order."""
        return not self.is_verified and self.min_score is None and self.order is Order.DISTANCE

    def radius_of(self, algorithm: Algorithm, transform: str = "") -> int:
        """The radius in bits for the signals of a transform, by its name as in `transform_radius`."""
        if algorithm in self.radius:
            return self.radius[algorithm]
        return transform_radius(transform, algorithm) if transform else algorithm.radius

    @property
    def overruling(self) -> frozenset[Algorithm]:
        """The algorithms of the item's own signals that overrule phash."""
        return OVERRULING.intersection([signal.algorithm for signal in self.signals])


class Neighbor(NamedTuple):
    """A stored value within the radius, with its Hamming distance in bits."""

    distance: int
    value: int


class FrameMatch(NamedTuple):
    """A frame of the query that is near a picture of a contribution.

    `at` is the time of the frame in seconds or the number of its page, as `unit` says. `distance` is in bits.
    """

    at: float
    distance: Mapping[Algorithm, int | None]
    unit: Unit = Unit.SECONDS


class FrameDetails(NamedTuple):
    """How an item with frames matches.

    If the query has frames: `segments` has its stretches that a listed item with frames shows, longest first; `frames`
    has its frames that are near a listed picture. If the query has no frames and the listed item has: `at`, `pages` or
    `words` has the places in the listed item.
    """

    segments: tuple[Segment, ...] = ()
    covered: Covered | None = None
    """Which shares of the query and of the listed item the segments cover."""
    at: tuple[float, ...] = ()
    """Where a listed video shows the picture of the query, in seconds from its start."""
    frames: tuple[FrameMatch, ...] = ()
    pages: tuple[int, ...] = ()
    """Which pages of a listed document show the picture of the query, counted from 1."""
    words: tuple[tuple[int, int], ...] = ()
    """Which words of a listed text are near the query: the number of the first word, and that after the last."""


class Evidence(NamedTuple):
    """What speaks for a match besides its distances."""

    views: tuple[str, ...]
    """The views of the query with a signal within the radius: `WHOLE` first, then names of transforms."""
    detail: float | None
    """How much the `detail` signatures differ when aligned: 0 if equal, about 0.5 for different pictures.

    None if the query or the contribution has no such signature, or one without information.
    """
    colour: float | None
    """The difference of the `colour` signatures in grey levels; None if either side has none, or is grey."""


class Verdict(NamedTuple):
    """What speaks for a match and what against it."""

    score: float
    """-log10 of the rate of false matches per pair of pictures of the worst kind, one decimal, 0 to `MAX_SCORE`."""
    views: tuple[str, ...] = ()
    """This field and the next two are as in `Evidence`."""
    detail: float | None = None
    colour: float | None = None
    contradicted: bool = False
    """Whether the signatures contradict the match: by default it is none, although a signal is within the radius."""


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
    """This field and those up to `words` are as in `FrameDetails`."""
    covered: Covered | None = None
    at: tuple[float, ...] = ()
    frames: tuple[FrameMatch, ...] = ()
    pages: tuple[int, ...] = ()
    words: tuple[tuple[int, int], ...] = ()
    score: float | None = None
    """How certain the match is, as in `Verdict`. None if the key hides distances, or the match is by frames."""
    evidence: Evidence | None = None
    """None unless the query is verified."""
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
        """The match as it is shown to a key that hides distances."""
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

    `members` counts the members that contributed or confirmed a match. `severity` is the highest of the matches. Both
    include the matches that were left out because there were too many, which `truncated` says.
    """

    id: str | None
    matches: tuple[Match, ...]
    members: int
    truncated: bool = False
    signals: tuple[Signal, ...] = ()
    """The signals of the query, if the service hashed a file for it."""
    severity: int | None = None
    incomplete: str | None = None
    """If not all of a video could be read: a sentence that says how much of it was."""

    @property
    def action(self) -> str:
        """`review` or `none`. It is `review` also if all matches were left out."""
        return "review" if self.matches or self.truncated else "none"

    def with_origins(self, origins: Mapping[int, Origin]) -> Result:
        """The result with these origins of its matches, by contribution."""
        matches = [match._replace(origin=origins.get(match.contribution)) for match in self.matches]
        return replace(self, matches=tuple(matches))

    def without_distances(self) -> Result:
        """The result as it is shown to a key that hides distances: the order of matches does not show them either."""
        hidden = (match.without_distances() for match in self.matches)
        return replace(self, matches=tuple(sorted(hidden, key=lambda match: match.rank)))


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a match request: one result a query, in order, as of the event with seq `checkpoint`."""

    results: tuple[Result, ...]
    checkpoint: int


class MatchDetails(NamedTuple):
    """The fields of a match that are not needed to select it, so they may be read for the selected matches only."""

    labels: tuple[str, ...]
    context: tuple[str, ...]
    removed_at: datetime | None
    received_at: datetime


class Holder(NamedTuple):
    """An active contribution that has a signal which the index found; `details` is None if they are read later."""

    signal: Signal
    contribution: int
    member: int
    severity: int | None
    standing: Standing
    details: MatchDetails | None
    extent: Extent | None = None
    """How long the contribution is, if it has frames; else None."""
    source: int | None = None
    """If it came from another hashdb: `Origin.source`, a number for its member there.

    `Result.members` counts it in the place of `member`.
    """


class StoredItem(NamedTuple):
    """What is stored of a contribution, without its frames: its signals that are not suppressed, and its signatures.

    Both are in the order of the contribution.
    """

    signals: tuple[Signal, ...] = ()
    signatures: tuple[Signature, ...] = ()
