"""Two items side by side: the distance of each pair of hashes, and how one picture is laid over the other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from hashdb.domain.matching.aligners import firsts
from hashdb.domain.matching.details import Laid, coefficients_of, lay_over
from hashdb.domain.matching.matches import view_radius
from hashdb.domain.signals import Algorithm, Signal, match_radius
from hashdb.domain.signatures import WHOLE, Kind, Signature

ORIENTATIONS: Final = (
    WHOLE,
    "mirror",
    "flip",
    "rotate-180",
    "transpose",
    "rotate-90",
    "rotate-270",
    "transverse",
)
"""The views of a picture that show all of it."""
LEAST_ALIKE: Final = 0.3
"""The correlation from which details show the same; those of different pictures are at 0.1 to 0.2."""


class SignalPair(NamedTuple):
    """A hash of a view of one item, and the hash of the other that is nearest to it."""

    view: str
    """`whole`, or the name of a transform."""
    asked: Signal
    listed: Signal
    part: int
    """0: `listed` is of the other item itself; n: of the nth further hash of this algorithm that is stored of it."""
    bits: int
    radius: int
    """The default one of this view and these values, in bits."""

    @property
    def agrees(self) -> bool:
        """Whether it is within the radius."""
        return self.bits <= self.radius

    @property
    def rank(self) -> tuple[bool, float, int]:
        """Sorts those that agree first, then by the share of the radius."""
        return not self.agrees, self.bits / (self.radius or 1), self.part


class Overlay(NamedTuple):
    """How the first picture is turned and laid over the second so that both show the same at the same place."""

    view: str
    laid: Laid


def own_pairs(asked: Iterable[Signal], listed: Iterable[Signal]) -> list[SignalPair]:
    """The hashes of both items themselves, by each algorithm that both have. Digests are left out."""
    theirs = firsts(listed)
    return [
        _pair(WHOLE, one, theirs[algorithm], 0)
        for algorithm, one in firsts(asked).items()
        if algorithm in theirs and not algorithm.is_digest
    ]


def nearest_pairs(views: Mapping[str, Iterable[Signal]], listed: Iterable[Signal]) -> list[SignalPair]:
    """For each view and algorithm the pair of hashes that is nearest, those that agree first. Digests are left out."""
    numbered: dict[Algorithm, list[Signal]] = defaultdict(list)
    for signal in dict.fromkeys(listed):
        if not signal.algorithm.is_digest:
            numbered[signal.algorithm].append(signal)
    nearest: dict[tuple[str, Algorithm], SignalPair] = {}
    for view, signals in views.items():
        for one in signals:
            for part, other in enumerate(numbered[one.algorithm]):
                pair, key = _pair(view, one, other, part), (view, one.algorithm)
                nearest[key] = min(nearest.get(key, pair), pair, key=_rank)
    return sorted(nearest.values(), key=_rank)


def overlay(asked: Mapping[str, Sequence[Signature]], listed: Iterable[Signature]) -> Overlay | None:
    """The orientation and the place at which two pictures show the same best; None if they do not."""
    theirs = next((coefficients_of(one) for one in listed if one.kind is Kind.DETAIL), None)
    if theirs is None:
        return None
    found = [
        Overlay(view, lay_over(own, theirs))
        for view in ORIENTATIONS
        for one in asked.get(view, ())
        if one.kind is Kind.DETAIL and (own := coefficients_of(one)) is not None
    ]
    best = max(found, key=lambda each: each.laid.likeness, default=None)
    return best if best is not None and best.laid.likeness >= LEAST_ALIKE else None


def _rank(pair: SignalPair) -> tuple[bool, float, int]:
    return pair.rank


def _pair(view: str, one: Signal, other: Signal, part: int) -> SignalPair:
    radius = match_radius(one.algorithm, one.value, other.value)
    narrow = view_radius("" if view == WHOLE else view, one.algorithm)
    return SignalPair(view, one, other, part, one.distance(other), min(radius, narrow))
